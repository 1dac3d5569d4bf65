//! The `proxyd` program.

use std::process::ExitCode;

use proxyd::Program;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Program::new().main()
}
