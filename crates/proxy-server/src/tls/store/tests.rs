//! Who is shown which certificate.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};

use super::*;

fn certificate(names: &[&str], algorithm: &'static SignatureAlgorithm) -> Certificate {
    let key = KeyPair::generate_for(algorithm).expect("a key");
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let own = CertificateParams::new(names).expect("names").self_signed(&key).expect("signed");
    Certificate::from_pem(own.pem().as_bytes(), key.serialize_pem().as_bytes(), None)
        .expect("sound")
}

fn shown(store: &CertificateStore, name: Option<&str>) -> Option<String> {
    store.shown_for(name).map(|names| names.to_string())
}

#[test]
fn the_name_comes_before_the_star_and_the_first_is_for_the_rest() {
    let p256 = &PKCS_ECDSA_P256_SHA256;
    let own = || {
        vec![
            certificate(&["first.test"], p256),
            certificate(&["*.x.test"], p256),
            certificate(&["a.x.test"], p256),
        ]
    };
    let store = CertificateStore::new(own(), UnknownNames::Default);
    for (name, due) in [
        (Some("a.x.test"), "a.x.test"),
        (Some("b.X.test"), "*.x.test"),
        (Some("b.a.x.test"), "first.test"),
        (Some("x.test"), "first.test"),
        (Some("other.test"), "first.test"),
        (None, "first.test"),
    ] {
        assert_eq!(shown(&store, name).as_deref(), Some(due), "{name:?}");
    }
    let strict = CertificateStore::new(own(), UnknownNames::Refuse);
    assert_eq!(shown(&strict, Some("other.test")), None);
    assert_eq!(shown(&strict, Some("b.x.test")).as_deref(), Some("*.x.test"));
    // Who asks for no name does not ask for an unknown one.
    assert_eq!(shown(&strict, None).as_deref(), Some("first.test"));
}

#[test]
fn of_two_for_a_name_the_one_that_the_client_understands_is_shown() {
    let own = vec![
        certificate(&["a.test"], &PKCS_ED25519),
        certificate(&["a.test"], &PKCS_ECDSA_P256_SHA256),
    ];
    let store = CertificateStore::new(own, UnknownNames::Refuse);
    for name in [Some("a.test"), None] {
        for (scheme, at) in
            [(SignatureScheme::ED25519, 0), (SignatureScheme::ECDSA_NISTP256_SHA256, 1)]
        {
            let found = store.find(name, &[scheme]).expect("one of them");
            assert!(Arc::ptr_eq(&found.key, &store.certificates()[at].key), "{scheme:?}");
        }
    }
}
