//! Who is let in, what is remembered, and what a flood of wrong passwords comes to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use http::{HeaderValue, Request, StatusCode, header};
use proxy_core::{ClientAddr, Refusal, RequestHead};
use proxy_testkit::ManualClock;

use super::*;
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// `secret`, by each scheme; `htpasswd -nbBC 4`, `argon2 -id -m 8 -t 1`, `mkpasswd`.
fn file() -> String {
    let bcrypt = bcrypt::hash("secret", 4).unwrap();
    let argon2 = {
        use argon2::password_hash::{PasswordHasher, SaltString};
        let params = argon2::Params::new(64, 1, 1, None).unwrap();
        let hasher =
            argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let salt = SaltString::from_b64("c2FsdHNhbHQ").unwrap();
        hasher.hash_password(b"secret", &salt).unwrap().to_string()
    };
    let sha512 = sha_crypt::sha512_simple("secret", &sha_crypt::Sha512Params::new(1000).unwrap());
    let sha256 = sha_crypt::sha256_simple("secret", &sha_crypt::Sha256Params::new(1000).unwrap());
    format!(
        "# staff\n\nanna:{bcrypt}\notto:{argon2}\nida:{}\nolaf:{}\n",
        sha512.unwrap(),
        sha256.unwrap()
    )
}

/// Work that waits.
type Job = Box<dyn FnOnce() + Send>;

/// Does the work at once, or keeps it, or takes none.
#[derive(Default)]
struct Desk {
    kept: Mutex<Option<Vec<Job>>>,
    full: bool,
    done: AtomicUsize,
}

impl Offload for Desk {
    fn offload(&self, work: Box<dyn FnOnce() + Send>) -> bool {
        if self.full {
            return false;
        }
        match &mut *self.kept.lock().unwrap() {
            Some(kept) => kept.push(work),
            None => {
                self.done.fetch_add(1, Ordering::Relaxed);
                work();
            }
        }
        true
    }
}

fn credentials(asks: Asks, desk: &Arc<Desk>, clock: &ManualClock) -> Credentials {
    let users = Users::read(&file()).unwrap();
    let desk = Arc::<Desk>::clone(desk);
    Credentials::new(users, asks, Arc::new(clock.clone()), desk, [7; 32])
}

fn request(user: &str, password: &str) -> Request<()> {
    let token = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut request = Request::get("http://x.test/").body(()).unwrap();
    let value = HeaderValue::try_from(format!("basic {token}")).unwrap();
    request.headers_mut().insert(header::PROXY_AUTHORIZATION, value);
    request.extensions_mut().insert(ClientAddr::new("192.0.2.1".parse().unwrap()));
    request
}

/// The user, or the refusal.
async fn judge(policy: &dyn Policy, request: &Request<()>) -> Result<String, Box<Refusal>> {
    let asked = Asked::new(RequestHead::of(request));
    let mut verdict = policy.judge(&asked);
    if let Verdict::Defer(deferred) = verdict {
        verdict = deferred.await(&asked);
    }
    match verdict {
        Verdict::Allow => Ok(asked.user().unwrap().to_string()),
        Verdict::Deny(refusal) | Verdict::Challenge(refusal) => Err(refusal),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_scheme_is_checked_and_what_was_right_is_remembered() {
    let (desk, clock) = (Arc::new(Desk::default()), ManualClock::new());
    let own = credentials(Asks::Proxy, &desk, &clock);
    let policy = own.clone().any_user();
    for user in ["anna", "otto", "ida", "olaf"] {
        assert_eq!(judge(&policy, &request(user, "secret")).await.unwrap(), user);
        let refusal = judge(&policy, &request(user, "Secret")).await.unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.reason), (407, "credentials_wrong"));
    }
    assert_eq!((desk.done.load(Ordering::Relaxed), own.remembered_pairs()), (8, 4));
    for _ in 0..3 {
        judge(&policy, &request("anna", "secret")).await.unwrap();
    }
    assert_eq!(desk.done.load(Ordering::Relaxed), 8, "remembered");
    clock.advance(Duration::from_secs(600));
    judge(&policy, &request("anna", "secret")).await.unwrap();
    assert_eq!(desk.done.load(Ordering::Relaxed), 9, "forgotten after ten minutes");
}

#[tokio::test]
async fn a_name_that_nobody_has_is_checked_all_the_same() {
    let (desk, clock) = (Arc::new(Desk::default()), ManualClock::new());
    let policy = credentials(Asks::Proxy, &desk, &clock).any_user();
    let refusal = judge(&policy, &request("nobody", "secret")).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.reason), (407, "credentials_wrong"));
    assert_eq!(desk.done.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_is_no_basic_is_challenged_without_a_check() {
    let (desk, clock) = (Arc::new(Desk::default()), ManualClock::new());
    let own = credentials(Asks::Proxy, &desk, &clock).realm("the proxy").unwrap();
    let policy = own.any_user();
    for (value, reason) in [
        (None, "credentials_required"),
        (Some("Bearer abc".to_owned()), "credentials_wrong"),
        (Some("Basic ???".to_owned()), "credentials_wrong"),
        (Some("Basic bm9jb2xvbg==".to_owned()), "credentials_wrong"),
        (Some(format!("Basic {}", "YWFh".repeat(2000))), "credentials_wrong"),
    ] {
        let mut request = request("anna", "secret");
        match &value {
            Some(value) => {
                let value = HeaderValue::from_str(value).unwrap();
                request.headers_mut().insert(header::PROXY_AUTHORIZATION, value);
            }
            None => drop(request.headers_mut().remove(header::PROXY_AUTHORIZATION)),
        }
        let refusal = judge(&policy, &request).await.unwrap_err();
        assert_eq!(refusal.reason, reason);
        let challenge = &refusal.fields.as_ref().unwrap()["proxy-authenticate"];
        assert_eq!(challenge, "Basic realm=\"the proxy\", charset=\"UTF-8\"");
    }
    // Two fields: nobody knows which is meant.
    let mut request = request("anna", "secret");
    let first = request.headers()[header::PROXY_AUTHORIZATION].clone();
    request.headers_mut().append(header::PROXY_AUTHORIZATION, first);
    assert!(judge(&policy, &request).await.is_err());
    assert_eq!(desk.done.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn at_an_origin_it_is_401_and_some_users_only() {
    let (desk, clock) = (Arc::new(Desk::default()), ManualClock::new());
    let own = credentials(Asks::Origin, &desk, &clock);
    let policy = own.only(Admitted::of(&["otto".to_owned()]));
    let mut anna = request("anna", "secret");
    let refusal = judge(&policy, &anna).await.unwrap_err();
    assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
    assert!(refusal.fields.as_ref().unwrap().contains_key("www-authenticate"));
    let value = anna.headers_mut().remove(header::PROXY_AUTHORIZATION).unwrap();
    anna.headers_mut().insert(header::AUTHORIZATION, value);
    let refusal = judge(&policy, &anna).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.reason), (403, "user_not_allowed"));
}

#[tokio::test]
async fn a_flood_waits_in_bounds() {
    let clock = ManualClock::new();
    let full = Arc::new(Desk { full: true, ..Desk::default() });
    let policy = credentials(Asks::Proxy, &full, &clock).any_user();
    let refusal = judge(&policy, &request("anna", "secret")).await.unwrap_err();
    assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.retry_after.is_some());

    let slow = Arc::new(Desk { kept: Mutex::new(Some(Vec::new())), ..Desk::default() });
    let policy = credentials(Asks::Proxy, &slow, &clock).any_user();
    let ask = |request: &Request<()>| policy.judge(&Asked::new(RequestHead::of(request)));
    let waiting: Vec<Verdict> = (0..16).map(|n| ask(&request("anna", &n.to_string()))).collect();
    assert!(waiting.iter().all(|verdict| matches!(verdict, Verdict::Defer(_))));
    match ask(&request("anna", "secret")) {
        Verdict::Deny(refusal) => assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS),
        other => panic!("{other:?}"),
    }
    // Another client is not held up by it.
    let mut other = request("otto", "secret");
    other.extensions_mut().insert(ClientAddr::new("192.0.2.2".parse().unwrap()));
    assert!(matches!(ask(&other), Verdict::Defer(_)));
    // Whoever left is not checked any more, and its places are free.
    drop(waiting);
    let kept = slow.kept.lock().unwrap().as_mut().map(std::mem::take).unwrap();
    kept.into_iter().for_each(|work| work());
    assert!(matches!(ask(&request("anna", "secret")), Verdict::Defer(_)));
}

#[tokio::test]
async fn a_few_clients_can_not_shut_out_the_others() {
    let clock = ManualClock::new();
    let slow = Arc::new(Desk { kept: Mutex::new(Some(Vec::new())), ..Desk::default() });
    let policy = credentials(Asks::Proxy, &slow, &clock).any_user();
    let mut waiting = Vec::new();
    for (client, expected) in [(1, 16), (2, 16), (3, 2), (4, 2), (5, 2)] {
        let mut request = request("anna", "wrong");
        request.extensions_mut().insert(ClientAddr::new([192, 0, 2, client].into()));
        for n in 0..20 {
            let verdict = policy.judge(&Asked::new(RequestHead::of(&request)));
            assert_eq!(matches!(verdict, Verdict::Defer(_)), n < expected, "{client} {n}");
            waiting.push(verdict);
        }
    }
}

#[tokio::test]
async fn guessing_is_limited_and_who_is_right_is_not() {
    let (desk, clock) = (Arc::new(Desk::default()), ManualClock::new());
    let policy = credentials(Asks::Proxy, &desk, &clock).any_user();
    judge(&policy, &request("otto", "secret")).await.unwrap();
    for n in 0..32 {
        let refusal = judge(&policy, &request("anna", &n.to_string())).await.unwrap_err();
        assert_eq!(refusal.reason, "credentials_wrong");
    }
    let refusal = judge(&policy, &request("anna", "secret")).await.unwrap_err();
    assert_eq!((refusal.status.as_u16(), refusal.reason), (429, "credentials_guessed"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
    assert_eq!(desk.done.load(Ordering::Relaxed), 33, "not checked any more");
    judge(&policy, &request("otto", "secret")).await.expect("remembered");
    let mut elsewhere = request("anna", "secret");
    elsewhere.extensions_mut().insert(ClientAddr::new("192.0.2.2".parse().unwrap()));
    judge(&policy, &elsewhere).await.expect("another client");
    // What is right costs nothing: each of these would take the one attempt there is.
    clock.advance(Duration::from_secs(1));
    for user in ["ida", "olaf"] {
        judge(&policy, &request(user, "secret")).await.unwrap();
    }
}

#[tokio::test]
async fn a_rehearsal_checks_elsewhere_and_leaves_nothing() {
    let (desk, clock) = (Arc::new(Desk::default()), ManualClock::new());
    let own = credentials(Asks::Proxy, &desk, &clock);
    let policy = own.clone().any_user();
    let rehearsed = |password: &str| {
        let mut request = request("anna", password);
        let exchange = proxy_testkit::ExchangeBuilder::new().peer("192.0.2.1").build();
        exchange.set_rehearsal();
        request.extensions_mut().insert(exchange);
        request
    };
    judge(&policy, &rehearsed("secret")).await.unwrap();
    for n in 1..100 {
        let refusal = judge(&policy, &rehearsed("wrong")).await.unwrap_err();
        assert_eq!(refusal.reason, "credentials_wrong");
        assert_eq!(desk.done.load(Ordering::Relaxed), n + 1, "never by whoever asks");
    }
    assert_eq!(own.remembered_pairs(), 0);
}

#[test]
fn a_pool_does_the_work_and_survives_a_panic() {
    let pool = Pool::start(1).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    assert!(pool.offload(Box::new(|| panic!("on purpose"))));
    assert!(pool.offload(Box::new(move || tell.send(1).unwrap())));
    assert_eq!(told.recv_timeout(Duration::from_secs(30)).unwrap(), 1);
}

#[test]
fn a_file_that_is_wrong_names_the_line_and_never_the_hash() {
    let good = bcrypt::hash("x", 4).unwrap();
    for (text, expected) in [
        ("", "there is no user in it".to_owned()),
        ("# nobody\n", "there is no user in it".to_owned()),
        ("anna", "line 1: expected `name:hash`".to_owned()),
        ("\n:x", "line 2: expected a name of 1 to 256 bytes before the `:`".to_owned()),
        ("anna:$apr1$abc$def", "line 1: MD5; expected bcrypt".to_owned()),
        ("anna:{SHA}abc", "line 1: a bare SHA-1; expected".to_owned()),
        ("anna:secret", "line 1: no hash that is known here; expected".to_owned()),
        ("anna:$2y$31$abc", "line 1: not a bcrypt hash".to_owned()),
        ("anna:$6$rounds=9999999$salt$hash", "line 1: 9999999 rounds".to_owned()),
        ("anna:$6$hash", "line 1: not a SHA-crypt hash".to_owned()),
        ("anna:$argon2id$x", "line 1: not an argon2 hash".to_owned()),
    ] {
        let error = Users::read(text).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{text}: {error}");
        assert!(!error.contains("abc") && !error.contains("secret"), "{error}");
    }
    let twice = format!("a:{good}\na:{good}");
    assert!(Users::read(&twice).unwrap_err().to_string().starts_with("line 2: this name"));
    let dear = good.replace("$04$", "$20$");
    assert!(Users::read(&format!("a:{dear}")).unwrap_err().to_string().contains("cost of 20"));
}
