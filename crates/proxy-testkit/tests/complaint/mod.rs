//! What the contract suite has to say against a layer.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The suite's complaint; none where it is content.
pub(crate) fn complaint<S>(suite: impl Future<Output = S>) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let panic = catch_unwind(AssertUnwindSafe(|| runtime.block_on(suite))).err()?;
    Some(match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast_ref::<&str>().unwrap_or(&"?")).to_owned(),
    })
}

/// Fails unless the suite complains of this.
#[track_caller]
pub(crate) fn complains<S>(suite: impl Future<Output = S>, of: &str) {
    let complaint = complaint(suite).unwrap_or_else(|| panic!("the suite does not notice: {of}"));
    assert!(complaint.contains(of), "expected {of:?}, got {complaint:?}");
}
