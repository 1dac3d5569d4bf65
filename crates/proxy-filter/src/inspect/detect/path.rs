//! Reads a value as the path of a file: how far it climbs.

use super::{Signal, Signals};

/// What a value is as a path.
pub(super) fn read(text: &[u8]) -> Signals {
    let mut signals = Signals::default();
    let at = |i: usize| text.get(i).copied().unwrap_or(0);
    let (mut steps, mut doubles, mut singles, mut triples, mut doubled_slashes) = (0, 0, 0, 0, 0);
    let mut end = 0;
    for start in memchr::memchr_iter(b'.', text) {
        if start < end {
            continue;
        }
        let length = text[start..].iter().take_while(|&&b| b == b'.').count();
        end = start + length;
        let before = if start == 0 { 0 } else { text[start - 1] };
        let after = at(end);
        let slash = matches!(after, b'/' | b'\\');
        if length == 1 {
            singles += usize::from(before == b'/' && after == b'/');
            continue;
        }
        doubles += length / 2;
        triples += usize::from(length > 2 && before == b'/');
        let is_step = slash
            || after == b';' && at(end + 1) == b'/'
            || after == 0 && matches!(before, b'/' | b'\\');
        if is_step && !before.is_ascii_alphanumeric() && before != b')' {
            steps += 1;
            doubled_slashes += usize::from(at(end + 1) == b'/');
        }
    }
    if steps >= 2 && (steps >= 3 || begins_with_step(text)) {
        signals.add(Signal::PathClimb);
    } else if steps > 0 {
        signals.add(Signal::PathStep);
    }
    if singles >= 3 || triples >= 2 || doubled_slashes >= 2 || doubles >= 4 && is_dotted(text) {
        signals.add(Signal::PathConfusion);
    }
    signals
}

/// Whether the climb begins with the value, not after a directory: pages link to `../css/x`.
fn begins_with_step(text: &[u8]) -> bool {
    text.iter().take(3).any(|&b| b == b'.')
}

/// A run of dots longer than any name has, from the start or after a slash, and something else.
fn is_dotted(text: &[u8]) -> bool {
    let dots = longest_run(text, |b| b == b'.');
    let mixed = longest_run(text, |b| matches!(b, b'.' | b'/' | b'\\'));
    dots >= 8 && matches!(text[0], b'/' | b'.' | b'\\') && mixed != text.len()
}

fn longest_run(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    let (mut longest, mut run) = (0, 0);
    for &b in text {
        run = if is(b) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use crate::inspect::detect::Signal;
    use crate::inspect::detect::tests::table;

    #[test]
    fn climbing() {
        table(
            Signal::PathClimb,
            &["../../etc/passwd", "..\\..\\boot.ini", "/../../x", "a/../../../x", "..;/..;/x"],
            &["../css/a.css", "a/b/../c", "wait... what../", "and so on...", "1../2../3"],
        );
        table(
            Signal::PathConfusion,
            &["/..../..../..../x", "/............/x", "....//....//x", "/.//././/./x/./y"],
            &["loading........", "........", "a ... b ... c", "see /... for more"],
        );
    }
}
