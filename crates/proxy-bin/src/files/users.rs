//! Names and passwords.

use proxy_filter::credentials::{HtpasswdError, Users};

use super::{Content, Kept, Registry, Watched};
use crate::config::resolved::{Credentials, Resolved};

/// Times that a file of users was read again; labels `listener` and `outcome` (`swapped`, `kept`).
const RELOADS: &str = "proxy_filter_users_reloads_total";

struct Passwords(Credentials);

/// The users of each listener that has some.
pub(super) fn watched<'c>(
    config: &'c Resolved,
    recorder: Registry<'c>,
) -> impl Iterator<Item = Watched> + 'c {
    config.listeners.iter().filter_map(move |listener| {
        let own = listener.credentials.clone()?;
        let watched = Watched::new([(own.path.clone(), own.stamp)], Passwords(own));
        Some(watched.counted(recorder, RELOADS, ("listener", &listener.name)))
    })
}

impl Content for Passwords {
    fn renew(&mut self) -> Result<String, Kept> {
        let new = Users::open(&self.0.path).map_err(|error| match error {
            HtpasswdError::Read(error) => Kept::Unreadable(error.to_string()),
            error => Kept::Refused(error.to_string()),
        })?;
        let used = format!("{} users", new.len());
        self.0.users.renew(new);
        Ok(used)
    }
}
