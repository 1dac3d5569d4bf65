//! The token that this process has made for its admin listener: one, for as long as the process and
//! those that take over from it live.

use super::sockets::{ADMIN, Sockets};
use crate::admin_token::AdminToken;
use crate::config::resolved::Resolved;

/// The token, and the listener for which it was written.
pub(super) struct MadeToken(Option<(String, AdminToken)>);

impl MadeToken {
    /// The one that the process before has made, with the address, where there was one.
    pub(super) fn of(handed: Option<&(String, String)>) -> Self {
        Self(handed.map(|(address, token)| (address.clone(), AdminToken::known(token))))
    }

    /// The token of the admin listener: the configured one, or the made one, which is written where
    /// it is not yet. None, where nobody listens or it can not be written.
    pub(super) fn of_listener(
        &mut self,
        config: &Resolved,
        sockets: &Sockets,
    ) -> Option<AdminToken> {
        let admin = config.admin.as_ref()?;
        sockets.get(ADMIN, &admin.address)?;
        if let Some(configured) = &admin.token {
            return Some(AdminToken::known(configured.reveal()));
        }
        let address = admin.address.to_string();
        if let Some((written, token)) = &self.0
            && *written == address
        {
            return Some(token.clone());
        }
        let made = match &self.0 {
            Some((_, token)) => Ok(token.clone()),
            None => AdminToken::make(),
        };
        let written = made.and_then(|token| Ok((token.write(&admin.address)?, token)));
        match written {
            Ok((path, token)) => {
                tracing::info!(path = %path.display(), "admin token written");
                self.0 = Some((address, token.clone()));
                Some(token)
            }
            Err(error) => {
                tracing::warn!(%error, "no admin token can be written: changes through the admin listener are off");
                None
            }
        }
    }

    /// For the process that takes over.
    pub(super) fn to_hand_over(&self) -> Option<(String, String)> {
        self.0.as_ref().map(|(address, token)| (address.clone(), token.reveal().to_owned()))
    }
}
