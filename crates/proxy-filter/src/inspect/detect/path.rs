//! Reads a value as the path of a file: how far it climbs.

use super::{Signal, Signals};

/// What a value is as a path.
pub(super) fn read(text: &[u8]) -> Signals {
    let mut signals = Signals::default();
    let mut steps = 0usize;
    let mut current = 0usize;
    for at in memchr::memmem::find_iter(text, b"..") {
        let after = text.get(at + 2).copied().unwrap_or(0);
        let before = if at == 0 { 0 } else { text[at - 1] };
        // `...` and `....//`: filters that drop `../` once would make a step of it.
        let is_step = matches!(after, b'/' | b'\\')
            || after == b';' && text.get(at + 3) == Some(&b'/')
            || after == 0 && matches!(before, b'/' | b'\\');
        if is_step && (before == 0 || !before.is_ascii_alphanumeric() && before != b')') {
            steps += 1;
        }
        current += 1;
    }
    if steps >= 2 && (steps >= 3 || begins_with_step(text)) {
        signals.add(Signal::PathClimb);
    } else if steps > 0 {
        signals.add(Signal::PathStep);
    }
    if confused(text, current) {
        signals.add(Signal::PathConfusion);
    }
    signals
}

/// Whether the climb begins with the value, not after a directory: pages link to `../css/x`.
fn begins_with_step(text: &[u8]) -> bool {
    text.iter().take(3).any(|&b| b == b'.')
}

/// Runs of dots, of `./` or of escapes of them, longer than any name has.
fn confused(text: &[u8], double_dots: usize) -> bool {
    if double_dots < 3 {
        return repeated(text, b"/./") >= 3 || repeated(text, b"0x2e") >= 2;
    }
    let dots = longest_run(text, |b| b == b'.');
    let mixed = longest_run(text, |b| matches!(b, b'.' | b'/' | b'\\'));
    dots >= 8 && text.len() > dots && matches!(text[0], b'/' | b'.' | b'\\') && mixed != text.len()
        || repeated(text, b"/...") >= 2
        || repeated(text, b"/..//") >= 2
}

fn repeated(text: &[u8], part: &[u8]) -> usize {
    memchr::memmem::find_iter(text, part).count()
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
