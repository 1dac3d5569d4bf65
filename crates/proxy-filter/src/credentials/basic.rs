//! Basic credentials (RFC 7617) in a field.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

/// The longest name and password together, in bytes.
const MAX_LENGTH: usize = 1024;

/// A name and a password. Not printable.
pub(super) struct Basic {
    bytes: Vec<u8>,
    colon: usize,
}

impl Basic {
    /// Those of a field. None where there is none, or more than one, or another scheme, or where it
    /// can not be read.
    pub(super) fn of(fields: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut values = fields.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || token.len() > 2 * MAX_LENGTH {
            return None;
        }
        let bytes = STANDARD.decode(token.trim()).ok()?;
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&bytes[..colon]).ok()?;
        let fits = !name.is_empty() && bytes.len() <= MAX_LENGTH;
        fits.then_some(Self { bytes, colon })
    }

    /// The name.
    pub(super) fn name(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.colon]).unwrap_or_default()
    }

    /// The password.
    pub(super) fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }

    /// Both, as they were sent.
    pub(super) fn pair(&self) -> &[u8] {
        &self.bytes
    }
}
