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
    // A whole word at once: every byte gets four bits, and then all become digits together.
    if let Ok(out) = <&mut [u8; 16]>::try_from(&mut *out) {
        out[..8].copy_from_slice(&digits((left >> 32) as u32));
        out[8..].copy_from_slice(&digits(left as u32));
        return;
    }
    for place in out.iter_mut().rev() {
        *place = DIGITS[(left & 15) as usize];
        left >>= 4;
    }
}

/// The eight digits of a number, most significant first.
fn digits(number: u32) -> [u8; 8] {
    let mut spread = u64::from(number);
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte that is a letter: above 9, adding 6 carries into the fifth bit.
    let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    let ascii = spread + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10);
    ascii.to_be_bytes()
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
