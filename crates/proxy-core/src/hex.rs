//! Numbers in hexadecimal, without the formatting machinery: ids are written for every request.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes the lowest digits of `number`, as many as there is space for.
pub(crate) fn write(number: u128, out: &mut [u8]) {
    let mut left = number;
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
    }
}
