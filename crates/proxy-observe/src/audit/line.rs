//! A line of the trail, taken apart. Strict: what is not exactly as the log writes it is no record.

use super::chain::RecordHash;

/// A record as it stands in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) sequence: u64,
    pub(super) previous: RecordHash,
    pub(super) hash: RecordHash,
    pub(super) mac: Option<RecordHash>,
    /// What the hash is of.
    pub(super) body: &'a [u8],
    /// What the record says: the inside of an object.
    pub(super) fragment: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line without its end.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_suffix(b"\"}")?;
        let (rest, last) = split_hash(rest)?;
        let (body, hash, mac) = match rest.strip_suffix(b",\"mac\":\"") {
            None => (rest.strip_suffix(b",\"hash\":\"")?, last, None),
            Some(rest) => {
                let (rest, hash) = split_hash(rest.strip_suffix(b"\"")?)?;
                (rest.strip_suffix(b",\"hash\":\"")?, hash, Some(last))
            }
        };
        let rest = body.strip_prefix(b"{\"seq\":")?;
        let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
        let (digits, rest) = rest.split_at(digits);
        if digits.len() > 1 && digits[0] == b'0' {
            return None;
        }
        let sequence = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let (previous, fragment) = rest.strip_prefix(b",\"prev\":\"")?.split_at_checked(64)?;
        let previous = RecordHash::parse(previous)?;
        let fragment = fragment.strip_prefix(b"\",")?;
        Some(Self { sequence, previous, hash, mac, body, fragment })
    }

    /// Whether the hash is of what the line says.
    pub(super) fn is_unchanged(&self) -> bool {
        RecordHash::of(self.body) == self.hash
    }

    /// The number of bytes of the torn line before it, if that is what it notes.
    pub(super) fn notes_torn(&self) -> Option<u64> {
        let event = b",\"event\":\"torn\",\"bytes\":";
        let at = self.fragment.windows(event.len()).position(|part| part == event)?;
        let digits = &self.fragment[at + event.len()..];
        let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
        std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
    }
}

fn split_hash(text: &[u8]) -> Option<(&[u8], RecordHash)> {
    let (rest, hash) = text.split_at_checked(text.len().checked_sub(64)?)?;
    Some((rest, RecordHash::parse(hash)?))
}

#[cfg(test)]
mod tests {
    use super::super::chain::{Chain, ChainKey};
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        for key in [None, Some(ChainKey::new([1; 32]))] {
            let keyed = key.is_some();
            let mut chain = Chain { key, ..Chain::default() };
            let mut out = Vec::new();
            chain.append(&mut out, b"\"time\":\"t\",\"event\":\"torn\",\"bytes\":17");
            let text = out.strip_suffix(b"\n").expect("a line");
            let line = Line::parse(text).expect("a record");
            assert_eq!((line.sequence, line.hash), (1, chain.head.hash));
            assert_eq!(line.mac.is_some(), keyed);
            assert!(line.is_unchanged());
            assert_eq!(line.notes_torn(), Some(17));
            for cut in 0..text.len() {
                assert!(Line::parse(&text[..cut]).is_none(), "cut at {cut}");
            }
        }
        assert!(Line::parse(b"{\"seq\":1}").is_none());
    }
}
