//! One word as a shell reads it.

use super::commands::{is_runner, known};
use crate::inspect::steps::steps;

/// What follows a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    End,
    /// `;`, `|`, `&`, `)`, a redirection, the end of a substitution.
    Separator,
    /// ` -x`, ` --x`, ` /c`.
    Option,
    /// ` /x`, ` ~/x`, ` ./x`, ` c:\`.
    Path,
    /// `$IFS`, ` $x`, `<`, a quote.
    Expansion,
    /// Some other word.
    Argument,
    /// What makes it no word of a command line: `=`, `:`, `(`.
    Name,
}

/// The longest name of a command, with room for its path.
const LONGEST: usize = 64;

/// A word.
#[derive(Clone, Debug)]
pub(super) struct Word {
    text: [u8; LONGEST],
    length: usize,
    /// Where its last part begins.
    base: usize,
    /// Whether it has directories.
    pub(super) has_path: bool,
    /// Whether it begins with one.
    pub(super) begins_path: bool,
    /// Whether quotes, backslashes or empty expansions hide it.
    pub(super) hidden: bool,
    /// Whether such a thing stands between two of its bytes, and is no quote of prose.
    pub(super) is_broken: bool,
    /// What follows.
    pub(super) after: After,
    /// Whether the argument begins with a digit.
    pub(super) digits_follow: bool,
    /// Whether what follows begins with a slash.
    pub(super) slash_follows: bool,
    /// Where the rest of the text begins.
    pub(super) end: usize,
}

impl Word {
    /// The name of the command, without directories, in lower case.
    pub(super) fn name(&self) -> &[u8] {
        let name = &self.text[self.base..self.length];
        [&b".exe"[..], b".com", b".bat"]
            .iter()
            .find_map(|ending| name.strip_suffix(*ending))
            .unwrap_or(name)
    }

    /// Whether it lies where programs lie.
    pub(super) fn command_directory(&self) -> bool {
        let is_one = |part: &[u8]| matches!(part, b"bin" | b"sbin" | b"system32" | b"syswow64");
        self.text[..self.base].split(|&b| b == b'/').any(is_one)
    }
}

/// Whether the word that begins at `from` is plainly none that matters: its last part is no name of
/// a command, nothing is hidden, and it does not lie where programs lie. Says no where it is not
/// plain.
pub(super) fn is_no_command(text: &[u8], from: usize) -> bool {
    let rest = text.get(from..).unwrap_or_default();
    let Some(start) = rest.iter().take(32).position(|&b| !is_opening(b)) else { return false };
    let near = &rest[start..rest.len().min(start + LONGEST)];
    let mut name = [0; 32];
    let (mut length, mut end) = (0, near.len());
    for (at, &b) in near.iter().enumerate() {
        match PARTS[usize::from(b)] {
            letter if letter > SLASH => {
                if length == name.len() {
                    return false;
                }
                name[length] = letter;
                length += 1;
            }
            SLASH => {
                if cuts_off(&near[at..]) {
                    return false;
                }
                let directory = &name[..length];
                let has = |part: &[u8]| directory.windows(part.len()).any(|w| w == part);
                if directory.ends_with(b"bin") || has(b"system32") || has(b"syswow64") {
                    return false;
                }
                length = 0;
            }
            // A drive, an ending, or what may hide the rest.
            HIDES if b != b':' || at <= 1 => return false,
            _ => {
                end = at;
                break;
            }
        }
    }
    steps(start + end + 1);
    let name = &name[..length];
    end < LONGEST && known(name).is_none() && !is_runner(name)
}

/// Marks what may hide a name, or end it.
const HIDES: u8 = 1;

/// Marks the end of a directory.
const SLASH: u8 = 2;

/// The bytes of words in lower case, and 0 for what ends them.
static PARTS: [u8; 256] = {
    let mut parts = [0; 256];
    let mut n = 0;
    while n < 256 {
        let b = n as u8;
        parts[n] = match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => b.to_ascii_lowercase(),
            b'/' => SLASH,
            b'\\' | b'\'' | b'"' | b'^' | b'$' | b':' | b'.' => HIDES,
            _ => 0,
        };
        n += 1;
    }
    parts
};

/// Reads the word that begins at `from`, after spaces.
pub(super) fn read(text: &[u8], from: usize) -> Word {
    let mut word = Word {
        text: [0; LONGEST],
        length: 0,
        base: 0,
        has_path: false,
        begins_path: false,
        hidden: false,
        is_broken: false,
        after: After::End,
        digits_follow: false,
        slash_follows: false,
        end: from,
    };
    let mut at = from;
    let peek = |at: usize| text.get(at).copied().unwrap_or(0);
    // Spaces, opening marks, and quotes around the whole.
    while at - from < 32 && is_opening(peek(at)) {
        at += 1;
    }
    let mut quotes = 0;
    // How many bytes of the word there were where something hid it last.
    let mut broken = 0;
    while word.length < LONGEST {
        let b = peek(at);
        match b {
            b'\'' | b'"' => {
                quotes += 1;
                if word.length > 0 {
                    word.hidden = true;
                    broken = word.length;
                }
            }
            b'\\' if peek(at + 1).is_ascii_alphanumeric() || peek(at + 1) == b'/' => {
                // A directory of Windows, or a letter that is hidden.
                if word.length > 2 && word.text[1] == b':' {
                    push(&mut word, b'/');
                } else {
                    word.hidden = true;
                    broken = word.length;
                }
            }
            b'^' => {
                word.hidden = true;
                broken = word.length;
            }
            b'$' => match expansion(&text[at..]) {
                Some(length) => {
                    word.hidden = true;
                    broken = word.length;
                    at += length;
                    continue;
                }
                None => break,
            },
            b'/' if cuts_off(&text[at..]) => break,
            b'/' => push(&mut word, b'/'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => {
                push(&mut word, b.to_ascii_lowercase());
            }
            b':' if word.length == 1 && matches!(peek(at + 1), b'\\' | b'/') => {
                push(&mut word, b':');
            }
            _ => break,
        }
        at += 1;
    }
    // Quotes around a word of prose hide nothing; an odd one ends a string.
    if quotes > 0 && word.length > 0 && peek(at.saturating_sub(1)) != b'\'' && quotes % 2 == 1 {
        word.hidden = false;
    }
    // Nor does the apostrophe of `the users' pages`.
    let is_plural = quotes == 1 && peek(at.saturating_sub(1)) == b'\'' && peek(at) == b' ';
    if is_plural && peek(at + 1).is_ascii_alphabetic() {
        word.hidden = false;
    }
    word.is_broken = word.hidden && broken > 0 && broken < word.length;
    word.end = at;
    steps(at - from + 1);
    word.after = after(text, at, &mut word.digits_follow);
    word.slash_follows = text[at..].iter().take(8).find(|b| !is_space(**b)) == Some(&b'/');
    word
}

fn push(word: &mut Word, b: u8) {
    if b == b'/' {
        word.begins_path |= word.length == 0 || word.text[word.length - 1] == b':';
        word.has_path = true;
        word.base = word.length + 1;
    }
    word.text[word.length] = b;
    word.length += 1;
    word.base = word.base.min(word.length);
}

/// Whether a byte may stand before the first word.
fn is_opening(b: u8) -> bool {
    GAPS[usize::from(b)] != 0
}

fn is_space(b: u8) -> bool {
    GAPS[usize::from(b)] == 1
}

/// What stands between words: 1 for spaces, 2 for what may open a command.
static GAPS: [u8; 256] = {
    let mut gaps = [0; 256];
    let mut n = 0;
    while n < 256 {
        gaps[n] = match n as u8 {
            b' ' | b'\t' | b'\r' | b'\n' | b'+' | 0x0B | 0x0C => 1,
            b'(' | b'{' | b'!' | b'@' => 2,
            _ => 0,
        };
        n += 1;
    }
    gaps
};

/// An expansion that is mostly empty: `$@`, `$*`, `$1`, `$u`, `${x}`, but not `$IFS`, which is a
/// space. Gives its length.
fn expansion(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'@' | b'*' | b'#' | b'!' | b'-' | b'0'..=b'9' => Some(2),
        b'(' if text.get(2) == Some(&b')') => Some(3),
        // `$'id'`: a string with escapes.
        b'\'' | b'"' => Some(1),
        b'{' => {
            let end = text.iter().take(24).position(|&b| b == b'}')?;
            (!text[2..end].starts_with(b"IFS")).then_some(end + 1)
        }
        b if b.is_ascii_alphabetic() => {
            let length =
                text[1..].iter().take(24).take_while(|b| b.is_ascii_alphanumeric()).count();
            (!text[1..].starts_with(b"IFS")).then_some(length + 1)
        }
        _ => None,
    }
}

/// Whether a text is nothing but the marks that cut off what a value was put in front of: two
/// slashes, or backslashes.
fn cuts_off(text: &[u8]) -> bool {
    (text.starts_with(b"//") || text.starts_with(b"\\"))
        && text.len() <= 4
        && text.iter().all(|b| matches!(b, b'/' | b'\\'))
}

fn after(text: &[u8], at: usize, digits: &mut bool) -> After {
    let Some(&b) = text.get(at) else { return After::End };
    match b {
        b'/' | b'\\' if cuts_off(&text[at..]) => return After::End,
        // The parameter of a path: `/a;session=1`.
        b';' if is_parameter(&text[at + 1..]) => return After::Name,
        b';' | b'|' | b'&' | b')' | b'`' | b'}' | b'#' | b',' => {
            return if b == b',' { After::Argument } else { After::Separator };
        }
        // `more</p>`, `top{left:0}`: markup and style sheets.
        b'<' if is_tag(&text[at + 1..]) => return After::Name,
        b'{' => return After::Name,
        b'<' | b'>' | b'$' => return After::Expansion,
        _ if is_space(b) => {}
        _ => return After::Name,
    }
    let spaces = text[at..].iter().take(32).take_while(|&&b| is_space(b)).count();
    let rest = &text[at + spaces..];
    let Some(&first) = rest.first() else { return After::End };
    let second = rest.get(1).copied().unwrap_or(0);
    *digits = first.is_ascii_digit();
    match first {
        b'-' if second == b'-' && rest.get(2).is_some_and(u8::is_ascii_alphabetic) => After::Option,
        b'-' if second.is_ascii_alphanumeric() => After::Option,
        b'/' if second.is_ascii_alphanumeric()
            || matches!(second, b'?' | b'*' | b'[' | b'$' | b'\\') =>
        {
            After::Path
        }
        b'~' | b'.' if second == b'/' || second == b'.' => After::Path,
        b'$' if second.is_ascii_alphabetic() || matches!(second, b'{' | b'(' | b'@') => {
            After::Expansion
        }
        b'*' if matches!(second, 0 | b' ' | b'#' | b';' | b'|' | b'&') => After::Path,
        b'<' if is_tag(&rest[1..]) => After::Argument,
        b'|' | b';' | b'&' if second != b'#' => After::Separator,
        b'<' | b'>' if matches!(second, b'<' | b'>' | b'/' | b'(' | b'&' | b' ') => {
            After::Separator
        }
        b'`' | b')' => After::Separator,
        b'=' | b':' => After::Name,
        _ if first.is_ascii_alphabetic() && second == b':' => match rest.get(2) {
            Some(b'\\' | b'/' | b'"' | b'\'') | None => After::Path,
            Some(b) if is_space(*b) => After::Path,
            _ => After::Argument,
        },
        _ if rest.starts_with(b"http://") || rest.starts_with(b"https://") => After::Path,
        _ => After::Argument,
    }
}

/// Whether what follows a `<` is a tag without attributes, or the end of an element.
fn is_tag(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    let length = rest.iter().take(12).take_while(|b| b.is_ascii_alphanumeric()).count();
    length > 0
        && rest[0].is_ascii_alphabetic()
        && matches!(rest[length..].trim_ascii_start(), [b'>', ..] | [b'/', b'>', ..])
}

/// Whether a text begins with `name=`.
fn is_parameter(text: &[u8]) -> bool {
    let end = text.iter().take(40).position(|b| !b.is_ascii_alphanumeric() && *b != b'_');
    matches!(end, Some(end) if end > 0 && text[end] == b'=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// What is said to be no command is none when it is read.
        #[test]
        fn no_command_is_none(
            text in "( |bin/|System32|cat|id|item|the|x|python3|sudo|then|a-b|\\(|\\{|'|\"|\\\\|/|\\.|:|\\$|\\^|;|,|=|-|[0-9]|\n|é){0,8}",
            from in 0usize..3,
        ) {
            let text = text.as_bytes();
            if from <= text.len() && is_no_command(text, from) {
                let word = read(text, from);
                prop_assert!(known(word.name()).is_none() && !is_runner(word.name()));
                prop_assert!(!word.hidden);
                prop_assert!(!word.has_path || !word.command_directory());
            }
        }
    }
}
