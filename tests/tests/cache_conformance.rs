//! The conformance suite of the cache, `data/cache/*.cases`: exchanges through `proxyd` with
//! `cache = true`, in front of a scripted origin.
//!
//! `CACHE_CASE=text` plays only the cases whose names contain the text.

use proxyd_tests::cache_case::{self, Case};
use proxyd_tests::cache_stage::{Mode, Stage};
use proxyd_tests::configured;

/// How many cases are played at once; most of them wait for the clock.
const CLIENTS: usize = 24;

fn cases() -> Vec<Case> {
    let only = std::env::var("CACHE_CASE").unwrap_or_default();
    let mut cases = cache_case::read_all("cache");
    assert!(cases.len() >= 400, "{} cases", cases.len());
    cases.retain(|case| case.id.contains(&only));
    cases
}

fn assert_none(faults: &[String], of: usize) {
    assert!(faults.is_empty(), "{} of {of} cases:\n{}", faults.len(), faults.join("\n"));
}

/// A case whose first exchange does not work without a cache is wrong itself.
#[test]
fn cases_are_sound_without_a_cache() {
    let cases = cases();
    let stage = Stage::new();
    let proxy = configured::gateway(&stage.url(), "", "").start();
    let faults = stage.play_all(&cases, proxy.address(), Mode::WithoutCache, CLIENTS);
    assert_none(&faults, cases.len());
}

#[test]
fn cases_are_kept_with_a_cache() {
    let cases = cases();
    let stage = Stage::new();
    let rest = "cache = true\n\n[cache]\nmemory = \"256MiB\"\n";
    let proxy = configured::gateway(&stage.url(), "", rest).start();
    let faults = stage.play_all(&cases, proxy.address(), Mode::Cached, CLIENTS);
    assert_none(&faults, cases.len());
}
