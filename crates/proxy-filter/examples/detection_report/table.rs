//! The table of one corpus.

use std::collections::BTreeMap;
use std::fmt::Write;

use proxy_filter::inspect::{Engine, Report};

use crate::Options;
use crate::apache::Apache;
use crate::support::benign;
use crate::support::cases::{Case, Parsed};

/// One of so many parts of a corpus is held back.
pub(crate) const HELD_BACK: u64 = 3;

#[derive(Default)]
struct Count {
    all: [usize; 2],
    refused: [usize; 2],
}

impl Count {
    fn add(&mut self, held_back: bool, refused: bool) {
        self.all[usize::from(held_back)] += 1;
        self.refused[usize::from(held_back)] += usize::from(refused);
    }

    fn cells(&self) -> String {
        let percent = |i: usize| match self.all[i] {
            0 => "     -".to_owned(),
            all => format!("{:6.2}", self.refused[i] as f64 * 100.0 / all as f64),
        };
        format!("{:>7} {} {:>7} {}", self.all[0], percent(0), self.all[1], percent(1))
    }
}

/// Judges a corpus and writes its table.
pub(crate) fn corpus(
    out: &mut String,
    name: &str,
    cases: &[Case],
    engine: &Engine,
    options: &Options,
) {
    let mut classes: BTreeMap<(bool, &str), Count> = BTreeMap::new();
    let mut totals = [Count::default(), Count::default()];
    let mut rules: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for case in cases {
        let (refused, report) = case.judge(engine);
        let parts = if name == "benign" { benign::HELD_BACK } else { HELD_BACK };
        let held_back = case.is_held_back(parts);
        classes.entry((case.attack, &case.class)).or_default().add(held_back, refused);
        totals[usize::from(case.attack)].add(held_back, refused);
        for finding in &report.findings {
            rules.entry(finding.rule.to_string()).or_default()[usize::from(case.attack)] += 1;
        }
        let wanted = if case.attack { &options.missed } else { &options.refused };
        let is_wanted = wanted.as_ref().is_some_and(|c| c == "all" || case.class.contains(c));
        if is_wanted && !held_back && refused != case.attack {
            show(out, case, &report, options.full);
        }
    }
    let _ = writeln!(out, "\n{name:<44} tuning refused %   held refused %");
    for ((attack, class), count) in &classes {
        let label = if *attack { "attack" } else { "benign" };
        let _ = writeln!(out, "  {label} {class:<34} {}", count.cells());
    }
    for (attack, count) in [(true, &totals[1]), (false, &totals[0])] {
        let label = if attack { "all attacks" } else { "all benign" };
        let _ = writeln!(out, "  {label:<41} {}", count.cells());
    }
    if options.rules {
        for (rule, [benign, attack]) in rules {
            let _ = writeln!(out, "    {rule:<36} attacks {attack:>6} benign {benign:>6}");
        }
    }
}

/// A case that was judged wrongly: its rules and where they matched, and with `--full` the request.
fn show(out: &mut String, case: &Case, report: &Report, full: bool) {
    let _ = write!(out, "{} [{}]", case.id, report.score);
    for found in &report.findings {
        let place = found.place.token();
        let _ = write!(out, " {}={} {place}:{}", found.rule, found.score, found.parameter);
    }
    match &case.request {
        Parsed::Refused(why) => {
            let _ = write!(out, " edge:{why}");
        }
        Parsed::Request(request) if full => {
            let _ = write!(out, " {} {}", request.method(), request.uri());
            for (name, value) in request.headers() {
                let _ = write!(out, " | {name}: {}", String::from_utf8_lossy(value.as_bytes()));
            }
            let _ = write!(out, " | {}", String::from_utf8_lossy(request.body()));
        }
        Parsed::Request(_) => {}
    }
    out.push('\n');
}

/// What Apache refuses of the same cases, beside what the rules refuse.
pub(crate) fn compare(
    out: &mut String,
    cases: &[Case],
    engine: &Engine,
    apache: &Apache,
    sample: usize,
) {
    let mut counts: BTreeMap<(bool, &str), [usize; 3]> = BTreeMap::new();
    for case in cases.iter().step_by(sample) {
        let ours = case.judge(engine).0;
        let theirs = apache.refuses(case);
        for class in ["all", case.class.as_str()] {
            let count = counts.entry((case.attack, class)).or_default();
            count[0] += 1;
            count[1] += usize::from(ours);
            count[2] += usize::from(theirs);
        }
    }
    let _ = writeln!(out, "  compared, one case of {sample:<19} cases   ours % apache %");
    for ((attack, class), [all, ours, theirs]) in counts {
        let label = if attack { "attack" } else { "benign" };
        let percent = |n: usize| n as f64 * 100.0 / all as f64;
        let (ours, theirs) = (percent(ours), percent(theirs));
        let _ = writeln!(out, "    {label} {class:<32} {all:>6} {ours:>8.2} {theirs:>8.2}");
    }
}

/// What is found in a text as the value of a parameter.
pub(crate) fn explain(out: &mut String, text: &str, engine: &Engine) {
    let encoded: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
    let request = http::Request::get(format!("/?p={encoded}")).body(()).expect("a request");
    let (refused, report) = engine.judge(proxy_core::RequestHead::of(&request), b"");
    let _ = writeln!(out, "{} {}", if refused { "refused" } else { "passed" }, report.score);
    for found in &report.findings {
        let _ = writeln!(out, "  {} {} {}", found.rule, found.score, found.reason);
    }
}
