//! Readers of grammars: what a value would be, were it read as SQL, as HTML, as a command line.
//!
//! Each reader walks over the value once for each context it may have landed in, and says
//! [`Signals`]. What a signal is worth is for the rules to say.

mod html;
mod path;
mod shell;
mod sql;
mod target;

use serde::Deserialize;

use super::kinds::Kinds;
use super::steps::steps;
use super::value::{Place, Value};
pub(super) use shell::is_about_its_name;

macro_rules! signals {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a reader of a grammar, or the engine, says of a value or a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Signal {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Signal {
            /// All signals.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

signals! {
    /// SQL: `UNION SELECT` with what must follow it.
    SqlUnion,
    /// SQL: a condition joined on by `AND` or `OR` that compares.
    SqlCondition,
    /// SQL: the same, but it may be a filter of some query language.
    SqlFilter,
    /// SQL: a boolean operator with a constant behind it, after a break out of a string.
    SqlBoolean,
    /// SQL: a second statement.
    SqlStatement,
    /// SQL: `ORDER BY`, `GROUP BY`, `LIMIT`, `HAVING`, `INTO` after a value.
    SqlClause,
    /// SQL: a `SELECT` where an operand stands.
    SqlSubselect,
    /// SQL: a whole query.
    SqlQuery,
    /// SQL: a comment that cuts off the rest, after a break out of a string.
    SqlComment,
    /// SQL: a number or name with a comment behind it.
    SqlTail,
    /// SQL: a call of a function that waits, reads files or fails with data.
    SqlFunction,
    /// SQL: an expression goes on after a break out of a string.
    SqlExpression,
    /// HTML: a tag that runs or loads code.
    HtmlActive,
    /// HTML: a frame that shows a page, whole and with its address in quotes, as editors write it.
    HtmlFrame,
    /// HTML: a tag that pages of users rarely need.
    HtmlUnusual,
    /// HTML: an attribute that handles an event.
    HtmlHandler,
    /// HTML: the end of an element whose content is no markup.
    HtmlBreakout,
    /// HTML: a URL that runs code.
    HtmlScriptUrl,
    /// HTML: a declaration of a document or entity, or a processing instruction.
    HtmlDeclaration,
    /// Shell: a separator or substitution with a command behind it.
    ShellCommand,
    /// Shell: a command line from the start.
    ShellLine,
    /// Shell: a word that is a command, alone after a separator.
    ShellWord,
    /// Shell: expansions that only serve to hide words.
    ShellHidden,
    /// Shell: a command as the value of a parameter that is named for one.
    ShellParameter,
    /// Shell: a pattern of names that matches a program or secret file.
    ShellPattern,
    /// Paths: several steps up.
    PathClimb,
    /// Paths: one step up.
    PathStep,
    /// Paths: dots and slashes that only serve to confuse.
    PathConfusion,
    /// Paths: a file or directory that begins with a dot.
    PathHidden,
    /// URLs: a host of the machine itself.
    UrlLoopback,
    /// URLs: a service that hands out credentials of machines.
    UrlMetadata,
    /// URLs: an address instead of a name.
    UrlAddress,
    /// URLs: an address written so as not to look like one.
    UrlDisguised,
    /// URLs: userinfo, or another trick about where the host is.
    UrlConfusion,
    /// Escapes: overlong UTF-8.
    EscapeOverlong,
    /// Escapes: `%u`.
    EscapePercentU,
    /// Escapes: more layers than programs make by accident.
    EscapeDeep,
    /// Escapes: fullwidth or zero-width characters amid ASCII.
    EscapeDisguised,
    /// Escapes: a NUL.
    EscapeNul,
    /// The engine: JSON or XML nested too deep.
    LimitDepth,
    /// The engine: more values than are inspected.
    LimitValues,
    /// The engine: more content than is inspected.
    LimitContent,
    /// The engine: content that inflates too much.
    LimitCoding,
    /// The engine: content whose coding is unknown, or is not the one that it is said to be.
    CodingFalse,
    /// The engine: a method that the web does not use.
    MethodUnusual,
    /// The engine: a session's id in a request that another site made.
    SessionForeign,
    /// The engine: a multipart form whose parts can be read in two ways.
    MultipartAmbiguous,
    /// The engine: a line break in the path, or in the name of a parameter of the query.
    LineBreak,
    /// The engine: a content type against the grammar.
    ContentTypeOdd,
    /// The engine: the name of a part or of a file has what ends names.
    NameWithSyntax,
    /// The engine: a part in a charset that hides ASCII.
    CharsetHidden,
    /// Responses: a media type that does not pass.
    ResponseType,
    /// Responses: a kind of file that does not pass.
    ResponseFile,
    /// Responses: more content than passes.
    ResponseSize,
}

/// A set of signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signals(u64);

impl Signals {
    pub(super) fn add(&mut self, signal: Signal) {
        self.0 |= 1 << signal as u64;
    }

    pub(super) const fn has(self, signal: Signal) -> bool {
        self.0 & 1 << signal as u64 != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.iter().copied().filter(move |&s| self.has(s))
    }
}

const _: () = assert!(Signal::ALL.len() <= 64);

/// Reads a normalised value in all grammars.
pub(super) fn read(value: &Value<'_>, kinds: Kinds) -> Signals {
    let mut signals = Signals::default();
    let text = value.bytes;
    steps(text.len());
    if shell::is_run(value) {
        signals.add(Signal::ShellParameter);
    }
    // One word, one number, one token: nothing to read.
    if !value.place.is_read() || kinds.is_plain() && value.place != Place::Path {
        return signals;
    }
    if (value.place == Place::Path || value.place == Place::Query && value.is_name)
        && memchr::memchr2(b'\n', b'\r', text).is_some()
    {
        signals.add(Signal::LineBreak);
    }
    if (value.place == Place::FileName || value.place == Place::Part && value.is_name)
        && name_has_syntax(text)
    {
        signals.add(Signal::NameWithSyntax);
    }
    if kinds.has(Kinds::SPACE | Kinds::QUOTE | Kinds::PAREN | Kinds::OTHER | Kinds::EQUALS) {
        signals.merge(sql::read(text, kinds));
    }
    if kinds.has(Kinds::ANGLE | Kinds::EQUALS | Kinds::COLON) {
        signals.merge(html::read(text, kinds));
    }
    if kinds.has(Kinds::SHELL | Kinds::SPACE | Kinds::SLASH | Kinds::GLOB | Kinds::QUOTE)
        || kinds.has(Kinds::OTHER) && memchr::memchr(b'^', text).is_some()
    {
        signals.merge(shell::read(text, value, kinds));
    }
    // Without a slash there are no steps, and dots alone confuse nobody but at the beginning.
    if kinds.has(Kinds::DOT) && (kinds.has(Kinds::SLASH) || text.first() == Some(&b'.')) {
        let path = path::read(text);
        // Recordings of pages, as JSON or as JSON in a form, have the links of pages, from any depth.
        let is_link = matches!(value.place, Place::Json | Place::Form)
            && path.has(Signal::PathClimb)
            && path::names_link(value.name);
        signals.merge(if is_link { path::read_link(text, path) } else { path });
    }
    signals
}

/// Whether a name has a semicolon, quote, equals sign or backslash right before a letter or digit,
/// where some reader of fields ends it. The semicolon of `&amp;` is none.
fn name_has_syntax(name: &[u8]) -> bool {
    name.windows(2).enumerate().any(|(at, pair)| {
        let ends = matches!(pair[0], b';' | b'"' | b'=' | b'\\') && pair[1].is_ascii_alphanumeric();
        let letters = name[..at].iter().rev().take_while(|b| b.is_ascii_alphabetic()).count();
        let is_reference =
            pair[0] == b';' && letters > 0 && at > letters + 1 && name[at - letters - 1] == b'&';
        ends && !is_reference
    })
}

/// Reads a value that is a URL.
#[cfg(test)]
fn read_url(url: &[u8]) -> Signals {
    target::read(url)
}

/// The same of a value whose scheme and authority are known.
pub(super) fn read_origin(origin: &[u8], url: &[u8]) -> Signals {
    target::read_origin(origin, url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{normalise, structure};
    use proptest::prelude::*;

    pub(super) fn query(text: &str) -> Signals {
        let value =
            Value { place: Place::Query, name: b"q", bytes: text.as_bytes(), is_name: false };
        read(&value, Kinds::of(value.bytes))
    }

    /// Whether each text says the signal, or does not.
    pub(super) fn table(signal: Signal, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(query(text).has(signal), "{signal:?} expected of {text}");
        }
        for text in no {
            assert!(!query(text).has(signal), "{signal:?} not expected of {text}");
        }
    }

    proptest! {
        #[test]
        fn readers_never_panic(text in proptest::collection::vec(any::<u8>(), 0..120)) {
            let value =
                Value { place: Place::Query, name: b"", bytes: &text, is_name: false };
            read(&value, Kinds::of(&text));
            read_url(&text);
        }

        /// What is left out because a byte is not there would have said nothing.
        #[test]
        fn kinds_leave_nothing_out(
            text in "(['\"`;|&<>(){}$*/#@!=.,:?%\\\\\n -]|or|union|select|javascript:|a|1|on[a-z]=|\\.\\./|%2e|&lt;|\\\\x3c|é|\u{ff1c}|http://|[?]a=b){0,12}"
        ) {
            let text = text.as_bytes();
            let kinds = Kinds::of(text);
            prop_assert_eq!(html::read(text, kinds), html::read(text, Kinds::ALL));
            prop_assert_eq!(sql::read(text, kinds), sql::read(text, Kinds::ALL));
            if !kinds.has(Kinds::DOT) || !kinds.has(Kinds::SLASH) && text[0] != b'.' {
                prop_assert!(path::read(text).is_empty());
            }
            // With a blank around it, none of those inside is known of.
            let spaced = [b" ", text, b" "].concat();
            prop_assert_eq!(structure::of(text, kinds), structure::of(&spaced, Kinds::ALL));
            let normal = |kinds| {
                let (mut out, mut spare) = (Vec::new(), Vec::new());
                let traits = normalise::of_kinds(text, kinds, 4, &mut out, &mut spare);
                traits.map(|traits| (traits, out))
            };
            prop_assert_eq!(normal(kinds), normal(Kinds::ALL));
        }

        #[test]
        fn readers_never_panic_on_syntax(
            text in "(['\"`;|&<>(){}$*/#@!=.,:\\\\\n -]|or|and|union|select|from|on|a|1|0x){0,40}"
        ) {
            query(&text);
            read_url(text.as_bytes());
        }
    }
}
