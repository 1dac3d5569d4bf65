//! Names and passwords: files read, and the routes that ask for them.

use std::time::Duration;

use proxy_filter::credentials::{HtpasswdError, Users};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, Role};
use crate::config::resolved::{Credentials, Listener};
use crate::config::units::Period;
use crate::files::Stamp;

/// How long a password that was right is not checked again.
const REMEMBER: Duration = Duration::from_secs(600);

impl Resolver<'_> {
    /// Reads the file. What is wrong in it names the line, and shows no hash.
    pub(super) fn credentials(
        &mut self,
        path: &KeyPath,
        raw: &raw::Credentials,
    ) -> Option<Credentials> {
        let path_of_file = path.key("file");
        let file = self.origins.folder(&path_of_file).join(&raw.file);
        let realm = raw.realm.clone().unwrap_or_else(|| "restricted".to_owned());
        let plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        if realm.is_empty() || realm.len() > 100 || !realm.bytes().all(plain) {
            let message = "expected 1 to 100 characters of ASCII without quotes and backslashes";
            self.error(&path.key("realm"), message);
        }
        let stamp = Stamp::of(&file);
        let users = Users::open(&file).map_err(|error| match error {
            HtpasswdError::Read(error) => {
                format!("cannot read {}: {}", file.display(), super::plain(&error))
            }
            error => format!("{}: {error}", file.display()),
        });
        let users = self.take(&path_of_file, users)?;
        let remember = raw.remember.map_or(REMEMBER, Period::duration);
        Some(Credentials { users: users.into(), path: file, stamp, realm, remember })
    }

    /// Checks that routes name users who can prove it.
    pub(super) fn route_users(&mut self, config: &Config, listeners: &[Listener]) {
        let mut said = false;
        for (index, route) in config.routes.iter().enumerate() {
            let (path, users) = match (&route.users, &config.defaults.users) {
                (Some(users), _) => (KeyPath::of("routes").index(index), users),
                (None, Some(users)) if !said => {
                    said = true;
                    (KeyPath::of("defaults"), users)
                }
                _ => continue,
            };
            let path = path.key("users");
            if users.is_empty() {
                self.error(&path, "an empty list admits nobody; leave it out for all");
            }
            let serves = |listener: &&Listener| {
                listener.role == Role::Gateway
                    && route.listeners.as_ref().is_none_or(|own| own.contains(&listener.name))
            };
            let serving: Vec<&Listener> = listeners.iter().filter(serves).collect();
            if let Some(without) = serving.iter().find(|listener| listener.credentials.is_none()) {
                let name = &without.name;
                let message = format!("needs `credentials` of the listener `{name}`");
                self.error_on_key(&path, message);
                continue;
            }
            for (at, user) in users.iter().enumerate().filter(|(_, user)| *user != "*") {
                let known = |listener: &&Listener| {
                    listener.credentials.as_ref().is_some_and(|own| own.users.current().has(user))
                };
                if !serving.iter().any(known) {
                    self.warning(&path.index(at), "no user of this name has a password");
                }
            }
        }
    }
}
