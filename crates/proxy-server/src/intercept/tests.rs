use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::*;
use crate::tls::TlsEdge;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn authority(new: &NewAuthority) -> Authority {
    let made = new.make(SystemTime::now()).unwrap();
    Authority::load(&made.certificate, &made.key, SystemTime::now()).unwrap()
}

/// Lets a client that trusts the authority shake hands; what it found, or what it complains of.
fn handshake(
    root: &CertificateDer<'static>,
    edge: &TlsEdge,
    name: &'static str,
) -> Result<Found, String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(edge.config()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| error.to_string())?;
    }
    Ok(Found::of(&client.peer_certificates().unwrap()[0]))
}

#[test]
fn a_client_that_trusts_the_authority_accepts_what_it_made() {
    let minter = Minter::new(authority(&NewAuthority::default()));
    let root = minter.authority().certificate().clone();
    let now = SystemTime::now();
    let edge = minter.edge("a.test", &Found::default(), now).unwrap();
    let found = handshake(&root, &edge, "a.test").unwrap();
    assert_eq!(found.names, ["a.test"]);
    let wrong = handshake(&root, &edge, "b.test").unwrap_err();
    assert!(wrong.contains("no server certificate"), "another name is refused: {wrong}");
    let edge = minter.edge("192.0.2.1", &Found::default(), now).unwrap();
    assert_eq!(handshake(&root, &edge, "192.0.2.1").unwrap().names, ["192.0.2.1"]);
    let other = authority(&NewAuthority::default());
    let edge = minter.edge("a.test", &Found::default(), now).unwrap();
    assert!(handshake(other.certificate(), &edge, "a.test").is_err());
}

#[test]
fn the_certificate_is_like_the_one_that_was_found() {
    let minter = Minter::new(authority(&NewAuthority::default()));
    let root = minter.authority().certificate().clone();
    let now = SystemTime::now();
    // Certificates know whole seconds.
    let at = |time: SystemTime| {
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    };
    let holds = (at(now - Duration::from_secs(60)), at(now + 30 * DAY));
    let names = vec!["a.test".to_owned(), "*.a.test".to_owned(), "192.0.2.7".to_owned()];
    let found = Found { names: names.clone(), holds: Some(holds) };
    let edge = minter.edge("a.test", &found, now).unwrap();
    let shown = handshake(&root, &edge, "www.a.test").unwrap();
    assert_eq!(shown, found);
    // Nothing holds longer than its authority, or spans more than clients take.
    let found = Found { names, holds: Some((holds.0, at(now + 4000 * DAY))) };
    let edge = minter.edge("a.test", &found, now).unwrap();
    let shown = handshake(&root, &edge, "a.test").unwrap();
    let (from, until) = shown.holds.unwrap();
    assert!(until <= now + 397 * DAY && until.duration_since(from).unwrap() <= 397 * DAY);
}

#[test]
fn one_is_made_once_and_few_are_kept() {
    let minter = Minter::keeping(authority(&NewAuthority::default()), 8);
    let now = SystemTime::now();
    let first = minter.edge("a.test", &Found::default(), now).unwrap();
    let again = minter.edge("a.test", &Found::default(), now).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let later = minter.edge("a.test", &Found::default(), now + DAY).unwrap();
    assert!(!Arc::ptr_eq(&first, &later), "an hour is over");
    for number in 0..100 {
        minter.edge(&format!("{number}.test"), &Found::default(), now).unwrap();
    }
    assert!(minter.kept() <= 8, "{}", minter.kept());
}

#[test]
fn an_authority_may_be_bound_to_domains() {
    let only = NewAuthority { only: vec!["corp.test".to_owned()], ..NewAuthority::default() };
    let minter = Minter::new(authority(&only));
    let root = minter.authority().certificate().clone();
    for (host, permitted) in [
        ("corp.test", true),
        ("www.Corp.test", true),
        ("notcorp.test", false),
        ("bank.test", false),
        ("192.0.2.1", false),
    ] {
        assert_eq!(minter.authority().permits(host), permitted, "{host}");
    }
    let now = SystemTime::now();
    // A name that it must not sign would make the whole certificate void: it is left out.
    let names = vec!["www.corp.test".to_owned(), "cdn.test".to_owned()];
    let found = Found { names, holds: None };
    let edge = minter.edge("www.corp.test", &found, now).unwrap();
    assert_eq!(handshake(&root, &edge, "www.corp.test").unwrap().names, ["www.corp.test"]);
    // A client does not take one for another name, whoever signed it.
    let edge = minter.edge("bank.test", &Found::default(), now).unwrap();
    assert!(handshake(&root, &edge, "bank.test").is_err());
}

#[test]
fn what_is_no_authority_is_refused() {
    let now = SystemTime::now();
    let made = NewAuthority::default().make(now).unwrap();
    let other = NewAuthority::default().make(now).unwrap();
    let load = |certificate: &str, key: &str, now| {
        Authority::load(certificate, key, now).map(|_| ()).unwrap_err()
    };
    assert!(matches!(load(&made.certificate, &other.key, now), AuthorityError::Mismatch));
    assert!(matches!(load("nothing", &made.key, now), AuthorityError::Certificate));
    assert!(matches!(load(&made.certificate, "nothing", now), AuthorityError::Key));
    let late = now + 5000 * DAY;
    assert!(matches!(load(&made.certificate, &made.key, late), AuthorityError::Expired));
    let server = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let (certificate, key) = (server.cert.pem(), server.signing_key.serialize_pem());
    assert!(matches!(load(&certificate, &key, now), AuthorityError::NoAuthority));
    for bad in ["", "a b", "*.a.test", "a..test", "é.test"] {
        let only = NewAuthority { only: vec![bad.to_owned()], ..NewAuthority::default() };
        assert!(matches!(only.make(now), Err(AuthorityError::Name(_))), "{bad:?}");
    }
}

#[test]
fn no_authority_below_it_is_taken() {
    // Path length 0: what it signs may not sign.
    let made = NewAuthority::default().make(SystemTime::now()).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(made.certificate.as_bytes()).unwrap();
    let parsed = pem.parse_x509().unwrap();
    let basic = parsed.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0));
}
