//! What a one-line mode says once, at start.

use std::fmt::Write as _;

use crate::config::Resolved;
use crate::config::raw::Role;
use crate::config::resolved::Address;

/// What listens where, and one line to try it with.
pub fn greeting(resolved: &Resolved) -> String {
    let mut text = format!("proxyd {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |what: &str, address: &Address| {
        let _ = writeln!(text, "  {what:<14} {address}");
    };
    for listener in &resolved.listeners {
        let what = match listener.role {
            Role::Forward => "forward proxy",
            Role::Gateway => "gateway",
        };
        listener.addresses.iter().for_each(|address| line(what, address));
    }
    resolved.admin.iter().for_each(|admin| line("admin", &admin.address));
    resolved.probe.iter().for_each(|probe| line("probe", probe));
    let first = resolved.listeners.first();
    let tcp = first.and_then(|listener| {
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => Some((listener.role, *address)),
            Address::Unix(_) => None,
        };
        listener.addresses.iter().find_map(tcp)
    });
    match tcp {
        Some((Role::Forward, address)) => {
            let _ = writeln!(text, "try: curl -x http://{address} https://example.com/");
        }
        Some((Role::Gateway, address)) => {
            let _ = writeln!(text, "try: curl http://{address}/");
        }
        None => {}
    }
    text
}
