//! The sockets of operators: the admin listener and that for probes.

use axum::Router;
use proxy_server::Drain;

use super::sockets::{ADMIN, PROBE, Sockets};
use crate::admin::{self, State};
use crate::config::resolved::{Address, Resolved};

/// What listens for operators.
#[derive(Default)]
pub(super) struct Operators {
    admin: Option<Door>,
    probe: Option<Door>,
}

struct Door {
    address: Address,
    stop: Drain,
}

impl Operators {
    /// Listens where this configuration says, and nowhere else.
    pub(super) fn set(&mut self, config: &Resolved, sockets: &Sockets, state: &State) {
        let admin = config.admin.as_ref().map(|admin| &admin.address);
        set(&mut self.admin, ADMIN, admin, sockets, || admin::admin_router(state.clone()));
        let probe = config.probe.as_ref();
        set(&mut self.probe, PROBE, probe, sockets, || admin::probe_router(state.clone()));
    }
}

impl Operators {
    /// Listens nowhere any more.
    pub(super) fn stop_accepting(&self) {
        self.admin.iter().chain(&self.probe).for_each(|door| door.stop.drain());
    }
}

fn set(
    door: &mut Option<Door>,
    name: &str,
    address: Option<&Address>,
    sockets: &Sockets,
    router: impl FnOnce() -> Router,
) {
    if door.as_ref().is_some_and(|door| Some(&door.address) == address) {
        return;
    }
    if let Some(door) = door.take() {
        door.stop.drain();
    }
    let Some(address) = address else { return };
    let Some(open) = sockets.get(name, address) else { return };
    let stop = Drain::default();
    let listening = open.second().and_then(|own| admin::listen(own, router(), stop.clone()));
    match listening {
        Ok(()) => *door = Some(Door { address: address.clone(), stop }),
        Err(error) => tracing::error!(%error, %address, "the {name} listener can not be used"),
    }
}
