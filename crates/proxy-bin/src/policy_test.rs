//! `proxyd test`: requests, and what is expected to be decided about them.
//!
//! A [`Suite`] is a file of requests and expectations, beside the configuration that it is about.
//! Each request passes the layers of that configuration as a rehearsal, by the machinery of
//! [`explain`](crate::explain): nothing is dialled, stored, counted or logged. What is not as
//! expected is a [`Mismatch`].

mod expectation;
mod report;
mod suite;
mod table;

#[cfg(test)]
mod tests;

pub use expectation::{Expected, KEYS, Wanted};
pub use report::{Outcome, Report};
pub use suite::{Case, Suite};

use crate::explain::{Explainer, Explanation, QuestionError};

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    /// The key of the expectation.
    pub key: String,
    /// What was expected.
    pub expected: String,
    /// What was found; empty for nothing.
    pub found: String,
}

/// What became of one case.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What is not as expected.
    pub mismatches: Vec<Mismatch>,
    /// What the layers decided.
    pub explanation: Explanation,
}

/// Sends the request of a case through the layers, and compares.
///
/// # Errors
/// A request that is none, or names no listener.
pub async fn judge(explainer: &Explainer, case: &Case) -> Result<Judged, QuestionError> {
    let explanation = explainer.explain(&case.question).await?;
    let wrong = |expected: &Expected| expected.compare(&explanation, &case.question);
    let mismatches = case.expected.iter().filter_map(wrong).collect();
    Ok(Judged { mismatches, explanation })
}
