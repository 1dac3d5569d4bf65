//! Heads, chunks and trailer sections as they go out: names in lower case, one line for each
//! value, no formatting machinery.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, Method, StatusCode, Uri, Version};

/// `HTTP/1.1 200 OK` and CRLF. `reason`: another phrase than the usual one.
pub fn write_status_line(
    out: &mut BytesMut,
    version: Version,
    status: StatusCode,
    reason: Option<&[u8]>,
) {
    if version != Version::HTTP_10 && status == StatusCode::OK && reason.is_none() {
        return out.put_slice(b"HTTP/1.1 200 OK\r\n");
    }
    let usual = || status.canonical_reason().unwrap_or("<none>").as_bytes();
    out.put_slice(version_text(version));
    out.put_slice(b" ");
    out.put_slice(status.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(reason.unwrap_or_else(usual));
    out.put_slice(b"\r\n");
}

/// `GET /x HTTP/1.1` and CRLF. The target is written as its form has it.
pub fn write_request_line(out: &mut BytesMut, method: &Method, target: &Uri, version: Version) {
    out.put_slice(method.as_str().as_bytes());
    out.put_slice(b" ");
    if let Some(scheme) = target.scheme_str() {
        out.put_slice(scheme.as_bytes());
        out.put_slice(b"://");
    }
    if let Some(authority) = target.authority() {
        out.put_slice(authority.as_str().as_bytes());
    }
    out.put_slice(target.path().as_bytes());
    if let Some(query) = target.query() {
        out.put_slice(b"?");
        out.put_slice(query.as_bytes());
    }
    out.put_slice(b" ");
    out.put_slice(version_text(version));
    out.put_slice(b"\r\n");
}

/// Field lines, without an empty line behind them.
pub fn write_fields(out: &mut BytesMut, fields: &HeaderMap) {
    for (name, value) in fields {
        write_field(out, name.as_str(), value.as_bytes());
    }
}

/// One field line.
pub fn write_field(out: &mut BytesMut, name: &str, value: &[u8]) {
    // One look at the room, not four.
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// The line before a chunk of `len` bytes, which CRLF must follow (RFC 9112 section 7.1).
pub fn write_chunk_size(out: &mut BytesMut, len: usize) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut left = len;
    loop {
        at -= 1;
        digits[at] = b"0123456789ABCDEF"[left & 15];
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}

/// The last chunk and the trailer section, which may be empty (RFC 9112 section 7.1.2).
pub fn write_last_chunk(out: &mut BytesMut, trailers: &HeaderMap) {
    out.put_slice(b"0\r\n");
    write_fields(out, trailers);
    out.put_slice(b"\r\n");
}

const fn version_text(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        _ => b"HTTP/1.1",
    }
}

/// Bytes of an HTTP date.
pub const DATE_LENGTH: usize = 29;

/// A date as `Date` has it (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn imf_fixdate(time: SystemTime) -> [u8; DATE_LENGTH] {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // 1 January 1970 was a Thursday.
    let weekday = (days % 7) as usize * 3;
    date[..3].copy_from_slice(&b"ThuFriSatSunMonTueWed"[weekday..weekday + 3]);
    two(&mut date[5..7], day);
    let month = month as usize * 3;
    date[8..11].copy_from_slice(&b"JanFebMarAprMayJunJulAugSepOctNovDec"[month - 3..month]);
    two(&mut date[12..14], year / 100);
    two(&mut date[14..16], year % 100);
    two(&mut date[17..19], second / 3600);
    two(&mut date[20..22], second / 60 % 60);
    two(&mut date[23..25], second % 60);
    date
}

fn two(out: &mut [u8], n: u64) {
    out[0] = b'0' + (n / 10 % 10) as u8;
    out[1] = b'0' + (n % 10) as u8;
}

/// Year, month and day of a day since 1970, in the Gregorian calendar: eras of 400 years that
/// begin on 1 March (Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn status_lines() {
        for (version, status, reason, line) in [
            (Version::HTTP_11, 200, None, "HTTP/1.1 200 OK\r\n"),
            (Version::HTTP_10, 200, None, "HTTP/1.0 200 OK\r\n"),
            (Version::HTTP_2, 404, None, "HTTP/1.1 404 Not Found\r\n"),
            (Version::HTTP_11, 299, None, "HTTP/1.1 299 <none>\r\n"),
            (Version::HTTP_11, 200, Some("Fine"), "HTTP/1.1 200 Fine\r\n"),
        ] {
            let status = StatusCode::from_u16(status).expect("status");
            let reason = reason.map(str::as_bytes);
            assert_eq!(written(|out| write_status_line(out, version, status, reason)), line);
        }
    }

    #[test]
    fn targets_keep_their_form() {
        for (method, target, line) in [
            ("GET", "/a?b", "GET /a?b"),
            ("OPTIONS", "*", "OPTIONS *"),
            ("GET", "http://a.test:80/x?y=z", "GET http://a.test:80/x?y=z"),
            ("GET", "http://a.test", "GET http://a.test/"),
            ("CONNECT", "a.test:443", "CONNECT a.test:443"),
        ] {
            let method = method.parse().expect("method");
            let target = target.parse().expect("target");
            assert_eq!(
                written(|out| write_request_line(out, &method, &target, Version::HTTP_11)),
                format!("{line} HTTP/1.1\r\n")
            );
        }
    }

    #[test]
    fn chunks_and_trailers() {
        for len in [0, 1, 9, 10, 15, 16, 255, 4096, 0xABCDEF, usize::MAX] {
            assert_eq!(written(|out| write_chunk_size(out, len)), format!("{len:X}\r\n"));
        }
        let mut trailers = HeaderMap::new();
        assert_eq!(written(|out| write_last_chunk(out, &trailers)), "0\r\n\r\n");
        trailers.insert("x-sum", http::HeaderValue::from_static("1"));
        trailers.append("x-sum", http::HeaderValue::from_static("2"));
        assert_eq!(
            written(|out| write_last_chunk(out, &trailers)),
            "0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n"
        );
    }

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_709_251_200, "Fri, 01 Mar 2024 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(
                std::str::from_utf8(&imf_fixdate(UNIX_EPOCH + Duration::from_secs(seconds))),
                Ok(date)
            );
        }
    }
}
