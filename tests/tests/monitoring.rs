//! The rules and the dashboard in `deploy/`: promtool tries the rules, and nothing there asks for
//! a metric that `docs/metrics.md` does not have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proxyd_tests::programs;
use serde_json::Value;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn promtool(arguments: &[&str]) {
    let said = Command::new(programs::require("promtool"))
        .args(arguments)
        .current_dir(at("deploy/prometheus"))
        .output()
        .expect("promtool");
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&words));
}

#[test]
fn the_rules_do_what_their_tests_say() {
    promtool(&["check", "rules", "proxyd.rules.yaml"]);
    promtool(&["test", "rules", "proxyd.tests.yaml"]);
}

#[test]
fn each_alert_has_a_test() {
    let rules = fs::read_to_string(at("deploy/prometheus/proxyd.rules.yaml")).expect("the rules");
    let tests = fs::read_to_string(at("deploy/prometheus/proxyd.tests.yaml")).expect("the tests");
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5);
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} is never tried");
    }
}

/// The words of an expression that look like a metric of ours, without what a histogram adds.
fn metrics(expression: &str) -> BTreeSet<String> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_ours =
        |word: &&str| ["proxy_", "http_", "process_"].iter().any(|start| word.starts_with(start));
    let base = |word: &str| {
        let of = |end| word.strip_suffix(end).filter(|base: &&str| base.ends_with("_seconds"));
        ["_count", "_sum", "_bucket"].iter().find_map(|end| of(*end)).unwrap_or(word).to_owned()
    };
    expression.split(|c| !in_name(c)).filter(is_ours).map(base).collect()
}

fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(at("docs/metrics.md")).expect("docs/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "expr" || key == "definition" => {
                        found.push(text.clone());
                    }
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn nothing_asks_for_a_metric_that_is_not_there() {
    let documented = documented();
    let text = fs::read_to_string(at("deploy/grafana/proxyd.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut asked = Vec::new();
    expressions(&dashboard, &mut asked);
    assert!(asked.len() > 30, "{}", asked.len());
    asked.push(fs::read_to_string(at("deploy/prometheus/proxyd.rules.yaml")).expect("the rules"));
    for expression in &asked {
        for metric in metrics(expression) {
            assert!(documented.contains(&metric), "{metric}, in {expression}");
        }
    }
    let ids: Vec<u64> = dashboard["panels"]
        .as_array()
        .expect("panels")
        .iter()
        .filter_map(|panel| panel["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "ids of panels differ");
}
