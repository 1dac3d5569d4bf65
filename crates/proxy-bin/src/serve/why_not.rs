//! Why an address can not be listened on, in words that help.

use std::io;

use crate::config::plain;

/// What the system says about an address, and what it likely means.
pub(super) fn why_not(address: &str, error: &io::Error) -> String {
    let likely = likely(address, error.kind());
    let (text, colon) = (plain(error), if likely.is_empty() { "" } else { "; " });
    format!("{text}{colon}{likely}")
}

fn likely(address: &str, kind: io::ErrorKind) -> &'static str {
    let is_unix = address.starts_with("unix:");
    match kind {
        io::ErrorKind::AddrInUse if is_unix => "another process listens there, or it is no socket",
        io::ErrorKind::AddrInUse => {
            "another process listens there (`ss -lntup` says which), perhaps another proxyd"
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        io::ErrorKind::PermissionDenied if is_unix => "this user may not make files in that folder",
        io::ErrorKind::PermissionDenied => {
            "for a port below 1024 the process needs CAP_NET_BIND_SERVICE, or a socket of systemd"
        }
        io::ErrorKind::NotFound if is_unix => "that folder is not there",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likely_reason_stands_behind_what_the_system_says() {
        for (address, kind, part) in [
            ("127.0.0.1:80", io::ErrorKind::AddrInUse, "another process listens there (`ss"),
            ("127.0.0.1:443 (UDP)", io::ErrorKind::AddrInUse, "another process listens there (`ss"),
            ("192.0.2.1:80", io::ErrorKind::AddrNotAvailable, "no interface"),
            ("127.0.0.1:80", io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            ("unix:/run/a", io::ErrorKind::PermissionDenied, "may not make files"),
            ("unix:/no/a", io::ErrorKind::NotFound, "is not there"),
        ] {
            let told = why_not(address, &kind.into());
            assert!(told.contains(part), "{address}: {told}");
        }
        let errno = io::Error::from_raw_os_error(24);
        assert_eq!(why_not("127.0.0.1:80", &errno), "Too many open files");
    }
}
