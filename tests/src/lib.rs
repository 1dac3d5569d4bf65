//! End-to-end tests of the built `proxyd` binary: the harness.
