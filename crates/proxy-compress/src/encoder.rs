//! Encoders, as what the bodies drive: bytes in, bytes out, never more than there is room for.

mod brotli;
mod gzip;
mod zstd;

use crate::codings::Coding;
use crate::dictionary::Dictionary;

pub(crate) use self::brotli::Brotli;
pub(crate) use self::gzip::Gzip;
pub(crate) use self::zstd::Zstd;

/// What an encoder is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) level: u8,
    /// How much content there will be, where that is known.
    pub(crate) len: Option<u64>,
    /// Whether it comes in drops, for as long as it likes: a small window does.
    pub(crate) live: bool,
}

/// An encoder broke. None of them does, on sane input; what is out is then broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} encoder failed")]
pub struct EncodeError(pub Coding);

/// An encoder of any coding.
///
/// All methods write to the free capacity of `out` and never beyond it; where it is used up they
/// are to be called again. Until a flush has come to its end, nothing else may be written.
pub(crate) enum Encoder {
    Gzip(Gzip),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

impl Encoder {
    pub(crate) fn new(coding: Coding, settings: Settings) -> Result<Self, EncodeError> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Gzip::new(settings)),
            Coding::Brotli => Self::Brotli(Box::new(Brotli::new(settings))),
            Coding::Zstd => Self::Zstd(Zstd::new(settings)?),
        })
    }

    /// One that knows this content already. Not every coding has such.
    pub(crate) fn with_dictionary(
        coding: Coding,
        settings: Settings,
        dictionary: &Dictionary,
    ) -> Result<Self, EncodeError> {
        match coding {
            Coding::Gzip => Err(EncodeError(coding)),
            Coding::Brotli => {
                let brotli = Brotli::with_dictionary(settings, &dictionary.content);
                Ok(Self::Brotli(Box::new(brotli)))
            }
            Coding::Zstd => Zstd::with_dictionary(settings, &dictionary.content).map(Self::Zstd),
        }
    }

    /// Makes it as good as new; false where it can not be used again.
    pub(crate) fn renew(&mut self, settings: Settings) -> bool {
        match self {
            Self::Gzip(gzip) => gzip.renew(settings),
            Self::Brotli(_) => false,
            Self::Zstd(zstd) => zstd.renew(settings),
        }
    }

    /// What it holds while nobody uses it, in bytes; `None`: it is not worth keeping.
    pub(crate) fn idle_size(&self) -> Option<usize> {
        match self {
            Self::Gzip(_) => Some(gzip::SIZE),
            Self::Brotli(_) => None,
            Self::Zstd(zstd) => (!zstd.has_dictionary()).then(|| zstd.size()),
        }
    }

    /// Takes some of the input; how much.
    pub(crate) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        match self {
            Self::Gzip(gzip) => gzip.write(input, out),
            Self::Brotli(brotli) => brotli.write(input, out),
            Self::Zstd(zstd) => zstd.write(input, out),
        }
    }

    /// Gives out everything that was taken in; whether that is done.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        match self {
            Self::Gzip(gzip) => gzip.flush(out),
            Self::Brotli(brotli) => brotli.flush(out),
            Self::Zstd(zstd) => zstd.flush(out),
        }
    }

    /// Ends the content; whether that is done.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<bool, EncodeError> {
        match self {
            Self::Gzip(gzip) => gzip.finish(out),
            Self::Brotli(brotli) => brotli.finish(out),
            Self::Zstd(zstd) => zstd.finish(out),
        }
    }
}

/// About how much memory an encoder takes while it is in use, in bytes.
pub(crate) fn weight(coding: Coding, settings: Settings, dictionary: Option<&Dictionary>) -> usize {
    if let Some(dictionary) = dictionary {
        // Its own copy of it, and the tables over both.
        let len = dictionary.content.len();
        return 2 * len + weight(coding, beside(settings, len), None);
    }
    match coding {
        Coding::Gzip => gzip::SIZE,
        Coding::Brotli => Brotli::weight(settings),
        Coding::Zstd => Zstd::weight(settings),
    }
}

/// Where nobody knows how much content there will be beside a dictionary.
const BESIDE: usize = 512 * 1024;

/// The settings of an encoder whose window is to hold a dictionary of this length too.
fn beside(settings: Settings, dictionary: usize) -> Settings {
    let content = settings.len.unwrap_or_else(|| dictionary.max(BESIDE) as u64);
    Settings { len: Some(content.saturating_add(dictionary as u64)), live: false, ..settings }
}

#[cfg(test)]
mod tests;
