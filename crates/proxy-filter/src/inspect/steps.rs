//! Counts the steps of loops, in tests alone: that the cost is linear is shown by counting, not by
//! the clock.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many steps were made.
#[inline]
pub(super) fn steps(_count: usize) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + _count as u64));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use proxy_core::RequestHead;

    use super::*;
    use crate::inspect::{Engine, InspectConfig, Inspector, Mode, Next};

    /// Steps that content costs, in pieces of a size.
    fn cost(engine: &Engine, kind: &str, content: &[u8], piece: usize) -> u64 {
        STEPS.with(|steps| steps.set(0));
        let request = http::Request::post("/").header("content-type", kind).body(()).expect("head");
        if let Next::Content(mut inspection) = engine.begin(RequestHead::of(&request), true).next {
            for chunk in content.chunks(piece) {
                inspection.chunk(&Bytes::copy_from_slice(chunk));
            }
            inspection.finish();
        }
        STEPS.with(std::cell::Cell::get)
    }

    /// What readers trip over, were they not linear.
    const UNITS: &[&str] = &[
        "'",
        "\"",
        "`",
        "(",
        ")",
        "<",
        "<a ",
        "</",
        "=",
        " on",
        "a=",
        "..",
        "../",
        "%25",
        "%",
        "&",
        "&lt;",
        "&#",
        "\\",
        "\\u",
        ";",
        "|",
        "$(",
        "${",
        "{",
        "[",
        "{{",
        " or ",
        "1=1 ",
        "union ",
        "select ",
        "/*",
        "*/",
        "--",
        "#",
        "\n",
        " ",
        "0",
        "a",
        "/e?c",
        "*",
        "?",
        "id",
        "cat ",
        "\u{ff1c}",
        "\u{200b}",
        "\0",
        "<!",
        "]]>",
        "--X\r\n",
        ":",
        ",",
        "+",
        "@",
        "\\n",
        "QUJD",
        "http://",
        "javascript:",
        "for ",
        "if ",
        "\\\"",
        "{\"a\":",
        "\"a\",",
        "[\"",
        "<![CDATA[",
        "]]",
        "<a b=\"",
        "/>",
        "<?",
        "a=%7B%22a%22%3A",
        "&a",
        "?a=b&",
        "%2525",
        "/*!",
        "$((",
        "`id`",
    ];

    const KINDS: &[&str] = &[
        "text/plain",
        "application/json",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=X",
    ];

    /// Every rule may run over every byte once, in each of a fixed number of views.
    const MOST_PER_BYTE: u64 = 4000;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Content that is four times as long costs at most about four times as much, whatever is
        /// repeated in it.
        #[test]
        fn cost_is_linear(
            picks in proptest::collection::vec(0..UNITS.len(), 1..6),
            kind in 0..KINDS.len(),
            piece in prop_oneof![Just(7usize), Just(1000), Just(1 << 20)],
        ) {
            let config = InspectConfig { mode: Mode::Report, ..InspectConfig::default() };
            let engine = ENGINE.with(|e| e.get_or_init(|| Engine::new(config).expect("rules")).clone());
            let unit: String = picks.iter().map(|&i| UNITS[i]).collect();
            let content = |size: usize| unit.repeat(size / unit.len() + 1).into_bytes();
            let (short, long) = (content(4096), content(4 * 4096));
            let (a, b) = (cost(&engine, KINDS[kind], &short, piece), cost(&engine, KINDS[kind], &long, piece));
            prop_assert!(b <= a.max(4096) * 5, "{unit:?}: {a} steps, then {b}");
            prop_assert!(b <= MOST_PER_BYTE * long.len() as u64, "{unit:?}: {b} steps");
        }
    }

    /// The same of each unit by itself, also inside a string of JSON, in every kind of content.
    #[test]
    fn nothing_that_is_repeated_costs_more_than_its_length() {
        let config = InspectConfig { mode: Mode::Report, ..InspectConfig::default() };
        let engine = Engine::new(config).expect("rules");
        for kind in KINDS {
            for unit in UNITS {
                let content = |size: usize| {
                    let begin = if kind.ends_with("json") { "[\"" } else { "" };
                    format!("{begin}{}", unit.repeat(size / unit.len() + 1)).into_bytes()
                };
                let (short, long) = (content(2048), content(4 * 2048));
                let cost = |content: &[u8]| cost(&engine, kind, content, 1 << 20);
                let (a, b) = (cost(&short), cost(&long));
                assert!(b <= a.max(2048) * 5, "{unit:?} as {kind}: {a} steps, then {b}");
            }
        }
    }

    thread_local! {
        static ENGINE: std::cell::OnceCell<Engine> = const { std::cell::OnceCell::new() };
    }
}
