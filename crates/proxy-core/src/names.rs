//! The one grammar of names, used wherever a configuration, a list or a rule names hosts.
//!
//! | pattern | matches |
//! |---|---|
//! | `x.test` | `x.test` itself and every name below it |
//! | `*.x.test` | only names below `x.test`, at any depth |
//! | `=x.test` | only `x.test` |
//! | `192.0.2.1`, `[2001:db8::1]` | only this address, in any spelling of it that an IP parser reads |
//!
//! Letters match without regard to case, and one trailing dot is ignored, in patterns and in hosts.
//! Whole labels match: `x.test` does not match `ax.test`. A pattern is ASCII; an internationalised
//! name is written in its `xn--` form. A host is given without its port.
//!
//! [`NamePattern`] is one pattern; [`NameSet`] holds many and answers with the longest.
//!
//! ```
//! use proxy_core::names::{NamePattern, NameSet};
//!
//! let pattern: NamePattern = "*.x.test".parse()?;
//! assert!(pattern.matches("a.b.X.Test."));
//! assert!(!pattern.matches("x.test"));
//!
//! // The longest name wins; at equal length an exception beats a block.
//! let blocked = NameSet::parse(["test", "ads.x.test"])?;
//! let excepted = NameSet::parse(["x.test"])?;
//! let is_blocked = |host: &str| match (blocked.longest(host), excepted.longest(host)) {
//!     (Some(block), Some(exception)) => block.length() > exception.length(),
//!     (block, _) => block.is_some(),
//! };
//! assert!(is_blocked("y.test"));
//! assert!(!is_blocked("x.test"));
//! assert!(is_blocked("a.ads.x.test"));
//! # Ok::<(), proxy_core::names::NameError>(())
//! ```

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The longest name that DNS carries, in bytes, without the trailing dot.
const MAX_NAME: usize = 253;
/// The longest label of a name, in bytes.
const MAX_LABEL: usize = 63;

/// Why a text is not a [`NamePattern`]. The message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is no name: the text is empty, or only a marker or a dot.
    #[error("`{0}` holds no name: write `x.test`, `*.x.test` or `=x.test`")]
    Empty(String),
    /// The name is not ASCII.
    #[error("`{0}` is not ASCII: write an internationalised name in its `xn--` form")]
    NotAscii(String),
    /// A `*` that is not the whole first label.
    #[error("`{0}`: `*` stands only at the front, as in `*.x.test`")]
    Wildcard(String),
    /// `=*.x.test`: exact and a wildcard at once.
    #[error("`{0}` is exact and a wildcard at once: write either `=x.test` or `*.x.test`")]
    TwoMarkers(String),
    /// The name begins with a dot, as other programs write "and all below".
    #[error(
        "`{pattern}` begins with a dot: write `{name}` for it and all below, `*.{name}` for only what is below"
    )]
    LeadingDot {
        /// What was given.
        pattern: String,
        /// The name without the dot.
        name: String,
    },
    /// A URL where a name belongs.
    #[error("`{0}` looks like a URL: write only the host's name")]
    Url(String),
    /// A port after the name.
    #[error("`{pattern}` has a port: write only the name, `{name}`")]
    Port {
        /// What was given.
        pattern: String,
        /// The part before the port.
        name: String,
    },
    /// Two dots in a row, or a second trailing dot.
    #[error("`{0}` has an empty label: two dots stand in a row")]
    EmptyLabel(String),
    /// A character that no host name has.
    #[error("`{pattern}`: {character:?} is not part of a host name")]
    Character {
        /// What was given.
        pattern: String,
        /// The first such character.
        character: char,
    },
    /// A label of more than 63 bytes.
    #[error("`{0}` has a label of more than 63 characters")]
    LabelTooLong(String),
    /// A name of more than 253 bytes.
    #[error("the name that begins with `{0}` has more than 253 characters")]
    NameTooLong(String),
    /// A wildcard over an IP address.
    #[error("`{0}`: nothing is below an IP address; write the address alone, or use a network")]
    BelowAddress(String),
    /// The last label is a number, so that the name would be read as an IPv4 address, and it is
    /// not one in the usual four decimal parts.
    #[error("`{0}` ends in a number but is not an IPv4 address in four decimal parts")]
    NotAnAddress(String),
}

/// What a pattern takes in, of the name it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// `x.test`: the name and all below it.
    Tree,
    /// `*.x.test`: only what is below the name.
    Below,
    /// `=x.test`: only the name. IP addresses are always exact.
    Exact,
}

impl NameKind {
    /// The marker before the name.
    fn marker(self) -> &'static str {
        match self {
            Self::Tree => "",
            Self::Below => "*.",
            Self::Exact => "=",
        }
    }

    /// Its bit in a [`Kinds`].
    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One pattern of the grammar in the [module's documentation](self).
///
/// [`Display`](fmt::Display) gives the pattern back in lower case, without a trailing dot; an IPv6
/// address stands in brackets.
///
/// ```
/// use proxy_core::names::{NameKind, NamePattern};
///
/// let pattern: NamePattern = "=Www.X.test.".parse()?;
/// assert_eq!(pattern.to_string(), "=www.x.test");
/// assert_eq!(pattern.kind(), NameKind::Exact);
/// assert!(pattern.matches("www.x.test"));
/// assert!(!pattern.matches("a.www.x.test"));
///
/// let error = "x.test:8080".parse::<NamePattern>().unwrap_err();
/// assert_eq!(error.to_string(), "`x.test:8080` has a port: write only the name, `x.test`");
/// # Ok::<(), proxy_core::names::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern {
    kind: NameKind,
    /// In lower case, without a trailing dot; an IPv6 address in brackets.
    name: Box<str>,
    /// Set when the name is an IP literal: it is compared as an address.
    address: Option<IpAddr>,
}

impl NamePattern {
    /// What it takes in.
    #[must_use]
    pub fn kind(&self) -> NameKind {
        self.kind
    }

    /// The name without its marker, in lower case.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address, where the pattern is an IP literal. An IPv4-mapped IPv6 address is the IPv4
    /// address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Whether the host is one that this pattern takes in. The host has no port; an IPv6 address
    /// may stand in brackets. Does not allocate.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = without_trailing_dot(host);
        if let Some(address) = self.address {
            return host_address(host) == Some(address);
        }
        let (host, name) = (host.as_bytes(), self.name.as_bytes());
        let Some(split) = host.len().checked_sub(name.len()) else {
            return false;
        };
        let position_fits = match self.kind {
            NameKind::Exact => split == 0,
            NameKind::Below => split > 0 && host[split - 1] == b'.',
            NameKind::Tree => split == 0 || host[split - 1] == b'.',
        };
        position_fits && host[split..].eq_ignore_ascii_case(name)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.kind, self.address.is_some(), &self.name)
    }
}

fn show(f: &mut fmt::Formatter<'_>, kind: NameKind, address: bool, name: &str) -> fmt::Result {
    if !address {
        f.write_str(kind.marker())?;
    }
    f.write_str(name)
}

impl FromStr for NamePattern {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let given = || text.to_owned();
        if !text.is_ascii() {
            return Err(NameError::NotAscii(given()));
        }
        let (kind, name) = if let Some(name) = text.strip_prefix("*.") {
            (NameKind::Below, name)
        } else if let Some(name) = text.strip_prefix('=') {
            (NameKind::Exact, name)
        } else {
            (NameKind::Tree, text)
        };
        if name.contains('*') {
            let two = kind == NameKind::Exact && name.starts_with("*.");
            return Err(if two {
                NameError::TwoMarkers(given())
            } else {
                NameError::Wildcard(given())
            });
        }
        let name = without_trailing_dot(name);
        if name.is_empty() {
            return Err(NameError::Empty(given()));
        }
        if name.contains('/') {
            return Err(NameError::Url(given()));
        }
        if let Some(address) = host_address(name) {
            if kind == NameKind::Below {
                return Err(NameError::BelowAddress(given()));
            }
            return Ok(Self::from(address));
        }
        check_name(text, name)?;
        Ok(Self { kind, name: name.to_ascii_lowercase().into(), address: None })
    }
}

impl From<IpAddr> for NamePattern {
    /// The pattern that is exactly this address.
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let name = match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        Self { kind: NameKind::Exact, name: name.into(), address: Some(address) }
    }
}

/// Checks a name that is not an address; `text` is the whole pattern, for the messages.
fn check_name(text: &str, name: &str) -> Result<(), NameError> {
    let given = || text.to_owned();
    if let Some(rest) = name.strip_prefix('.') {
        return Err(NameError::LeadingDot { pattern: given(), name: rest.to_owned() });
    }
    if let Some((before, port)) = name.rsplit_once(':')
        && !before.is_empty()
        && (before.ends_with(']') || !before.contains(':'))
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(NameError::Port { pattern: given(), name: before.to_owned() });
    }
    let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(character) = name.chars().find(|c| !is_part(c)) {
        return Err(NameError::Character { pattern: given(), character });
    }
    if name.len() > MAX_NAME {
        return Err(NameError::NameTooLong(name[..40].to_owned()));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(NameError::EmptyLabel(given()));
        }
        if label.len() > MAX_LABEL {
            return Err(NameError::LabelTooLong(given()));
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_number {
        return Err(NameError::NotAnAddress(given()));
    }
    Ok(())
}

fn without_trailing_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The address that a host is a literal of. IPv4-mapped IPv6 addresses become IPv4.
fn host_address(host: &str) -> Option<IpAddr> {
    let bytes = host.as_bytes();
    if let Some(inner) = host.strip_prefix('[') {
        let v6: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(IpAddr::V6(v6).to_canonical());
    }
    if bytes.contains(&b':') {
        return host.parse::<Ipv6Addr>().ok().map(|v6| IpAddr::V6(v6).to_canonical());
    }
    // A name's last label is never a number, so this keeps names from the parser.
    if !bytes.last().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    host.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

/// The kinds under which one name stands in a [`NameSet`]; a bit for each [`NameKind`].
#[derive(Debug, Clone, Copy, Default)]
struct Kinds(u8);

impl Kinds {
    fn has(self, kind: NameKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The most specific kind that takes in the name itself (`whole`) or a name below it.
    fn of(self, whole: bool) -> Option<NameKind> {
        let specific = if whole { NameKind::Exact } else { NameKind::Below };
        [specific, NameKind::Tree].into_iter().find(|kind| self.has(*kind))
    }
}

/// Many patterns, of which the longest that matches answers.
///
/// A lookup hashes each label suffix of the host, longest first, so that its cost depends on the
/// depth of the names and not on their number. It allocates only for a host that is not in lower
/// case.
///
/// ```
/// use proxy_core::names::NameSet;
///
/// let set = NameSet::parse(["x.test", "*.cdn.x.test", "=www.x.test", "[2001:db8::1]"])?;
/// let found = set.longest("a.cdn.x.test").map(|found| found.to_string());
/// assert_eq!(found.as_deref(), Some("*.cdn.x.test"));
/// assert!(set.contains("cdn.x.test"));
/// assert!(set.contains("[2001:DB8:0::1]"));
/// assert!(!set.contains("y.test"));
/// # Ok::<(), proxy_core::names::NameError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct NameSet {
    names: HashMap<Box<str>, Kinds>,
    addresses: HashMap<IpAddr, Box<str>>,
    /// Labels of the deepest name: longer suffixes need no lookup.
    most_labels: usize,
    patterns: usize,
}

impl NameSet {
    /// A set without patterns, which matches nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses each text as a [`NamePattern`]; the first that is none is the error.
    ///
    /// # Errors
    ///
    /// The [`NameError`] of the first text that is not a pattern.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        texts.into_iter().map(NamePattern::from_str).collect()
    }

    /// Adds a pattern; false when it was there already.
    pub fn insert(&mut self, pattern: NamePattern) -> bool {
        let added = if let Some(address) = pattern.address {
            self.addresses.insert(address, pattern.name).is_none()
        } else {
            let labels = 1 + memchr::memchr_iter(b'.', pattern.name.as_bytes()).count();
            self.most_labels = self.most_labels.max(labels);
            let kinds = self.names.entry(pattern.name).or_default();
            let added = !kinds.has(pattern.kind);
            kinds.0 |= pattern.kind.bit();
            added
        };
        self.patterns += usize::from(added);
        added
    }

    /// How many different patterns it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns
    }

    /// Whether it holds no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns == 0
    }

    /// Whether any pattern matches the host.
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        self.longest(host).is_some()
    }

    /// The longest name in the set that takes in the host; of several patterns for that one name,
    /// the most specific (`=` before `*.` before none). The host has no port.
    #[must_use]
    pub fn longest(&self, host: &str) -> Option<Match<'_>> {
        let host = without_trailing_dot(host);
        if !self.addresses.is_empty()
            && let Some(address) = host_address(host)
        {
            let name = self.addresses.get(&address)?;
            return Some(Match { name, kind: NameKind::Exact, address: true });
        }
        if self.names.is_empty() {
            return None;
        }
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        // The longest suffix that can be in the set begins after the dot that ends the label
        // before the last `most_labels`.
        let mut dots = memchr::memrchr_iter(b'.', host.as_bytes());
        let mut start = dots.nth(self.most_labels - 1).map_or(0, |dot| dot + 1);
        loop {
            let suffix = &host[start..];
            if let Some((name, kinds)) = self.names.get_key_value(suffix)
                && let Some(kind) = kinds.of(start == 0)
            {
                return Some(Match { name, kind, address: false });
            }
            start += memchr::memchr(b'.', suffix.as_bytes())? + 1;
        }
    }
}

impl FromIterator<NamePattern> for NameSet {
    fn from_iter<I: IntoIterator<Item = NamePattern>>(patterns: I) -> Self {
        let mut set = Self::new();
        set.extend(patterns);
        set
    }
}

impl Extend<NamePattern> for NameSet {
    fn extend<I: IntoIterator<Item = NamePattern>>(&mut self, patterns: I) {
        for pattern in patterns {
            self.insert(pattern);
        }
    }
}

/// The pattern of a [`NameSet`] that answered for a host. [`Display`](fmt::Display) gives it as it
/// is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match<'a> {
    name: &'a str,
    kind: NameKind,
    address: bool,
}

impl<'a> Match<'a> {
    /// The name, without its marker.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// What the pattern takes in of that name.
    #[must_use]
    pub fn kind(&self) -> NameKind {
        self.kind
    }

    /// The length by which the longest name wins, between sets too: the bytes of the name,
    /// without the marker. Two matches for one host are of equal length only when they are of the
    /// same name.
    #[must_use]
    pub fn length(&self) -> usize {
        self.name.len()
    }
}

impl fmt::Display for Match<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.kind, self.address, self.name)
    }
}

#[cfg(test)]
mod tests;
