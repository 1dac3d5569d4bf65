//! What a new configuration takes over from the one in effect, though it was made anew with it.
//!
//! Most of what outlives a reload is taken over when it is [composed](crate::states). Here is what
//! is made as the configuration is read: keys of tickets, salts of pseudonyms, an authority with the
//! certificates it has made, and lists of names, whose last good version stays.

use std::sync::Arc;

use crate::config::resolved::{ListFile, Resolved};
use crate::config::{KeyPath, Loaded};

/// What is to be done once the new configuration takes effect.
pub type Pending = Vec<Box<dyn FnOnce() + Send>>;

/// Takes over. Gives what is to be done later, and what an operator should know.
pub fn adopt(old: &Loaded, new: &mut Loaded) -> (Pending, Vec<String>) {
    let same = |path: &str| {
        let path = KeyPath::of(path);
        old.resolved.definitions.of(&path) == new.resolved.definitions.of(&path)
    };
    let (same_privacy, same_intercept) = (same("privacy"), same("forward.intercept"));
    for (name, own) in &mut new.resolved.upstreams {
        let path = KeyPath::of("upstreams").key(name);
        let same = old.resolved.definitions.of(&path) == new.resolved.definitions.of(&path);
        let known = old.resolved.upstreams.get(name).filter(|_| same);
        if let (Some(own), Some(known)) = (&mut own.tls, known.and_then(|own| own.tls.as_ref())) {
            // The pools that stay have it, and the watch over its files renews it.
            own.tls = known.tls.clone();
        }
    }
    let (old, new) = (&old.resolved, &mut new.resolved);
    if same_privacy {
        // Salts that no file has are made at the start.
        new.privacy.log = old.privacy.log.clone();
        new.privacy.audit = old.privacy.audit.clone();
        new.privacy.forwarded = old.privacy.forwarded.clone();
        for exec in new.routes.iter_mut().filter_map(|route| route.exec.as_mut()) {
            exec.client_address = new.privacy.forwarded.clone();
        }
    }
    if let (true, Some(own), Some(known)) =
        (same_intercept, &mut new.forward.intercept, &old.forward.intercept)
    {
        (own.minter, own.tls) = (known.minter.clone(), known.tls.clone());
    }
    (edges(old, new), lists(old, new))
}

/// Listeners whose handshakes are done as before keep what does them: tickets that clients have are
/// good for it. The certificates are read once more, and shown from then on.
fn edges(old: &Resolved, new: &mut Resolved) -> Pending {
    let mut pending = Pending::new();
    for listener in &mut new.listeners {
        let Some(own) = &mut listener.tls else { continue };
        let known = old.listeners.iter().find(|known| known.name == listener.name);
        let Some(known) = known.and_then(|known| known.tls.as_ref()) else { continue };
        if known.edge.options() != own.edge.options() {
            continue;
        }
        let (edge, files) = (Arc::clone(&known.edge), own.files.clone());
        own.edge = Arc::clone(&edge);
        pending.push(Box::new(move || {
            // They were good a moment ago; the watch over them says what is wrong if not.
            if let Ok(material) = files.load() {
                let _ = edge.renew(material);
            }
        }));
    }
    pending
}

/// A list that became empty, or lost half of its names, keeps the last good version.
fn lists(old: &Resolved, new: &Resolved) -> Vec<String> {
    let files = |config: &Resolved| -> Vec<ListFile> {
        let intercepted = config.forward.intercept.iter().flat_map(|own| own.files.clone());
        config.filter.files.iter().cloned().chain(intercepted).collect()
    };
    let (known, mut kept) = (files(old), Vec::new());
    for own in files(new) {
        let known = known.iter().find(|k| k.path == own.path && k.list.name() == own.list.name());
        let Some(known) = known else { continue };
        if known.stamp == own.stamp {
            // One copy is enough.
            own.list.take_over(&known.list);
        } else if let Err(shrunk) = known.list.judge(&own.list.current()) {
            own.list.take_over(&known.list);
            kept.push(format!("{}: {shrunk}; the last good one stays", own.path.display()));
        }
    }
    kept
}
