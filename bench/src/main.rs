//! Side-by-side measurements of proxyd, nginx and HAProxy.

fn main() {}
