//! A warden on its own, for programs that would rather not be started again as their own warden:
//! see [`proxy_exec::Warden::program`].

fn main() -> std::process::ExitCode {
    let _ = proxy_exec::Warden::begin();
    std::process::ExitCode::from(2)
}
