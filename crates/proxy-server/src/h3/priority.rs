//! Which response goes first (RFC 9218): the client says so in `priority`.

use http::HeaderMap;

/// The urgency of a request that names none.
const USUAL: i32 = 3;

/// The priority of a stream, 0 where the client says nothing, higher goes first.
///
/// Only urgency counts. Streams of the same one take turns, which is what `i` asks for; a client
/// that does not gets the first bytes of each response a little later, and the last ones no later.
pub(super) fn of(fields: &HeaderMap) -> i32 {
    let mut urgency = fields
        .get_all("priority")
        .iter()
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .filter_map(|member| match member.trim_ascii() {
            [b'u', b'=', digit @ b'0'..=b'7'] => Some(i32::from(digit - b'0')),
            _ => None,
        });
    // A key that comes again replaces what it said before (RFC 9651 section 4.2.2).
    USUAL - urgency.next_back().unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgent_ones_go_first() {
        for (value, priority) in [
            ("u=0", 3),
            ("u=3", 0),
            ("i, u=7", -4),
            ("u=1, i", 2),
            ("u=1,u=5", -2),
            ("u=8", 0),
            ("u=10", 0),
            ("i", 0),
            ("", 0),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert("priority", value.parse().expect("a value"));
            assert_eq!(of(&fields), priority, "{value}");
        }
        assert_eq!(of(&HeaderMap::new()), 0);
    }
}
