//! Which responses are coded.

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use proxy_core::{coding, fields};

use crate::content_types::ContentTypes;

/// What an [`Eligibility`] sees of a response and its request.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The response's status.
    pub status: StatusCode,
    /// The response's fields.
    pub fields: &'a HeaderMap,
    /// The length of its content, where that is known; of a response to HEAD, what the response to
    /// GET would have.
    pub len: Option<u64>,
    /// Whether the request had `Authorization`, or a layer outside has verified who asks
    /// ([`Exchange::user`](proxy_core::Exchange::user)) and may have taken it off.
    pub authorized: bool,
}

/// Decides which responses are coded, once it is clear that they can be: they have content, all of
/// it, in no coding, which may be transformed.
pub trait Eligibility: Send + Sync + 'static {
    /// Whether this one is worth it.
    ///
    /// # Errors
    /// The reason why it is not.
    fn judge(&self, candidate: Candidate<'_>) -> Result<(), Skip>;
}

/// Why a response is not coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Skip {
    /// A status without content of its own: 1xx, 204, 205, 304, or a part (206).
    Status,
    /// It has a coding already.
    Coded,
    /// `no-transform` (RFC 9110 section 7.7).
    NoTransform,
    /// Its type is not one of those that are coded.
    ContentType,
    /// Less than the least size.
    Small,
    /// It sets a cookie, or the request had credentials: its length may give secrets away.
    Secret,
    /// Too many encoders are in use.
    Encoders,
    /// Coding takes too much of the machine.
    Load,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Status,
        Self::Coded,
        Self::NoTransform,
        Self::ContentType,
        Self::Small,
        Self::Secret,
        Self::Encoders,
        Self::Load,
    ];

    /// One word for it, in logs and metrics.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Coded => "coded",
            Self::NoTransform => "no_transform",
            Self::ContentType => "content_type",
            Self::Small => "small",
            Self::Secret => "secret",
            Self::Encoders => "encoders",
            Self::Load => "load",
        }
    }

    /// Whether it is about what is worth it alone: where a client refuses the content as it is, it
    /// gets a coded form all the same.
    pub(crate) const fn is_thrift(self) -> bool {
        matches!(self, Self::ContentType | Self::Small)
    }
}

/// By media type, size and secrets.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The types that are coded. Default: text, JSON, XML, scripts, SVG, wasm and the like; see
    /// [`ContentTypes::defaults`].
    pub content_types: ContentTypes,
    /// What is known to be smaller is not coded, in bytes. Default: 1 KiB.
    pub min_size: u64,
    /// Code responses that set cookies, and those to requests with `Authorization` or of a verified
    /// user, too. Where an
    /// attacker can make a client ask for pages in which both a secret and something of the
    /// attacker's choice appears, the length of the coded page tells the secret, letter by letter
    /// (the attack known as BREACH). Default: false.
    pub secrets: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { content_types: ContentTypes::default(), min_size: 1024, secrets: false }
    }
}

impl Eligibility for Rules {
    fn judge(&self, candidate: Candidate<'_>) -> Result<(), Skip> {
        let Candidate { fields, len, authorized, .. } = candidate;
        // What a client must not get coded stands before what is not worth it.
        if !self.secrets && (authorized || fields.contains_key(SET_COOKIE)) {
            return Err(Skip::Secret);
        }
        let content_type = fields.get(CONTENT_TYPE);
        if !content_type.is_some_and(|value| self.content_types.contains(value.as_bytes())) {
            return Err(Skip::ContentType);
        }
        if len.is_some_and(|len| len < self.min_size) {
            return Err(Skip::Small);
        }
        Ok(())
    }
}

/// Whether a response can be coded at all.
pub(crate) fn can_be_coded(status: StatusCode, fields: &HeaderMap) -> Result<(), Skip> {
    if status.is_informational()
        || matches!(
            status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::NOT_MODIFIED
        )
        || fields.contains_key(CONTENT_RANGE)
    {
        return Err(Skip::Status);
    }
    if coding::is_coded(fields) {
        return Err(Skip::Coded);
    }
    if is_not_to_be_transformed(fields) {
        return Err(Skip::NoTransform);
    }
    Ok(())
}

pub(crate) fn is_not_to_be_transformed(message: &HeaderMap) -> bool {
    fields::list(message, &CACHE_CONTROL).any(|name| name.eq_ignore_ascii_case("no-transform"))
}

/// What `Content-Length` says.
pub(crate) fn declared_len(response: &HeaderMap) -> Option<u64> {
    response.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, http::HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn what_can_be_coded() {
        use Skip::{Coded, NoTransform, Status};
        for (status, lines, expected) in [
            (200, &[][..], Ok(())),
            (404, &[], Ok(())),
            (204, &[], Err(Status)),
            (205, &[], Err(Status)),
            (206, &[], Err(Status)),
            (304, &[], Err(Status)),
            (101, &[], Err(Status)),
            (200, &[("content-range", "bytes 0-1/2")], Err(Status)),
            (200, &[("content-encoding", "gzip")], Err(Coded)),
            (200, &[("content-encoding", "identity, br")], Err(Coded)),
            (200, &[("content-encoding", "Identity")], Ok(())),
            (200, &[("cache-control", "max-age=1, No-Transform")], Err(NoTransform)),
            (
                200,
                &[("cache-control", "public"), ("cache-control", "no-transform")],
                Err(NoTransform),
            ),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(can_be_coded(status, &response(lines)), expected, "{status} {lines:?}");
        }
    }

    #[test]
    fn what_is_worth_it() {
        let judge = |rules: &Rules, lines: &[_], len, authorized| {
            let fields = &response(lines);
            rules.judge(Candidate { status: StatusCode::OK, fields, len, authorized })
        };
        let html = ("content-type", "text/html");
        let rules = Rules::default();
        assert_eq!(judge(&rules, &[html], None, false), Ok(()));
        assert_eq!(judge(&rules, &[html], Some(1024), false), Ok(()));
        assert_eq!(judge(&rules, &[html], Some(1023), false), Err(Skip::Small));
        assert_eq!(judge(&rules, &[], None, false), Err(Skip::ContentType));
        assert_eq!(judge(&rules, &[html, ("set-cookie", "a=b")], None, false), Err(Skip::Secret));
        assert_eq!(judge(&rules, &[html], None, true), Err(Skip::Secret));
        let rules = Rules { secrets: true, ..rules };
        assert_eq!(judge(&rules, &[html, ("set-cookie", "a=b")], None, true), Ok(()));
    }
}
