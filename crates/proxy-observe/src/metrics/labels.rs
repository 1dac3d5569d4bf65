//! Label values as small numbers: known methods, registered statuses.

use http::{Method, StatusCode, Version};

/// The methods of RFC 9110 and PATCH; then every other one.
pub(super) const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"];

pub(super) fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::CONNECT => 5,
        Method::OPTIONS => 6,
        Method::TRACE => 7,
        Method::PATCH => 8,
        _ => 9,
    }
}

/// The versions of HTTP that are served.
pub(super) const PROTOCOLS: [&str; 3] = ["http/1", "http/2", "http/3"];

pub(super) const fn protocol_index(version: Version) -> usize {
    match version {
        Version::HTTP_2 => 1,
        Version::HTTP_3 => 2,
        _ => 0,
    }
}

/// No response; the classes, for codes that nobody registered; the registered codes.
pub(super) const STATUSES: [&str; 69] = [
    "none", "1xx", "2xx", "3xx", "4xx", "5xx", "_OTHER", //
    "100", "101", "102", "103", "104", //
    "200", "201", "202", "203", "204", "205", "206", "207", "208", "226", //
    "300", "301", "302", "303", "304", "305", "307", "308", //
    "400", "401", "402", "403", "404", "405", "406", "407", "408", "409", "410", "411", "412",
    "413", "414", "415", "416", "417", "421", "422", "423", "424", "425", "426", "428", "429",
    "431", "451", //
    "500", "501", "502", "503", "504", "505", "506", "507", "508", "510", "511",
];

/// Index into [`STATUSES`] of every code from 0 to 599.
const INDEX: [u8; 600] = {
    let mut index = [0; 600];
    let mut code = 100;
    while code < 600 {
        index[code] = (code / 100) as u8;
        code += 1;
    }
    let mut at = 7;
    while at < STATUSES.len() {
        let d = STATUSES[at].as_bytes();
        let code =
            (d[0] - b'0') as usize * 100 + (d[1] - b'0') as usize * 10 + (d[2] - b'0') as usize;
        index[code] = at as u8;
        at += 1;
    }
    index
};

pub(super) fn status_index(status: Option<StatusCode>) -> usize {
    let Some(status) = status else { return 0 };
    INDEX.get(usize::from(status.as_u16())).map_or(6, |at| usize::from(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_methods() {
        for (at, name) in METHODS.iter().enumerate() {
            assert_eq!(method_index(&Method::from_bytes(name.as_bytes()).expect("a token")), at);
        }
        assert_eq!(METHODS[method_index(&Method::from_bytes(b"get").expect("a token"))], "_OTHER");
    }

    #[test]
    fn labels_of_statuses() {
        let label = |code| STATUSES[status_index(StatusCode::from_u16(code).ok())];
        for (code, expected) in [
            (200, "200"),
            (206, "206"),
            (418, "4xx"),
            (299, "2xx"),
            (511, "511"),
            (599, "5xx"),
            (600, "_OTHER"),
            (999, "_OTHER"),
            (199, "1xx"),
        ] {
            assert_eq!(label(code), expected);
        }
        assert_eq!(STATUSES[status_index(None)], "none");
    }
}
