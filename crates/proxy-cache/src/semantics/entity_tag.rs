//! Entity tags (RFC 9110 section 8.8.3) and whether a date can be trusted like a strong one.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use super::dates::{self, Stamp};

/// An entity tag as it was received.
///
/// What is not an entity tag by the grammar (no quotation marks, `w/` in the small letter) is kept
/// as it is and weak: equal to nothing but the same bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntityTag<'a> {
    opaque: &'a [u8],
    weak: bool,
    valid: bool,
}

impl<'a> EntityTag<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Self {
        let (opaque, weak) =
            value.strip_prefix(b"W/").map_or((value, false), |opaque| (opaque, true));
        match opaque {
            [b'"', inside @ .., b'"'] if inside.iter().all(|&b| is_character(b)) => {
                Self { opaque, weak, valid: true }
            }
            _ => Self { opaque: value, weak: true, valid: false },
        }
    }

    /// The one in `ETag`. None if there are several that differ: it is not a list.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::ETAG).iter();
        let first = lines.next()?;
        if first.is_empty() || lines.any(|line| line != first) {
            return None;
        }
        Some(Self::parse(super::lists::trim(first.as_bytes())))
    }

    pub(super) const fn is_strong(&self) -> bool {
        !self.weak
    }

    /// The tag as it is written in the grammar; false for what is none.
    pub(super) const fn is_valid(&self) -> bool {
        self.valid
    }

    /// Weak comparison (RFC 9110 section 8.8.3.2).
    pub(super) fn matches_weakly(&self, other: &EntityTag<'_>) -> bool {
        self.valid == other.valid && self.opaque == other.opaque
    }

    /// Strong comparison (RFC 9110 section 8.8.3.2).
    pub(super) fn matches_strongly(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }
}

/// `etagc` of RFC 9110 section 8.8.3.
const fn is_character(b: u8) -> bool {
    matches!(b, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

/// `Last-Modified`, where it is a strong validator: at least one second before the `Date` of the
/// same response (RFC 9110 section 8.8.2.2). Without `Date`, before it was received.
pub(super) fn strong_date(headers: &HeaderMap, received_at: SystemTime) -> Option<SystemTime> {
    let modified = dates::stamp(headers, &header::LAST_MODIFIED, received_at).time()?;
    let date = match dates::stamp(headers, &header::DATE, received_at) {
        Stamp::At(date) => date,
        Stamp::Absent => received_at,
        Stamp::Invalid => return None,
    };
    (dates::since(date, modified) >= Duration::from_secs(1)).then_some(modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_compare_as_rfc_9110_section_8_8_3_2_says() {
        const CASES: &[(&str, &str, bool, bool)] = &[
            // (one, other, strong, weak); the table of the section
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            // 8.8.3: what is no entity tag is equal to itself only, and weak
            ("1", "1", false, true),
            ("1", r#""1""#, false, false),
            (r#"w/"1""#, r#"w/"1""#, false, true),
            (r#"w/"1""#, r#""1""#, false, false),
            (r#"W/"a b""#, r#"W/"a b""#, false, true),
            ("\"\u{fc}\"", "\"\u{fc}\"", true, true), // obs-text
            (r#""a\""#, r#""a\""#, true, true),       // a backslash is a character
            (r#""""#, r#""""#, true, true),
        ];
        for &(one, other, strong, weak) in CASES {
            let (a, b) = (EntityTag::parse(one.as_bytes()), EntityTag::parse(other.as_bytes()));
            assert_eq!(a.matches_strongly(&b), strong, "{one} {other}");
            assert_eq!(b.matches_strongly(&a), strong, "{other} {one}");
            assert_eq!(a.matches_weakly(&b), weak, "{one} {other}");
            assert_eq!(b.matches_weakly(&a), weak, "{other} {one}");
        }
    }
}
