//! The `proxyd` program.

fn main() {}
