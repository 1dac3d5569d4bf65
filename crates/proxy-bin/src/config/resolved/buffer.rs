//! Content that is held for slow clients.

use std::path::PathBuf;

/// Where what does not fit into memory goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// In files of this directory, which have no name there.
    pub directory: PathBuf,
    /// Bytes that all of them together may have.
    pub max_disk: u64,
}
