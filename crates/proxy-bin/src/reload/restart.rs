//! Keys that hold from the start of a process to its end.

use crate::config::resolved::Resolved;
use crate::config::{Diagnostic, Diagnostics, KeyPath, Loaded};

/// What of a new configuration needs a new process; nothing where all of it can take effect.
pub fn needs_restart(old: &Loaded, new: &Loaded) -> Diagnostics {
    let differs = |path: &KeyPath| {
        let of = |loaded: &Loaded| loaded.resolved.definitions.of(path);
        of(old) != of(new)
    };
    let mut paths: Vec<KeyPath> = ["server.workers", "server.runtime", "metrics", "log.audit"]
        .into_iter()
        .map(KeyPath::of)
        .filter(differs)
        .collect();
    if old.resolved.audit_log.is_some() {
        // What it shows of clients is chained to what it has shown.
        paths.extend(Some(KeyPath::of("privacy")).filter(differs));
    }
    paths.extend(stores(&old.resolved, &new.resolved));
    let message =
        "holds from the start of the process: restart it, or upgrade it in place (SIGUSR2)";
    let errors: Vec<_> =
        paths.iter().map(|path| Diagnostic::error(path, message).on_key()).collect();
    new.origins.located(errors).into()
}

/// A folder belongs to one store at a time: what is there on a disk stays as it is.
fn stores(old: &Resolved, new: &Resolved) -> Option<KeyPath> {
    let (old, new) = (old.cache.as_ref()?, new.cache.as_ref()?);
    let (before, after) = (old.disk.as_ref()?, new.disk.as_ref()?);
    if old == new || before.path != after.path {
        return None;
    }
    Some(KeyPath::of(if before == after { "cache" } else { "cache.disk" }))
}
