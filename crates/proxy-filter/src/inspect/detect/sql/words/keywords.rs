//! The keywords, and what is known of them by their first letters and lengths.

use super::Word;

/// The length of the longest keyword.
pub(super) const LONGEST: usize = 17;

/// By the first two letters, the lengths of the keywords that begin so, a bit for each.
pub(super) static LENGTHS: [u32; 26 * 27] = {
    let mut lengths = [0; 26 * 27];
    let mut at = 0;
    while at < KEYWORDS.len() {
        let name = KEYWORDS[at].0;
        lengths[pair(name[0], name[1])] |= 1 << name.len();
        at += 1;
    }
    lengths
};

/// Where the keywords with each first letter begin.
pub(super) static LETTERS: [u16; 27] = {
    let mut starts = [0; 27];
    let mut letter = 0;
    while letter < 27 {
        let mut at = 0;
        while at < KEYWORDS.len() && KEYWORDS[at].0[0] < b'a' + letter as u8 {
            at += 1;
        }
        starts[letter] = at as u16;
        letter += 1;
    }
    starts
};

/// A first letter, and a second one or something else; in lower case.
pub(super) const fn pair(first: u8, second: u8) -> usize {
    let second = second.wrapping_sub(b'a');
    (first - b'a') as usize * 27 + if second < 26 { second as usize } else { 26 }
}

/// The keywords, sorted.
#[rustfmt::skip]
pub(super) const KEYWORDS: &[(&[u8], Word)] = &[
    (b"all", Word::Prefix),
    (b"alter", Word::Define),
    (b"and", Word::Logic),
    (b"any", Word::Prefix),
    (b"as", Word::As),
    (b"asc", Word::Direction),
    (b"attach", Word::Other),
    (b"backup", Word::Other),
    (b"begin", Word::Begin),
    (b"between", Word::Compare),
    (b"binary", Word::Prefix),
    (b"bulk", Word::Other),
    (b"by", Word::By),
    (b"call", Word::Execute),
    (b"case", Word::Case),
    (b"collate", Word::Collate),
    (b"column", Word::Object),
    (b"constraint", Word::Object),
    (b"copy", Word::Other),
    (b"create", Word::Define),
    (b"cross", Word::Join),
    (b"current_date", Word::Constant),
    (b"current_time", Word::Constant),
    (b"current_timestamp", Word::Constant),
    (b"current_user", Word::Constant),
    (b"database", Word::Object),
    (b"deallocate", Word::Other),
    (b"declare", Word::Declare),
    (b"delay", Word::Delay),
    (b"delete", Word::Delete),
    (b"desc", Word::Direction),
    (b"distinct", Word::Prefix),
    (b"distinctrow", Word::Prefix),
    (b"div", Word::Arithmetic),
    (b"drop", Word::Define),
    (b"dumpfile", Word::File),
    (b"else", Word::Branch),
    (b"elseif", Word::Branch),
    (b"end", Word::End),
    (b"escape", Word::Option),
    (b"except", Word::Union),
    (b"exec", Word::Execute),
    (b"execute", Word::Execute),
    (b"exists", Word::Prefix),
    (b"false", Word::Constant),
    (b"fetch", Word::Limit),
    (b"for", Word::Option),
    (b"from", Word::From),
    (b"full", Word::Join),
    (b"function", Word::Object),
    (b"glob", Word::Compare),
    (b"grant", Word::Other),
    (b"group", Word::Order),
    (b"handler", Word::Other),
    (b"having", Word::Where),
    (b"if", Word::If),
    (b"ilike", Word::Compare),
    (b"in", Word::Compare),
    (b"index", Word::Object),
    (b"inner", Word::Join),
    (b"insert", Word::Insert),
    (b"intersect", Word::Union),
    (b"interval", Word::Prefix),
    (b"into", Word::Into),
    (b"is", Word::Compare),
    (b"isnull", Word::Compare),
    (b"join", Word::Join),
    (b"left", Word::Join),
    (b"like", Word::Compare),
    (b"limit", Word::Limit),
    (b"load", Word::Other),
    (b"localtime", Word::Constant),
    (b"login", Word::Object),
    (b"merge", Word::Insert),
    (b"minus", Word::Union),
    (b"mod", Word::Arithmetic),
    (b"mode", Word::Mode),
    (b"natural", Word::Join),
    (b"not", Word::Not),
    (b"notnull", Word::Compare),
    (b"null", Word::Constant),
    (b"nulls", Word::Direction),
    (b"offset", Word::Limit),
    (b"on", Word::Where),
    (b"or", Word::Logic),
    (b"order", Word::Order),
    (b"outer", Word::Join),
    (b"outfile", Word::File),
    (b"over", Word::Option),
    (b"overlaps", Word::Compare),
    (b"partition", Word::Order),
    (b"pragma", Word::Other),
    (b"prepare", Word::Other),
    (b"prior", Word::Prefix),
    (b"procedure", Word::Procedure),
    (b"regexp", Word::Compare),
    (b"rename", Word::Define),
    (b"replace", Word::Insert),
    (b"restore", Word::Other),
    (b"revoke", Word::Other),
    (b"right", Word::Join),
    (b"rlike", Word::Compare),
    (b"role", Word::Object),
    (b"schema", Word::Object),
    (b"select", Word::Select),
    (b"separator", Word::Option),
    (b"sequence", Word::Object),
    (b"session_user", Word::Constant),
    (b"set", Word::Set),
    (b"shutdown", Word::Shutdown),
    (b"similar", Word::Compare),
    (b"some", Word::Prefix),
    (b"sounds", Word::Compare),
    (b"sysdate", Word::Constant),
    (b"table", Word::Object),
    (b"tablespace", Word::Object),
    (b"temporary", Word::Object),
    (b"then", Word::Branch),
    (b"time", Word::Delay),
    (b"top", Word::Top),
    (b"trigger", Word::Object),
    (b"true", Word::Constant),
    (b"truncate", Word::Define),
    (b"union", Word::Union),
    (b"unique", Word::Object),
    (b"unknown", Word::Constant),
    (b"update", Word::Update),
    (b"user", Word::Object),
    (b"using", Word::Option),
    (b"vacuum", Word::Other),
    (b"values", Word::Values),
    (b"view", Word::Object),
    (b"waitfor", Word::Wait),
    (b"when", Word::Branch),
    (b"where", Word::Where),
    (b"with", Word::Other),
    (b"xor", Word::Logic),
];

#[cfg(test)]
mod tests {
    use super::super::word;
    use super::*;

    #[test]
    fn every_keyword_is_found() {
        assert!(KEYWORDS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (name, expected) in KEYWORDS {
            assert_eq!(word(name), Some(*expected));
            assert_eq!(word(&name.to_ascii_uppercase()), Some(*expected));
            assert_eq!(word(&[name, &b"x"[..]].concat()), None);
        }
    }
}
