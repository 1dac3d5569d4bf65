//! The table of one corpus.

use std::collections::BTreeMap;
use std::fmt::Write;

use proxy_filter::inspect::{Engine, Report};

use crate::Options;
use crate::cases::{Case, Parsed};

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
        let held_back = case.is_held_back(HELD_BACK);
        classes.entry((case.attack, &case.class)).or_default().add(held_back, refused);
        totals[usize::from(case.attack)].add(held_back, refused);
        for finding in &report.findings {
            rules.entry(finding.rule.to_string()).or_default()[usize::from(case.attack)] += 1;
        }
        let wanted = if case.attack { &options.missed } else { &options.refused };
        let is_wanted = wanted.as_ref().is_some_and(|c| c == "all" || case.class.contains(c));
        if is_wanted && !held_back && refused != case.attack {
            show(out, case, &report);
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

/// A case that was judged wrongly.
fn show(out: &mut String, case: &Case, report: &Report) {
    let _ = write!(out, "{} ", case.id);
    if let Parsed::Request(request) = &case.request {
        let _ = write!(out, "{} {}", request.method(), request.uri());
        for (name, value) in request.headers() {
            let usual = [
                "accept",
                "accept-encoding",
                "accept-language",
                "content-length",
                "host",
                "connection",
                "keep-alive",
                "proxy-connection",
            ];
            let value = String::from_utf8_lossy(value.as_bytes());
            if !usual.contains(&name.as_str())
                && !value.starts_with("Mozilla/5.0 (X11")
                && !value.starts_with("OWASP")
            {
                let _ = write!(out, " | {name}: {}", value.chars().take(300).collect::<String>());
            }
        }
        let body = String::from_utf8_lossy(request.body());
        let _ = write!(out, " | {}", body.chars().take(400).collect::<String>());
    }
    let found: Vec<String> =
        report.findings.iter().map(|f| format!("{}={}", f.rule, f.score)).collect();
    let _ = writeln!(out, " [{}] {}", report.score, found.join(" "));
}
