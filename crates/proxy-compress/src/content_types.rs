//! Which media types are worth coding.

/// A set of media types: `text/html`, `text/*`, `+json`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentTypes(Box<[Pattern]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    /// With the slash.
    Tree(Box<str>),
    /// With the plus sign.
    Suffix(Box<str>),
    Type(Box<str>),
}

/// Not a media type, nor a pattern of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a media type, \"type/*\", \"+suffix\" or \"*\"")]
pub struct ContentTypeError(pub String);

/// What is text under another name, or compresses like it. Images, sound, film, archives and
/// `font/woff2` are compressed already.
const BY_DEFAULT: &[&str] = &[
    "text/*",
    "+json",
    "+xml",
    "+yaml",
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/xml",
    "application/x-ndjson",
    "application/jsonl",
    "application/json-seq",
    "application/yaml",
    "application/toml",
    "application/sql",
    "application/graphql",
    "application/rtf",
    "application/wasm",
    "application/x-sh",
    "application/x-tar",
    "application/x-font-ttf",
    "application/x-font-opentype",
    "application/vnd.ms-fontobject",
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "application/x-www-form-urlencoded",
    "font/ttf",
    "font/otf",
    "font/collection",
    "image/svg+xml",
    "image/bmp",
    "image/x-ms-bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "message/*",
];

impl Default for ContentTypes {
    fn default() -> Self {
        Self(BY_DEFAULT.iter().filter_map(|pattern| parse(pattern)).collect())
    }
}

impl ContentTypes {
    /// The types that are coded where nothing else is said.
    pub const fn defaults() -> &'static [&'static str] {
        BY_DEFAULT
    }

    /// A set of these patterns.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ContentTypeError> {
        let parsed: Result<_, _> = patterns
            .into_iter()
            .map(|pattern| parse(pattern).ok_or_else(|| ContentTypeError(pattern.to_owned())))
            .collect();
        parsed.map(Self)
    }

    /// Whether a `Content-Type` is of this set. Parameters count for nothing, case neither.
    pub fn contains(&self, content_type: &[u8]) -> bool {
        let end = content_type.iter().position(|&b| b == b';').unwrap_or(content_type.len());
        let media_type = content_type[..end].trim_ascii();
        if !media_type.contains(&b'/') {
            return false;
        }
        self.0.iter().any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Tree(tree) => media_type
                .get(..tree.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(tree.as_bytes())),
            Pattern::Suffix(suffix) => media_type
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|at| media_type[at..].eq_ignore_ascii_case(suffix.as_bytes())),
            Pattern::Type(whole) => media_type.eq_ignore_ascii_case(whole.as_bytes()),
        })
    }
}

fn parse(pattern: &str) -> Option<Pattern> {
    let is_token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    if matches!(pattern, "*" | "*/*") {
        return Some(Pattern::Any);
    }
    if let Some(suffix) = pattern.strip_prefix('+') {
        return is_token(suffix).then(|| Pattern::Suffix(pattern.into()));
    }
    let (tree, subtype) = pattern.split_once('/')?;
    if !is_token(tree) {
        return None;
    }
    match subtype {
        "*" => Some(Pattern::Tree(format!("{tree}/").into())),
        subtype => is_token(subtype).then(|| Pattern::Type(pattern.into())),
    }
}

/// Whether content of this type is read as it comes, however long that takes.
pub(crate) fn is_live(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|&b| b == b';').unwrap_or(content_type.len());
    let media_type = content_type[..end].trim_ascii();
    [&b"text/event-stream"[..], b"application/x-ndjson", b"application/jsonl"]
        .iter()
        .any(|live| media_type.eq_ignore_ascii_case(live))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_coded_by_default() {
        let types = ContentTypes::default();
        for (content_type, coded) in [
            ("text/html; charset=utf-8", true),
            ("TEXT/PLAIN", true),
            ("application/json ;charset=utf-8", true),
            ("application/problem+json", true),
            ("application/atom+xml", true),
            ("image/svg+xml", true),
            ("application/wasm", true),
            ("text/event-stream", true),
            ("application/grpc", false),
            ("application/grpc+proto", false),
            ("application/octet-stream", false),
            ("image/png", false),
            ("font/woff2", false),
            ("video/mp4", false),
            ("application/zip", false),
            ("texts/html", false),
            ("text", false),
            ("", false),
        ] {
            assert_eq!(types.contains(content_type.as_bytes()), coded, "{content_type:?}");
        }
    }

    #[test]
    fn patterns() {
        let types = ContentTypes::parse(["+json", "Image/*", "a/b"]).expect("patterns");
        assert!(types.contains(b"x/y+JSON") && types.contains(b"image/png"));
        assert!(types.contains(b"A/B;c=d") && !types.contains(b"a/bc"));
        assert!(ContentTypes::parse(["*"]).expect("a pattern").contains(b"video/mp4"));
        for wrong in ["json", "text/", "/x", "text/h tml", "+", "", "*/json"] {
            assert!(ContentTypes::parse([wrong]).is_err(), "{wrong:?}");
        }
    }
}
