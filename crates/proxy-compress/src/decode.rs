//! Taking codings off, within caps.
//!
//! A few bytes can stand for gigabytes, so nothing here gives out more than it is asked for at a
//! time: a [`ContentDecoder`] writes to the free capacity of a buffer, and [`Unpacker`] counts what
//! has come out against [`DecodeLimits`].
//!
//! What goes beyond them, or is malformed, becomes a 502 with a reason ([`DecodeError::reason`]) as
//! long as nothing has been sent. The head waits for the first decoded bytes, and where the content
//! grows beyond the ratio from its beginning on, for the end of the bytes of grace. Later the content
//! is broken off. Both are in the exchange's record.

mod body;
mod fields;
mod layer;
mod probe;
mod stages;
mod unpacker;

use http::StatusCode;
use proxy_core::{Decision, ErrorKind, Exchange, ProxyError, Refusal, Verdict};

pub use body::DecodeBody;
pub use layer::{Decode, DecodeFuture, DecodeLayer};
pub use stages::{ContentDecoder, decoder};
pub use unpacker::{DecodeLimits, Unpacker};

/// Why content could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is not in the coding that it is said to be in.
    #[error("the content is not in the coding {0:?} that it is said to be in")]
    Malformed(&'static str),
    /// It breaks off.
    #[error("the coded content breaks off")]
    Truncated,
    /// There is no decoder for one of its codings.
    #[error("there is no decoder for this content coding")]
    Unknown,
    /// More codings over each other than are taken off.
    #[error("more than {0} codings over each other")]
    Nested(usize),
    /// More content than may come out.
    #[error("more than {0} bytes of decoded content")]
    TooLarge(u64),
    /// What comes out is more than so many times what went in.
    #[error("the content grows more than {0}-fold")]
    Bomb(u32),
}

impl DecodeError {
    /// One word for it, on error pages and in logs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "content_coding_malformed",
            Self::Truncated => "content_coding_incomplete",
            Self::Unknown => "content_coding_unknown",
            Self::Nested(_) => "content_coding_nested",
            Self::TooLarge(_) => "decoded_content_too_large",
            Self::Bomb(_) => "decompression_bomb",
        }
    }

    /// The error of an exchange in whose content it happened.
    fn into_proxy_error(self) -> ProxyError {
        let error = ProxyError::new(ErrorKind::HttpResponseContentCoding);
        error.detail(self.reason()).source(self)
    }

    /// The answer in place of a response, as long as nothing of it has been sent.
    fn refusal(&self, exchange: Option<&Exchange>) -> Refusal {
        let mut refusal = Refusal::new(StatusCode::BAD_GATEWAY, self.reason());
        refusal.error = ErrorKind::HttpResponseContentCoding;
        refusal.recorded(exchange, LAYER)
    }

    /// Writes into the record why a response breaks off.
    fn record(&self, exchange: Option<&Exchange>) {
        let Some(exchange) = exchange else { return };
        let kind = ErrorKind::HttpResponseContentCoding;
        exchange.set_error(kind);
        exchange.decide(Decision {
            layer: LAYER,
            rule: None,
            verdict: Verdict::of_refusal(StatusCode::BAD_GATEWAY, kind),
            reason: self.reason().into(),
        });
    }
}

/// What the layer is called in records.
const LAYER: &str = "decode";
