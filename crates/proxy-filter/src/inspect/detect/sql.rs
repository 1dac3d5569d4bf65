//! Reads a value as a piece of SQL.
//!
//! An injected value works only if the statement around it still parses up to the point where the
//! injection has done its work. So the value is read as the continuation of an expression, in each
//! context it may have landed in: bare (`WHERE id = <value>`), and inside a string of either quote,
//! where all up to the first such quote is the string. A reader of expressions, with the dialects
//! of the common databases laid over each other, goes on as long as the tokens fit. What it has
//! seen by then is the evidence. Prose stops it after a word or two: a word does not follow a word.

mod grammar;
mod prose;
mod token;
mod words;

use super::{Kinds, Signal, Signals};
use grammar::{Context, Reader};

/// The most tokens that are read in one context.
const TOKENS: usize = 4096;

/// What a value is as SQL.
pub(super) fn read(text: &[u8], kinds: Kinds) -> Signals {
    let mut signals = Signals::default();
    if !prose::begins(text) {
        signals.merge(Reader::new(text, Context::Bare).read());
    }
    let first = kinds.has(Kinds::QUOTE).then(|| memchr::memchr2(b'\'', b'"', text)).flatten();
    if let Some(first) = first {
        let quote = text[first];
        signals.merge(quoted(text, first));
        // A doubled or escaped quote may be no end, and the next one is.
        if text.get(first + 1) == Some(&quote) && first > 0 {
            signals.merge(quoted(text, first + 1));
        }
        let other = if quote == b'"' { b'\'' } else { b'"' };
        if let Some(second) = memchr::memchr(other, &text[first..]) {
            signals.merge(quoted(text, first + second));
        }
    }
    if kinds.may_have(b'`')
        && let Some(tick) = memchr::memchr(b'`', text)
    {
        signals.merge(quoted(text, tick));
    }
    signals
}

/// Reads on after the quote at `at` has closed a string.
fn quoted(text: &[u8], at: usize) -> Signals {
    if prose::goes_on(&text[at + 1..]) {
        return Signals::default();
    }
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@' | b'%');
    let plain = text[at] == b'\'' && at < 40 && text[..at].iter().all(word);
    Reader::new(&text[at + 1..], Context::Quoted { plain }).read()
}

#[cfg(test)]
mod tests {
    use crate::inspect::detect::Signal;
    use crate::inspect::detect::tests::{query, table};

    #[test]
    fn unions() {
        table(
            Signal::SqlUnion,
            &[
                "1 union select 1,2,3",
                "-1' UNION ALL SELECT null,null--",
                "x') union/**/distinct select user from t#",
                "1 union(select 1),2",
                "1 /*!50000union*/ /*!select*/ 1,2",
                "id union select user from password",
                "\" union select @@version",
                "-9 union select * from users",
                "1e0union select 2",
            ],
            &[
                "European Union select committee members",
                "1 collate these union documents",
                "the union, select your size",
                "union jack",
            ],
        );
    }

    #[test]
    fn conditions() {
        table(
            Signal::SqlCondition,
            &[
                "1 or 1=1",
                "1' or '1'='1",
                "x\" and \"a\"<\"b",
                "1) or (1=1",
                "4 and 31337-31337=0",
                "' or ''='",
                "1' and ascii(substring(user(),1,1))>64#",
                "1 || 1==1",
                "1%' and 7366=9197#",
                "1' rlike (select 1) and 'a'='a",
                "x' and 1 in (1)--",
                "1 and 2 between 1 and 3",
                "3 and substring((version()),1,1)=x",
                "1 and ascii(lower(substring(user(),1,1)))=109m",
            ],
            &[
                "2 or 4 metal buttons",
                "rock'n'roll or blues",
                "O'Brien and Sons = friends",
                "status = Open AND assignee = currentUser()",
                "\"unique\" or \"rare\"",
                "this or that = fine",
                "it's 1 or 2",
                "1 < 2 and 2 > 1; a || b",
                "x and sin(x)=cos(x)",
                "created = 2020 and length(name) = n",
            ],
        );
    }

    #[test]
    fn statements() {
        table(
            Signal::SqlStatement,
            &[
                "1; drop table users",
                "x'; exec master..xp_cmdshell 'dir'--",
                "1;declare @a int",
                "1';waitfor delay '0:0:5'--",
                "');insert into t values(1)--",
                "1; select pg_sleep(5)",
                "1;shutdown",
            ],
            &[
                "first; second",
                "drop; table",
                "wash hands; select a towel",
                "a; update your profile",
                "delete; from the start",
            ],
        );
    }

    #[test]
    fn comments() {
        table(
            Signal::SqlComment,
            &["admin'--", "admin' -- ", "1')#", "x'/*", "admin';--", "1'))-- -"],
            &["'tis --", "he said 'no' -- twice", "1--", "$('#id')", "x's # 5"],
        );
    }

    #[test]
    fn queries() {
        assert!(query("select * from users where id=1").has(Signal::SqlQuery));
        assert!(query("1' and (select count(*) from t)>0--").has(Signal::SqlSubselect));
        assert!(query("(select top 1 password from users)").has(Signal::SqlSubselect));
        assert!(!query("select top ten items from the list").has(Signal::SqlSubselect));
        assert!(!query("please select one from the list").has(Signal::SqlQuery));
        assert!(!query("select a size from the menu").has(Signal::SqlQuery));
        assert!(query("1' order by 5-- -").has(Signal::SqlClause));
        assert!(query("pg_sleep(5)").has(Signal::SqlFunction));
        assert!(!query("sleep (well)").has(Signal::SqlFunction));
    }
}
