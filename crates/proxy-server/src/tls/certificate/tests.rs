//! Certificates made for each test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::*;

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, key()).expect("a CA")
}

fn leaf(
    params: &CertificateParams,
    key: &KeyPair,
    by: &CertifiedIssuer<'static, KeyPair>,
) -> String {
    params.signed_by(key, by).expect("signed").pem()
}

fn named(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
        .expect("names")
}

fn read(chain: &str, key: &KeyPair) -> Result<Certificate, CertificateError> {
    Certificate::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes(), None)
}

#[test]
fn names_come_from_the_alternative_names() {
    let (ca, own) = (authority("CA"), key());
    let chain = leaf(&named(&["A.test", "*.b.test", "192.0.2.1"]), &own, &ca);
    let certificate = read(&chain, &own).expect("sound");
    assert_eq!(certificate.names().to_string(), "a.test, *.b.test, 192.0.2.1");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (ca, own) = (authority("CA"), key());
    let chain = leaf(&named(&["a.test"]), &own, &ca);
    assert!(matches!(read(&chain, &key()), Err(CertificateError::OtherKey { .. })));
    // As is a chain that begins with the CA.
    let wrong = format!("{}{chain}", ca.pem());
    let error = read(&wrong, &own).expect_err("the wrong way round");
    assert!(matches!(error, CertificateError::Order { number: 1, .. }), "{error}");
}

#[test]
fn each_is_followed_by_the_one_that_vouches_for_it() {
    let (ca, other, own) = (authority("CA"), authority("Other"), key());
    let chain = leaf(&named(&["a.test"]), &own, &ca);
    assert!(read(&format!("{chain}{}", ca.pem()), &own).is_ok());
    let error = read(&format!("{chain}{}", other.pem()), &own).expect_err("another CA");
    assert!(error.to_string().contains("is by `CN=CA`, but the next one is `CN=Other`"), "{error}");
}

#[test]
fn what_is_no_pem_is_told_apart() {
    let own = key();
    assert!(matches!(read("", &own), Err(CertificateError::NoCertificate)));
    let ca = authority("CA");
    let chain = leaf(&named(&["a.test"]), &own, &ca);
    let no_key = Certificate::from_pem(chain.as_bytes(), b"nothing", None);
    assert!(matches!(no_key, Err(CertificateError::NoKey)));
    let pem = own.serialize_pem();
    let staple = Certificate::from_pem(chain.as_bytes(), pem.as_bytes(), Some(b"text".to_vec()));
    assert!(matches!(staple, Err(CertificateError::Staple)));
}

#[test]
fn age_and_names_are_doubted() {
    let (ca, own) = (authority("CA"), key());
    let day = Duration::from_secs(24 * 3600);
    let mut params = named(&["a.test"]);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2020, 3, 1);
    let certificate = read(&leaf(&params, &own, &ca), &own).expect("sound");
    let end = certificate.not_after();
    assert_eq!(certificate.doubts(end - 20 * day), []);
    assert_eq!(certificate.doubts(end - 3 * day), [CertificateDoubt::ExpiresSoon(3 * day)]);
    assert_eq!(certificate.doubts(end + day), [CertificateDoubt::Expired(end)]);
    let begin = certificate.not_before;
    assert_eq!(certificate.doubts(begin - day), [CertificateDoubt::NotYet(begin)]);

    let nameless = read(&leaf(&named(&[]), &own, &ca), &own).expect("sound");
    assert!(nameless.doubts(SystemTime::now()).contains(&CertificateDoubt::NoNames));
    let own_word = named(&["a.test"]).self_signed(&own).expect("signed").pem();
    let self_signed = read(&own_word, &own).expect("sound");
    assert!(self_signed.doubts(SystemTime::now()).contains(&CertificateDoubt::SelfSigned));
}
