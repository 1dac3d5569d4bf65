//! What can go wrong, in words for the person at the terminal.

use std::io;

/// Why a measurement did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The operating system refused something.
    #[error("{doing}: {reason}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        reason: String,
    },
    /// Something was measured or found that makes the figures worthless.
    #[error("{0}")]
    Invalid(String),
    /// A signal asked us to leave.
    #[error("interrupted; everything that was started has been ended")]
    Interrupted,
}

impl Failure {
    /// The system's refusal, with what was being done.
    pub(crate) fn io(doing: impl Into<String>, error: &io::Error) -> Self {
        Self::System { doing: doing.into(), reason: error.to_string() }
    }

    /// A finding that makes the figures worthless.
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }
}
