//! What is let through.

use std::path::PathBuf;

use proxy_filter::domains::{DomainLists, ListHandle};
use proxy_filter::rules::RuleSpec;

use crate::files::Stamp;

/// What is let through, beside what listeners and routes say.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Blocked names and exceptions, for every listener.
    pub lists: DomainLists,
    /// The same, and the only names that may be asked for, for forward listeners.
    pub forward_lists: DomainLists,
    /// The lists that come from files, for whoever watches them.
    pub files: Vec<ListFile>,
    /// The rules, known to be right.
    pub rules: Vec<RuleSpec>,
    /// Whether what no rule decides about is refused.
    pub deny_by_default: bool,
}

/// A list that comes from a file.
#[derive(Clone, Debug)]
pub struct ListFile {
    /// Where it is.
    pub path: PathBuf,
    /// The version of it that was read.
    pub stamp: Stamp,
    /// Where its names are used.
    pub list: ListHandle,
}
