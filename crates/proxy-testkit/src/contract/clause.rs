//! The clauses, and how a broken one is reported.

use std::fmt;

/// A clause of the layer contract; see the [module](super).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    /// Generic over both bodies; the error of the inner service.
    Shape = 1,
    /// `poll_ready` forwards; `call` uses the polled service.
    Readiness = 2,
    /// A refusal is a response.
    Refusals = 3,
    /// Wrappers forward everything and read nothing ahead.
    Bodies = 4,
    /// A drop at any point leaks nothing.
    Cancellation = 5,
    /// Clones are cheap and equal.
    Clones = 6,
    /// Exchange and extensions stay.
    Records = 7,
}

impl Clause {
    /// Ends the test with this clause's name.
    #[track_caller]
    pub(crate) fn broken(self, how: impl fmt::Display) -> ! {
        panic!("layer contract, {self}: {how}")
    }

    /// Ends the test unless the clause is kept.
    #[track_caller]
    pub(crate) fn holds(self, kept: bool, or: impl fmt::Display) {
        if !kept {
            self.broken(or);
        }
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Shape => "shape",
            Self::Readiness => "readiness",
            Self::Refusals => "refusals",
            Self::Bodies => "bodies",
            Self::Cancellation => "cancellation",
            Self::Clones => "clones",
            Self::Records => "records",
        };
        write!(f, "clause {} ({name})", *self as u8)
    }
}
