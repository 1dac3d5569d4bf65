//! Which ports a client may have dialled.

use std::fmt;
use std::ops::RangeInclusive;

use super::{Prohibited, Reason};

/// The ports that browsers refuse to fetch from: other protocols live there, which an HTTP request
/// could be made to speak to (the Fetch standard, "port blocking").
#[rustfmt::skip]
pub const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// A set of ports. Port 0 is in none.
///
/// ```
/// use proxy_upstream::guard::PortPolicy;
/// assert!(PortPolicy::http().allows(8080));
/// assert!(!PortPolicy::http().allows(22) && !PortPolicy::http().allows(6667));
/// assert!(PortPolicy::connect().allows(443) && !PortPolicy::connect().allows(80));
/// let own = PortPolicy::parse(["443", "8000-8999"])?;
/// assert!(own.allows(8443));
/// # Ok::<(), proxy_upstream::guard::PortError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPolicy {
    /// In order, without overlaps.
    ranges: Box<[RangeInclusive<u16>]>,
}

impl PortPolicy {
    /// The default of `http_ports`: 80, 443 and 1024 to 65535, less [`BAD_PORTS`].
    pub fn http() -> Self {
        let mut ranges = vec![80..=80, 443..=443];
        let mut start = 1024;
        for bad in BAD_PORTS.iter().copied().filter(|bad| *bad >= 1024) {
            if bad > start {
                ranges.push(start..=bad - 1);
            }
            start = bad + 1;
        }
        ranges.push(start..=u16::MAX);
        ranges.into_iter().collect()
    }

    /// The default of `connect_ports`: 443 alone.
    pub fn connect() -> Self {
        [443..=443].into_iter().collect()
    }

    /// A set from texts such as `443` and `1024-65535`. What is listed is allowed, also a port
    /// of [`BAD_PORTS`].
    ///
    /// # Errors
    ///
    /// The first text that is neither a port from 1 to 65535 nor a range of them.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, PortError> {
        let port = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|port| digits && *port != 0)
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(port(first.trim())?..=port(last.trim())?).filter(|range| !range.is_empty())
        };
        texts
            .into_iter()
            .map(|text| range(text.trim()).ok_or_else(|| PortError(text.to_owned())))
            .collect()
    }

    /// Whether the port is in the set.
    pub fn allows(&self, port: u16) -> bool {
        port != 0 && self.ranges.iter().any(|range| range.contains(&port))
    }

    /// [`allows`](Self::allows), as a verdict like the guard's.
    ///
    /// # Errors
    ///
    /// [`Reason::Port`] when it is not in the set.
    pub fn judge(&self, port: u16) -> Result<(), Prohibited> {
        if self.allows(port) { Ok(()) } else { Err(Prohibited::new(Reason::Port)) }
    }
}

impl FromIterator<RangeInclusive<u16>> for PortPolicy {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut given: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        given.sort_unstable_by_key(|range| *range.start());
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::with_capacity(given.len());
        for range in given {
            match ranges.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => ranges.push(range),
            }
        }
        Self { ranges: ranges.into() }
    }
}

impl fmt::Display for PortPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// A text that names no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a port: write `443` or a range such as `1024-65535`")]
pub struct PortError(String);

#[cfg(test)]
mod tests {
    use super::*;

    /// INTERFACE, "Guard": `http_ports` defaults to 80, 443 and 1024-65535 less the ports that
    /// browsers refuse.
    #[test]
    fn the_default_http_ports_are_those_of_the_interface() {
        let policy = PortPolicy::http();
        for port in 0..=u16::MAX {
            let expected =
                (port == 80 || port == 443 || port >= 1024) && !BAD_PORTS.contains(&port);
            assert_eq!(policy.allows(port), expected, "{port}");
        }
    }

    #[test]
    fn the_default_connect_port_is_443_alone() {
        let allowed: Vec<u16> =
            (0..=u16::MAX).filter(|port| PortPolicy::connect().allows(*port)).collect();
        assert_eq!(allowed, [443]);
        assert!(PortPolicy::connect().judge(443).is_ok());
        let refused = PortPolicy::connect().judge(25).unwrap_err();
        assert_eq!(refused.token(), "port");
    }

    #[test]
    fn what_is_listed_is_allowed() {
        let policy = PortPolicy::parse(["8000-8002", "25", " 8003 - 8005 ", "65535"]).unwrap();
        assert_eq!(policy.to_string(), "25, 8000-8005, 65535");
        assert!(policy.allows(25) && policy.allows(65535));
        assert!(!policy.allows(7999) && !policy.allows(8006) && !policy.allows(0));
        assert!(!PortPolicy::parse([]).unwrap().allows(80));
        let all: PortPolicy = [0..=u16::MAX].into_iter().collect();
        assert!(all.allows(1) && !all.allows(0));
    }

    #[test]
    fn what_is_no_port_is_named() {
        for text in ["", "0", "0-5", "65536", "9-8", "http", "+80", "80-", "-80", "1-2-3", "8 0"] {
            let error = PortPolicy::parse(["443", text]).expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{text}` is not a port")), "{error}");
        }
    }

    #[test]
    fn the_bad_ports_are_sorted_and_unique() {
        assert!(BAD_PORTS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
