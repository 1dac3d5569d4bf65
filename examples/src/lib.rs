//! Runnable examples: see the files in this package.
