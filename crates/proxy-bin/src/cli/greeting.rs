//! What a one-line mode says once, at start.

use std::fmt::Write as _;

use crate::config::Loaded;
use crate::config::raw::{Exec, ParamSource, Role, Route};
use crate::config::resolved::Address;

/// What listens where, and one line to try it with. An admin listener that nobody asked for may
/// not be there.
pub fn greeting(loaded: &Loaded, has_admin: bool) -> String {
    let resolved = &loaded.resolved;
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
    resolved.admin.iter().filter(|_| has_admin).for_each(|admin| line("admin", &admin.address));
    resolved.probe.iter().for_each(|probe| line("probe", probe));
    let first = resolved.listeners.first();
    let tcp = first.and_then(|listener| {
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => Some((listener.role, listener.tls.is_some(), *address)),
            Address::Unix(_) => None,
        };
        listener.addresses.iter().find_map(tcp)
    });
    match tcp {
        Some((Role::Forward, secure, address)) => {
            let scheme = if secure { "https" } else { "http" };
            let _ = writeln!(text, "try: curl -x {scheme}://{address} https://example.com/");
        }
        Some((Role::Gateway, secure, address)) => {
            let exec =
                loaded.raw.routes.first().and_then(|route| Some((route, route.exec.as_ref()?)));
            let _ = match exec {
                Some((route, exec)) => writeln!(text, "try: curl {}", asking(address, route, exec)),
                None if secure => writeln!(text, "try: curl --insecure https://{address}/"),
                None => writeln!(text, "try: curl http://{address}/"),
            };
        }
        None => {}
    }
    text
}

/// What asks for the output of a program.
fn asking(address: std::net::SocketAddr, route: &Route, exec: &Exec) -> String {
    let path = exec.path.as_deref().or(route.matches.paths.first().map(String::as_str));
    let given = |source: ParamSource| {
        let params = exec.params.iter();
        params.filter(move |(_, param)| param.source == source && param.default.is_none())
    };
    let query: Vec<String> =
        given(ParamSource::Query).map(|(name, _)| format!("{name}=...")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("http://{address}{}{mark}{}", path.unwrap_or("/"), query.join("&"));
    let url = match url.contains(['?', '{']) {
        true => format!("'{url}'"),
        false => url,
    };
    match (exec.stdin, given(ParamSource::Form).count()) {
        (true, _) => format!("--data-binary @FILE {url}"),
        (false, 0) => url,
        (false, _) => {
            let fields: Vec<_> =
                given(ParamSource::Form).map(|(name, _)| format!("-d {name}=...")).collect();
            format!("{} {url}", fields.join(" "))
        }
    }
}
