//! `Credentials`: requests need a name and a password.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use http::{HeaderName, HeaderValue, StatusCode, header};
use proxy_core::{ClientAddr, Clock, Refusal, Verdict as Recorded};

use super::basic::Basic;
use super::failures::{Attempt, Failures};
use super::handle::UsersHandle;
use super::pending::{Pending, Place};
use super::pool::Offload;
use super::remembered::Remembered;
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// How long a pair that was right is remembered, where nothing is said.
const REMEMBERED: Duration = Duration::from_secs(600);
/// When to try again after too many checks.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who asks for the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A forward proxy: `Proxy-Authorization`, and 407 with `Proxy-Authenticate`.
    Proxy,
    /// An origin server, or a gateway in its place: `Authorization`, and 401 with
    /// `WWW-Authenticate`.
    Origin,
}

/// Which users are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Each whose password is right.
    Any,
    /// These; another gets 403.
    These(Box<[String]>),
}

impl Admitted {
    /// Users by name; `*` among them is any.
    pub fn of(names: &[String]) -> Self {
        if names.iter().any(|name| name == "*") { Self::Any } else { Self::These(names.into()) }
    }

    fn has(&self, user: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(users) => users.iter().any(|own| own == user),
        }
    }
}

/// A realm is a short text without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a realm of 1 to 100 printable characters of ASCII, without quotes and backslashes"
)]
pub struct RealmError;

/// Users, and what is known of them. A clone is the same. See the [module](super).
#[derive(Clone)]
pub struct Credentials {
    shared: Arc<Shared>,
}

struct Shared {
    users: UsersHandle,
    asks: Asks,
    challenge: HeaderValue,
    clock: Arc<dyn Clock>,
    offload: Arc<dyn Offload>,
    remembered: Remembered,
    pending: Pending,
    failures: Failures,
}

impl Credentials {
    /// Checks against these users. `key` is random, and different in each process.
    pub fn new(
        users: impl Into<UsersHandle>,
        asks: Asks,
        clock: Arc<dyn Clock>,
        offload: Arc<dyn Offload>,
        key: [u8; 32],
    ) -> Self {
        let now = clock.now();
        let shared = Shared {
            users: users.into(),
            asks,
            challenge: HeaderValue::from_static("Basic realm=\"restricted\", charset=\"UTF-8\""),
            clock,
            offload,
            remembered: Remembered::new(key, REMEMBERED),
            pending: Pending::default(),
            failures: Failures::new(now),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The realm that clients are shown. Default: `restricted`.
    ///
    /// # Errors
    /// It is too long, or has characters that would need escaping.
    ///
    /// # Panics
    /// Where it is in use already.
    pub fn realm(mut self, realm: &str) -> Result<Self, RealmError> {
        self.own().challenge = challenge(realm).ok_or(RealmError)?;
        Ok(self)
    }

    /// The realm, where it is one; else the one there was.
    ///
    /// # Panics
    /// Where it is in use already.
    #[must_use]
    pub fn realm_or_default(mut self, realm: &str) -> Self {
        if let Some(challenge) = challenge(realm) {
            self.own().challenge = challenge;
        }
        self
    }

    /// How long a pair that was right is remembered; zero: not at all. Default: 10 minutes.
    ///
    /// # Panics
    /// Where it is in use already.
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.own().remembered.set_time(time);
        self
    }

    fn own(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.shared).expect("changed only before it is used")
    }

    /// The policy that lets in each user whose password is right.
    pub fn any_user(self) -> CredentialsPolicy {
        CredentialsPolicy { credentials: self, admitted: Arc::new(Admitted::Any) }
    }

    /// The policy that lets in these.
    pub fn only(self, admitted: Admitted) -> CredentialsPolicy {
        CredentialsPolicy { credentials: self, admitted: Arc::new(admitted) }
    }

    /// Whether there is a user of this name.
    pub fn has(&self, user: &str) -> bool {
        self.shared.users.current().has(user)
    }

    /// Judges a request: for policies that ask for credentials only sometimes.
    pub fn judge(&self, asked: &Asked<'_>, admitted: &Arc<Admitted>) -> Verdict {
        let shared = &self.shared;
        let field = shared.field();
        asked.remove_field(field.clone());
        let Some(basic) = Basic::of(asked.fields(), &field) else {
            let sent = asked.fields().contains_key(&field);
            let reason = if sent { "credentials_wrong" } else { "credentials_required" };
            return shared.challenge(reason).into();
        };
        let hash = shared.remembered.hash(basic.pair());
        let generation = shared.users.generation();
        if let Some(user) = shared.remembered.user(&hash, generation, shared.clock.now()) {
            return shared.conclude(Some(user), admitted, asked);
        }
        // The same name has the same stand-in, and nobody can tell which.
        let chance = shared.remembered.hash(basic.name().as_bytes());
        let chance = u64::from_le_bytes(chance[..8].try_into().unwrap_or_default());
        // In a rehearsal the password is checked as well, but nothing is counted or remembered.
        let place = match asked.is_rehearsal() {
            true => None,
            false => match shared.place(asked.client()) {
                Ok(place) => Some(place),
                Err(refusal) => return refusal.into(),
            },
        };
        let (tell, told) = oneshot::channel();
        let own = Arc::clone(shared);
        let work = Box::new(move || {
            // Whoever asked may have left.
            if !tell.is_canceled() {
                let users = own.users.current();
                let user = users.verify(basic.name(), basic.password(), chance);
                if let Some((_, attempt)) = place {
                    match &user {
                        Some(user) => {
                            let (user, now) = (Arc::clone(user), own.clock.now());
                            own.remembered.remember(hash, user, generation, now);
                        }
                        None => attempt.failed(),
                    }
                }
                let _ = tell.send(user);
            }
        });
        if !shared.offload.offload(work) {
            return busy(StatusCode::SERVICE_UNAVAILABLE).into();
        }
        let (own, admitted) = (Arc::clone(shared), Arc::clone(admitted));
        Verdict::defer_with(told, move |told, asked| match told {
            Ok(user) => own.conclude(user, &admitted, asked),
            // A check that broke off is no check.
            Err(_) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "policy_failed").into(),
        })
    }
}

impl Shared {
    const fn field(&self) -> HeaderName {
        match self.asks {
            Asks::Proxy => header::PROXY_AUTHORIZATION,
            Asks::Origin => header::AUTHORIZATION,
        }
    }

    /// A place among the checks that wait, and an attempt of the client's.
    fn place(&self, client: ClientAddr) -> Result<(Place, Attempt), Refusal> {
        let attempt = self.failures.begin(client, self.clock.now()).map_err(|wait| {
            let status = StatusCode::TOO_MANY_REQUESTS;
            Refusal::new(status, "credentials_guessed").rule("credentials").retry_after(wait)
        })?;
        let place = self.pending.take(client);
        Ok((place.ok_or_else(|| busy(StatusCode::TOO_MANY_REQUESTS))?, attempt))
    }

    fn challenge(&self, reason: &'static str) -> Refusal {
        let (status, field) = match self.asks {
            Asks::Proxy => (StatusCode::PROXY_AUTHENTICATION_REQUIRED, header::PROXY_AUTHENTICATE),
            Asks::Origin => (StatusCode::UNAUTHORIZED, header::WWW_AUTHENTICATE),
        };
        Refusal::new(status, reason).rule("credentials").field(field, self.challenge.clone())
    }

    fn conclude(&self, user: Option<Arc<str>>, admitted: &Admitted, asked: &Asked<'_>) -> Verdict {
        let Some(user) = user else { return self.challenge("credentials_wrong").into() };
        let is_admitted = admitted.has(&user);
        asked.set_user(user);
        if !is_admitted {
            let refusal = Refusal::new(StatusCode::FORBIDDEN, "user_not_allowed");
            return refusal.rule("users").into();
        }
        if asked.is_rehearsal() {
            asked.note(Some(&Arc::from("credentials")), Recorded::Allow, "user_known".into());
        }
        Verdict::Allow
    }
}

/// The challenge with a realm that needs no escaping.
fn challenge(realm: &str) -> Option<HeaderValue> {
    let plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    let fits = !realm.is_empty() && realm.len() <= 100 && realm.bytes().all(plain);
    let value = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
    fits.then(|| HeaderValue::try_from(value).ok())?
}

fn busy(status: StatusCode) -> Refusal {
    Refusal::new(status, "credentials_busy").rule("credentials").retry_after(RETRY_AFTER)
}

/// Asks for credentials. See the [module](super).
#[derive(Clone, Debug)]
pub struct CredentialsPolicy {
    credentials: Credentials,
    admitted: Arc<Admitted>,
}

impl Policy for CredentialsPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        self.credentials.judge(asked, &self.admitted)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("users", &self.shared.users).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Credentials {
    pub(super) fn remembered_pairs(&self) -> usize {
        self.shared.remembered.len()
    }
}
