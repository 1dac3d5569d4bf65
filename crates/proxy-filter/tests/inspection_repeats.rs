//! What was judged before in the same content is not judged again: that must change no verdict.

use proptest::prelude::*;
use proxy_core::RequestHead;
use proxy_filter::inspect::{Engine, InspectConfig, Mode};

/// What is found in content: the rules, and the score.
fn found(engine: &Engine, content: &str) -> (Vec<String>, u16) {
    let request = http::Request::post("/")
        .header("content-type", "application/json")
        .body(())
        .expect("a request");
    let (_, report) = engine.judge(RequestHead::of(&request), content.as_bytes());
    let mut rules: Vec<String> = report.findings.iter().map(|f| f.rule.to_string()).collect();
    rules.sort();
    (rules, report.score)
}

fn engine() -> Engine {
    let config = InspectConfig { mode: Mode::Report, ..InspectConfig::default() };
    Engine::new(config).expect("the built-in rules compile")
}

thread_local! {
    static ENGINE: Engine = engine();
}

/// Values that attacks and harmless requests have, whole and in pieces.
fn value() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "red",
        "large",
        "' or 1=1",
        "<script>",
        "../",
        "; id",
        "a=b&c=d",
        "https://a.test/x?y=z",
        "{{7*7}}",
        "id",
        "cat ",
        "/etc/passwd",
        "%27",
        "&lt;",
        "O'Brien",
        "select a size",
        "--",
        "$(id)",
        "[1,2]",
        "{\"a\":1}",
        "17",
        " ",
        "L2V0Yy9wYXNzd2Q=",
        "union select",
        "://",
    ]);
    prop::collection::vec(pieces, 1..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_repeats_is_judged_alike(
        values in prop::collection::vec(value(), 1..8),
        order in prop::collection::vec(0usize..8, 0..40),
    ) {
        ENGINE.with(|engine| {
            let once = serde_json::json!(values);
            // So many words before them that values are remembered from the first one on.
            let words: Vec<String> = (0..20).map(|n| format!("word{n}")).collect();
            let again: Vec<&String> =
                values.iter().chain(order.iter().map(|n| &values[n % values.len()])).collect();
            let many = serde_json::json!([words, again, again]);
            prop_assert_eq!(found(engine, &once.to_string()), found(engine, &many.to_string()));
            Ok(())
        })?;
    }
}
