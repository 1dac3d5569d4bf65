//! One line of a list, in any of its forms.

use std::borrow::Cow;
use std::net::IpAddr;

use proxy_core::{NameError, NameKind, NamePattern};

/// Why a line says nothing that a list can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It is not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An internationalised name that has no `xn--` form.
    #[error("`{0}` is not an internationalised name")]
    Idn(String),
    /// Several words, of which the first is no address.
    #[error("expected one name, or an address and names as in a hosts file")]
    Words,
    /// A line of more than 4096 bytes, or not in UTF-8.
    #[error("not a line of text")]
    NotText,
}

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'l> {
    /// Nothing: empty, or a comment.
    Nothing,
    /// Something that is not about names alone.
    Other,
    /// Names and all below them, in lower case and checked.
    Trees(Vec<Name<'l>>),
    /// One pattern, and whether it is an exception.
    Pattern { pattern: Name<'l>, exception: bool },
}

/// A name, in the cheapest form that it could be had in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'l> {
    /// A plain name in lower case.
    Plain(&'l str, NameKind),
    /// Anything else.
    Parsed(NamePattern),
}

/// Names that stand in every hosts file and mean this machine.
const LOCAL: [&str; 14] = [
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost4.localdomain4",
    "localhost6",
    "localhost6.localdomain6",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
];

/// Reads a line, without its end.
pub(super) fn read(line: &str) -> Result<Line<'_>, LineError> {
    let line = line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if line.is_empty() || line.starts_with(['#', '!', ';']) {
        // `##` and `#@#` of adblock lists begin so too.
        return Ok(Line::Nothing);
    }
    if line.starts_with('[') && line.ends_with(']') && line.contains(' ') {
        return Ok(Line::Nothing);
    }
    if let Some(rest) = line.strip_prefix("@@") {
        return Ok(adblock(rest, true));
    }
    if line.starts_with('|') || line.contains("##") || line.contains("#@#") || line.contains("#?#")
    {
        return Ok(adblock(line, false));
    }
    if let Some((key, rest)) = line.split_once("=/") {
        return match key {
            "address" | "server" | "local" => dnsmasq(rest),
            _ => Ok(Line::Other),
        };
    }
    let line = match line.find(|c: char| c.is_whitespace()) {
        None => return one(line),
        Some(at) => line.split_at(at),
    };
    let (first, rest) = (line.0, before_comment(line.1));
    if rest.trim().is_empty() {
        return one(first);
    }
    // A zone such as `fe80::1%lo0` follows some addresses.
    if first.split('%').next().and_then(|ip| ip.parse::<IpAddr>().ok()).is_none() {
        return Err(LineError::Words);
    }
    hosts(rest)
}

fn before_comment(text: &str) -> &str {
    text.split('#').next().unwrap_or(text)
}

fn one(text: &str) -> Result<Line<'_>, LineError> {
    // `.x.test`, as dnsmasq and others write it.
    let text = text.strip_prefix('.').unwrap_or(text);
    let text = before_comment(text);
    Ok(Line::Pattern { pattern: name(text)?, exception: false })
}

fn hosts(rest: &str) -> Result<Line<'_>, LineError> {
    let mut names = Vec::new();
    for word in rest.split_whitespace() {
        let is_local = LOCAL.iter().any(|local| local.eq_ignore_ascii_case(word));
        // A hosts file may say that an address is an address: `0.0.0.0 0.0.0.0`.
        if is_local || word.parse::<IpAddr>().is_ok() {
            continue;
        }
        names.push(name(word)?);
    }
    Ok(if names.is_empty() { Line::Nothing } else { Line::Trees(names) })
}

fn dnsmasq(rest: &str) -> Result<Line<'_>, LineError> {
    // `/a.test/b.test/0.0.0.0`: what follows the last slash is the answer.
    let Some((names, _)) = rest.rsplit_once('/') else { return Err(LineError::Words) };
    let names = names.split('/').map(name).collect::<Result<Vec<_>, _>>()?;
    Ok(Line::Trees(names))
}

/// `||name^`, and nothing more: options and paths say which pages, which is not asked here.
fn adblock(rule: &str, exception: bool) -> Line<'_> {
    let only = rule.strip_prefix("||").and_then(|rule| {
        let rule = rule.strip_suffix('|').unwrap_or(rule);
        rule.strip_suffix('^')
    });
    match only.map(name) {
        Some(Ok(pattern)) => Line::Pattern { pattern, exception },
        _ => Line::Other,
    }
}

/// A name of the grammar, in any script.
fn name(text: &str) -> Result<Name<'_>, LineError> {
    if is_plain(text) {
        return Ok(Name::Plain(text, NameKind::Tree));
    }
    let text = match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(ascii(text)?),
    };
    Ok(Name::Parsed(text.parse()?))
}

/// Whether a text is certainly a name in lower case, so that it need not be parsed: the millionth
/// time this matters.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() > 253 {
        return false;
    }
    let mut label = 0;
    let mut letters = false;
    for &byte in bytes {
        match byte {
            b'a'..=b'z' => {
                label += 1;
                letters = true;
            }
            b'0'..=b'9' | b'-' | b'_' => label += 1,
            b'.' if label > 0 => {
                label = 0;
                letters = false;
            }
            _ => return false,
        }
        if label > 63 {
            return false;
        }
    }
    // A last label that is a number, in whatever base, would be an address.
    label > 0 && letters && !last_is_hexadecimal(text)
}

fn last_is_hexadecimal(text: &str) -> bool {
    text.rsplit('.').next().is_some_and(|label| label.starts_with("0x"))
}

/// The `xn--` form, markers kept.
fn ascii(text: &str) -> Result<String, LineError> {
    let (marker, name) = match text {
        _ if text.starts_with("*.") => text.split_at(2),
        _ if text.starts_with('=') => text.split_at(1),
        _ => ("", text),
    };
    let name = idna::domain_to_ascii(name).map_err(|_| LineError::Idn(text.to_owned()))?;
    Ok(format!("{marker}{name}"))
}
