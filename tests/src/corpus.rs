//! The raw-socket corpora under `data/`: one case a line, as JSON.
//!
//! `raw` is latin-1 text. `{origin}` in it becomes the origin's address, and `{{TEXT*N}}` becomes
//! TEXT repeated N times.

use std::path::Path;

use serde_json::Value;

/// One case: its JSON with the common members read.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// Why it is what it is, with the section of the RFC.
    pub why: String,
    /// The message, not yet expanded.
    pub raw: String,
    /// Everything else.
    pub json: Value,
}

impl Case {
    /// The statuses that `expect.status` allows; 0 stands for no answer at all.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        numbers(&self.json["expect"]["status"])
    }

    /// The statuses allowed for the answers after the first.
    #[must_use]
    pub fn later_statuses(&self) -> Vec<Vec<u16>> {
        self.json["expect"]["next"]
            .as_array()
            .map(|all| all.iter().map(numbers).collect())
            .unwrap_or_default()
    }

    /// A text member of `expect`, or `""`.
    #[must_use]
    pub fn expected(&self, name: &str) -> &str {
        self.json["expect"][name].as_str().unwrap_or_default()
    }

    /// A list of texts in `expect`.
    #[must_use]
    pub fn expected_list(&self, name: &str) -> Vec<&str> {
        self.json["expect"][name]
            .as_array()
            .map(|all| all.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }

    /// A member of `expect` that is true or false; absent is false.
    #[must_use]
    pub fn expects(&self, name: &str) -> bool {
        self.json["expect"][name].as_bool().unwrap_or(false)
    }

    /// A text member of the case, or `""`.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_default()
    }

    /// A member of the case that is true or false; absent is false.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.json[name].as_bool().unwrap_or(false)
    }

    /// The bytes to send.
    #[must_use]
    pub fn bytes(&self, origin: &str) -> Vec<u8> {
        crate::wire::bytes(&expand(&self.raw.replace("{origin}", origin)))
    }
}

fn numbers(value: &Value) -> Vec<u16> {
    value
        .as_array()
        .map(|all| {
            all.iter().filter_map(Value::as_u64).filter_map(|n| u16::try_from(n).ok()).collect()
        })
        .unwrap_or_default()
}

/// Replaces each `{{TEXT*N}}` by N times TEXT.
fn expand(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut left = text;
    while let Some((before, after)) = left.split_once("{{") {
        let (inside, rest) = after.split_once("}}").expect("}} after {{");
        let (piece, count) = inside.rsplit_once('*').expect("TEXT*N");
        out.push_str(before);
        out.push_str(&piece.repeat(count.parse().expect("a count")));
        left = rest;
    }
    out.push_str(left);
    out
}

/// Reads a corpus under `tests/data/`.
#[must_use]
pub fn read(name: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let json: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            Case { id: text("id"), why: text("why"), raw: text("raw"), json }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn expansion() {
        assert_eq!(expand("a{{bc*2}}d{{e*0}}"), "abcbcd");
    }

    fn count(cases: &[Case], class: &str) -> usize {
        cases.iter().filter(|case| case.text("class") == class).count()
    }

    fn check_shape(cases: &[Case]) {
        let mut ids: Vec<_> = cases.iter().map(|case| case.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), cases.len(), "two cases have one id");
        for case in cases {
            assert!(!case.why.is_empty() && !case.text("rfc").is_empty(), "{}", case.id);
            assert!(!case.statuses().is_empty(), "{}", case.id);
            drop(case.bytes("127.0.0.1:1"));
        }
    }

    #[test]
    fn the_requests_are_enough_and_well_formed() {
        let cases = read("http1/requests.jsonl");
        check_shape(&cases);
        let (valid, bad) = (count(&cases, "valid"), count(&cases, "malformed"));
        assert!(valid >= 40 && bad >= 160, "{valid} valid, {bad} malformed");
        for case in &cases {
            let known = ["nothing", "complete", "incomplete", "first-only", "either"];
            assert!(known.contains(&case.expected("origin")), "{}", case.id);
        }
    }

    #[test]
    fn the_responses_are_enough_and_well_formed() {
        let cases = read("http1/responses.jsonl");
        check_shape(&cases);
        let (valid, bad) = (count(&cases, "valid"), count(&cases, "malformed"));
        assert!(valid >= 20 && bad >= 60, "{valid} valid, {bad} malformed");
        for case in &cases {
            let known = ["refused", "aborted", "complete", "either"];
            assert!(known.contains(&case.expected("outcome")), "{}", case.id);
        }
    }

    #[test]
    fn the_strict_parser_agrees_with_the_corpus() {
        // Valid ones in the forms that an origin may see must be valid to it too; of the
        // malformed ones that must be refused, none may look like one complete request.
        for case in read("http1/requests.jsonl") {
            let raw = case.bytes("127.0.0.1:1");
            let parsed = wire::read_request(&raw);
            if case.text("class") == "malformed" && case.expected("origin") == "nothing" {
                let whole = matches!(&parsed, Ok(Some((_, used))) if *used == raw.len());
                assert!(!whole || case.is("policy"), "{}: {parsed:?}", case.id);
            }
        }
    }
}
