//! Integers of variable length (RFC 9000 section 16).

use bytes::BufMut;

/// The largest number that there is.
pub(super) const MAX: u64 = (1 << 62) - 1;

/// The number at the beginning of `bytes`, and how many bytes it takes; `None` asks for more.
pub(super) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let number = rest.iter().fold(u64::from(first & 0x3f), |n, &b| n << 8 | u64::from(b));
    Some((number, length))
}

/// Writes a number in as few bytes as it takes.
pub(super) fn write(out: &mut impl BufMut, number: u64) {
    debug_assert!(number <= MAX);
    match number {
        0..0x40 => out.put_u8(number as u8),
        0x40..0x4000 => out.put_u16(number as u16 | 1 << 14),
        0x4000..0x4000_0000 => out.put_u32(number as u32 | 2 << 30),
        _ => out.put_u64(number | 3 << 62),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000 appendix A.1.
    #[test]
    fn numbers_come_back() {
        for number in [0, 37, 63, 64, 15_293, 16_383, 16_384, 494_878_333, 1 << 30, MAX] {
            let mut out = Vec::new();
            write(&mut out, number);
            assert_eq!(read(&out), Some((number, out.len())));
            assert_eq!(read(&out[..out.len() - 1]), None);
        }
        assert_eq!(read(&[0x40, 0x25]), Some((37, 2)));
    }
}
