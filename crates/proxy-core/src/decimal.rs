//! Numbers as text, without the machinery of formatting: a log writes some for each request.

use std::net::Ipv4Addr;

/// Appends an IPv4 address.
pub fn write_ipv4(out: &mut Vec<u8>, address: Ipv4Addr) {
    let mut text = [b'.'; 15];
    let mut at = 0;
    for (n, octet) in address.octets().into_iter().enumerate() {
        // The dot is there already.
        at += usize::from(n > 0);
        if octet >= 100 {
            text[at] = b'0' + octet / 100;
            at += 1;
        }
        if octet >= 10 {
            text[at] = b'0' + octet / 10 % 10;
            at += 1;
        }
        text[at] = b'0' + octet % 10;
        at += 1;
    }
    out.extend_from_slice(&text[..at]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_display_writes() {
        for n in 0..=255 {
            for address in [[n, 0, 9, 10], [99, n, 100, 255], [1, 2, n, n]] {
                let address = Ipv4Addr::from(address);
                let mut out = Vec::new();
                write_ipv4(&mut out, address);
                assert_eq!(String::from_utf8(out), Ok(address.to_string()));
            }
        }
    }
}
