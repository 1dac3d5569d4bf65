//! What became of the cases, for people and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::{Case, Judged, Suite};

/// What became of all cases of one file.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub suite: Suite,
    /// Of each case, in the order of the file.
    pub outcomes: Vec<Outcome>,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// How it ended.
    pub judged: Judged,
}

impl Outcome {
    /// Whether everything is as expected.
    pub fn holds(&self) -> bool {
        self.judged.mismatches.is_empty()
    }
}

impl Report {
    /// How many cases are not as expected.
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.holds()).count()
    }

    /// As data: an object for each case.
    pub fn to_json(&self) -> Vec<Value> {
        let case = |outcome: &Outcome| {
            json!({
                "file": self.suite.path.display().to_string(),
                "place": outcome.case.place.to_string(),
                "name": outcome.case.name,
                "request": request(&outcome.case),
                "holds": outcome.holds(),
                "mismatches": outcome.judged.mismatches,
                "explanation": outcome.judged.explanation,
            })
        };
        self.outcomes.iter().map(case).collect()
    }
}

fn request(case: &Case) -> String {
    format!("{} {}", case.question.method, case.question.url)
}

/// A paragraph for each case that fails, and a line of numbers.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in self.outcomes.iter().filter(|outcome| !outcome.holds()) {
            outcome.fmt(f)?;
            writeln!(f)?;
        }
        let (all, failed) = (self.outcomes.len(), self.failed());
        let s = if all == 1 { "" } else { "s" };
        write!(f, "{}: {all} test{s}, ", self.suite.path.display())?;
        match failed {
            0 if all == 1 => writeln!(f, "as expected"),
            0 => writeln!(f, "all as expected"),
            1 => writeln!(f, "1 is not as expected"),
            failed => writeln!(f, "{failed} are not as expected"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, request) = (&self.case.name, request(&self.case));
        write!(f, "{}: {name}", self.case.place)?;
        if *name != request {
            write!(f, ": {request}")?;
        }
        writeln!(f)?;
        for mismatch in &self.judged.mismatches {
            let found = if mismatch.found.is_empty() { "nothing" } else { &mismatch.found };
            writeln!(f, "  {}: expected {}, found {found}", mismatch.key, mismatch.expected)?;
        }
        writeln!(f, "  what the layers decided:")?;
        self.judged.explanation.to_string().lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}
