//! Reads a value as a piece of HTML: in the text of a page, or inside a tag.
//!
//! One walk over the value. Tags are looked at by name, attributes by what they do; neither needs
//! to be well-formed, for browsers are not strict either.

mod names;

use super::{Kinds, Signal, Signals};
use crate::inspect::steps::steps;
use names::{Tag, is_event, tag};

/// What a value is as HTML.
pub(super) fn read(text: &[u8], kinds: Kinds) -> Signals {
    let mut signals = Signals::default();
    let mut in_tag = false;
    let marks = if kinds.has(Kinds::ANGLE | Kinds::EQUALS) { text } else { &[] };
    for at in memchr::memchr3_iter(b'<', b'>', b'=', marks) {
        match text[at] {
            b'<' => in_tag = open(&text[at + 1..], &mut signals) || in_tag,
            b'>' => in_tag = false,
            _ => attribute(text, at, in_tag, &mut signals),
        }
    }
    if kinds.has(Kinds::COLON) && is_script_url(text) {
        signals.add(Signal::HtmlScriptUrl);
    }
    signals
}

/// Looks at what follows a `<`; gives whether a tag is open.
fn open(rest: &[u8], signals: &mut Signals) -> bool {
    steps(32);
    let Some(&first) = rest.first() else { return false };
    match first {
        b'!' | b'?' | b'%' => {
            declaration(rest, signals);
            false
        }
        b'/' => {
            let name = tag_name(&rest[1..]);
            if matches!(tag(name), Some(Tag::Raw | Tag::Script)) {
                signals.add(Signal::HtmlBreakout);
            }
            false
        }
        b'a'..=b'z' | b'A'..=b'Z' => {
            let name = tag_name(rest);
            if name.len() == 1 && is_spread(rest) {
                signals.add(Signal::HtmlActive);
            }
            match tag(name) {
                Some(Tag::Active) if is_frame(name, rest) => signals.add(Signal::HtmlFrame),
                Some(Tag::Script | Tag::Active) => signals.add(Signal::HtmlActive),
                Some(Tag::Unusual | Tag::Raw) => signals.add(Signal::HtmlUnusual),
                None => {}
            }
            true
        }
        _ => {
            if is_spread(rest) {
                signals.add(Signal::HtmlActive);
            }
            false
        }
    }
}

/// The name of a tag, without the prefix of a namespace.
fn tag_name(rest: &[u8]) -> &[u8] {
    let end = |text: &[u8]| {
        text.iter()
            .take(32)
            .position(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'-' | b'_'))
            .unwrap_or(text.len().min(32))
    };
    let length = end(rest);
    match rest.get(length) {
        Some(b':') => {
            let local = &rest[length + 1..];
            &local[..end(local)]
        }
        _ => &rest[..length],
    }
}

/// Whether a tag is an `iframe` that shows a page, whole: its address is in quotes and of the web,
/// or relative, and its end tag follows. What its attributes run is found apart.
fn is_frame(name: &[u8], rest: &[u8]) -> bool {
    if name != b"iframe" {
        return false;
    }
    let rest = &rest[..rest.len().min(1024)];
    let Some(end) = memchr::memmem::find(rest, b"></iframe>") else { return false };
    let attributes = &rest[..end];
    let Some(at) = memchr::memmem::find(attributes, b" src=\"") else { return false };
    let address = &attributes[at + 6..];
    let address = &address[..memchr::memchr(b'"', address).unwrap_or(0)];
    let is_web = [&b"https://"[..], b"http://"].iter().any(|scheme| address.starts_with(scheme));
    let is_path = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_');
    !address.is_empty()
        && memchr::memchr3(b'<', b'>', b'\'', attributes).is_none()
        && (is_web || address.iter().all(is_path) && !address.starts_with(b"//"))
}

/// `< s c r i p t`, `<f o r m`: filters that drop bytes would make a tag of it.
fn is_spread(rest: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] =
        [b"script", b"iframe", b"object", b"applet", b"dialog", b"embed", b"form"];
    let mut letters = [0u8; 6];
    let (mut count, mut gaps, mut after_letter) = (0, 0, false);
    for &b in rest.iter().take(24) {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {
                letters[count] = b.to_ascii_lowercase();
                count += 1;
                after_letter = true;
                let name = &letters[..count];
                // Short names must have a gap between all of their letters.
                if NAMES.contains(&name) && (count == 6 || gaps == count - 1) {
                    return true;
                }
                if count == 6 {
                    return false;
                }
            }
            b'<' | b'>' | b'=' | b'"' | b'\'' | b'0'..=b'9' => return false,
            _ => {
                gaps += usize::from(after_letter);
                after_letter = false;
            }
        }
    }
    false
}

/// `<!DOCTYPE x [`, `<!ENTITY`, `<!--#exec`, `<?xml-stylesheet`, `<?import`.
fn declaration(rest: &[u8], signals: &mut Signals) {
    let begins =
        |text: &[u8]| rest.len() >= text.len() && rest[..text.len()].eq_ignore_ascii_case(text);
    if begins(b"!entity") || begins(b"!--#") || begins(b"?import") || begins(b"?xml-stylesheet") {
        signals.add(Signal::HtmlDeclaration);
    }
    if begins(b"!doctype") {
        let head = &rest[..rest.len().min(256)];
        let end = memchr::memchr2(b'>', b'[', head).unwrap_or(head.len());
        if head.get(end) == Some(&b'[') {
            signals.add(Signal::HtmlDeclaration);
        }
    }
}

/// Looks at the attribute whose `=` stands at `at`.
fn attribute(text: &[u8], at: usize, in_tag: bool, signals: &mut Signals) {
    steps(32);
    // Not `==`, `<=`, `=>`.
    if text.get(at + 1) == Some(&b'=') || at > 0 && matches!(text[at - 1], b'=' | b'!') {
        return;
    }
    let near = at.saturating_sub(17);
    let name_end = near + text[near..at].trim_ascii_end().len();
    if name_end == near {
        return;
    }
    let length = text[..name_end]
        .iter()
        .rev()
        .take(33)
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'_'))
        .count();
    let name = &text[name_end - length..name_end];
    let before = text[..name_end - length].last().copied();
    let separated = before.is_none_or(|b| {
        b <= b' ' || matches!(b, b'/' | b'"' | b'\'' | b'`' | b'<' | b'>' | b';' | b',' | b'(')
    });
    if separated && is_handler(name, in_tag) {
        // Nothing but an assignment in a script stands between a semicolon and a plain name.
        signals.add(Signal::HtmlHandler);
    }
    // Otherwise `style=color:red` in a query would be read as CSS.
    if name.len() > 1 && is_script_url(&text[at + 1..]) {
        signals.add(Signal::HtmlScriptUrl);
    }
}

fn is_handler(name: &[u8], in_tag: bool) -> bool {
    let [o, n, rest @ ..] = name else { return false };
    if !o.eq_ignore_ascii_case(&b'o') || !n.eq_ignore_ascii_case(&b'n') || rest.len() < 3 {
        return false;
    }
    in_tag && rest.iter().all(u8::is_ascii_alphabetic) || is_event(rest)
}

/// Whether a text begins as a URL that runs code, whatever a browser skips in it.
fn is_script_url(text: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 4] = [b"javascript:", b"vbscript:", b"livescript:", b"mocha:"];
    let start = text
        .iter()
        .take(32)
        .position(|&b| b > b' ' && b < 0x80 && !matches!(b, b'"' | b'\'' | b'`' | b'(' | b'\\'))
        .unwrap_or(text.len().min(32));
    let text = &text[start..];
    if text.first().is_none_or(|b| !matches!(b | 0x20, b'j' | b'v' | b'l' | b'm' | b'd')) {
        return false;
    }
    let mut scheme = [0u8; 16];
    let mut length = 0;
    let mut used = 0;
    for &b in text.iter().take(64) {
        used += 1;
        if b <= b' ' || b == b'\\' || b >= 0x80 {
            continue;
        }
        if length == scheme.len() {
            break;
        }
        scheme[length] = b.to_ascii_lowercase();
        length += 1;
        if b == b':' {
            break;
        }
    }
    let scheme = &scheme[..length];
    if SCHEMES.contains(&scheme) {
        return !is_harmless(&text[used..]);
    }
    if scheme != b"data:" {
        return false;
    }
    let kind = &text[used..text.len().min(used + 24)];
    [&b"text/html"[..], b"image/svg", b"text/xml", b"application/x", b"text/javascript", b",<"]
        .iter()
        .any(|k| kind.len() >= k.len() && kind[..k.len()].eq_ignore_ascii_case(k))
}

/// `javascript:void(0)` and `javascript:;` are what links without a target have, and
/// `javascript: the good parts` is a book.
fn is_harmless(script: &[u8]) -> bool {
    let script = script.trim_ascii();
    let rest = [&b"void(0)"[..], b"void(null)", b"void 0", b"//", b"history.back()", b"#", b""]
        .iter()
        .find_map(|harmless| script.strip_prefix(*harmless))
        .unwrap_or(script);
    let rest = rest.strip_prefix(b";").unwrap_or(rest);
    // `javascript:3.3.9`: a version, of what measures pages.
    let is_version = rest.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    rest.is_empty()
        || is_version
        || matches!(rest[0], b'"' | b'\'' | b'&' | b' ' | b'>' | b',')
        || is_prose(rest)
}

/// Whether a script begins with two words, of which the first begins no statement.
fn is_prose(script: &[u8]) -> bool {
    const STATEMENTS: [&[u8]; 14] = [
        b"var",
        b"let",
        b"const",
        b"new",
        b"throw",
        b"void",
        b"delete",
        b"return",
        b"if",
        b"for",
        b"while",
        b"function",
        b"typeof",
        b"import",
    ];
    let end = script.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(script.len());
    let (word, rest) = script.split_at(end);
    matches!(rest, [b' ', next, ..] if next.is_ascii_alphabetic())
        && !STATEMENTS.iter().any(|s| s.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use crate::inspect::detect::Signal;
    use crate::inspect::detect::tests::table;

    #[test]
    fn tags() {
        table(
            Signal::HtmlActive,
            &[
                "<script>alert(1)</script>",
                "<SCRIPT/x src=//e.test>",
                "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>",
                "\"><iframe src=//e.test>",
                "<object data=x>",
                "<\n\rscript>",
                "<<script>",
                "<iframe src=\"https://a.test/",
                "<iframe src=\"//a.test/\"></iframe>",
                "<iframe src=x></iframe>",
                "<iframe src=\"data:text/html,x\"></iframe>",
            ],
            &[
                "<iframe id=\"a\" src=\"https://a.test/embed/1?b=c\" width=\"2\"></iframe>",
                "<p>text <b>bold</b></p>",
                "a < b and c > d",
                "<scripted>",
                "i <3 scripts",
            ],
        );
        table(Signal::HtmlBreakout, &["</script>", "</textarea><p>"], &["</p>", "</div>"]);
        table(
            Signal::HtmlDeclaration,
            &["<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///x'>]>", "<!--#exec cmd=\"ls\" -->"],
            &["<!DOCTYPE html>", "<!-- a note -->"],
        );
    }

    #[test]
    fn handlers() {
        table(
            Signal::HtmlHandler,
            &[
                "<img src=x onerror=alert(1)>",
                "<svg/onload=alert(1)",
                "\" onfocus=alert(1) autofocus x=\"",
                "' onmouseover = 'x",
                "<x onbeforehellfreezes=a>",
                "<svg onload\n=\nx>",
            ],
            &["online=true", "the setting on=5", "<p>only = this</p>", "once=1", "x.onclick==y"],
        );
    }

    #[test]
    fn script_urls() {
        table(
            Signal::HtmlScriptUrl,
            &[
                "javascript:alert(1)",
                " java\tscript:alert(1)",
                "\u{1}javascript:alert(1)",
                "<a href=\"javascript:alert(1)\">",
                "<a href='vbscript:x'>",
                "data:text/html,<b>",
                "<embed src='data:image/svg+xml;base64,x'>",
            ],
            &[
                "javascript:void(0)",
                "javascript:;",
                "javascript: the good parts",
                "javascript:3.3.9",
                "data: the numbers",
            ],
        );
    }
}
