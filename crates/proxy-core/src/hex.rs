//! Numbers in hexadecimal, without the formatting machinery: ids are written for every request.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes the lowest digits of `number`, as many as there is space for. In words of 64 bits:
/// shifting longer ones costs several instructions a digit.
pub(crate) fn write(number: u128, out: &mut [u8]) {
    let split = out.len().saturating_sub(16);
    let (high, low) = out.split_at_mut(split);
    write_word(number as u64, low);
    if !high.is_empty() {
        write_word((number >> 64) as u64, high);
    }
}

fn write_word(mut left: u64, out: &mut [u8]) {
    for place in out.iter_mut().rev() {
        *place = DIGITS[(left & 15) as usize];
        left >>= 4;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_fill_the_space() {
        let mut out = [0; 6];
        super::write(0xbeef, &mut out);
        assert_eq!(&out, b"00beef");
        super::write(u128::MAX, &mut out);
        assert_eq!(&out, b"ffffff");
        let mut out = [0; 34];
        super::write(0x0123_4567_89ab_cdef_0011_2233_4455_6677, &mut out);
        assert_eq!(&out, b"000123456789abcdef0011223344556677");
    }
}
