//! Certificates for one test: a CA and what it vouches for, as files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::programs;
use crate::scratch::Scratch;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A CA in a folder of its own.
pub struct Pki {
    folder: Scratch,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Pair {
    /// As a table of a configuration.
    #[must_use]
    pub fn table(&self) -> String {
        format!("{{ cert = \"{}\", key = \"{}\" }}", self.cert.display(), self.key.display())
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

impl Pki {
    /// A new CA, in `ca.pem`.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Two of the same name would be taken for one with another key.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("Test CA {number}"));
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a CA");
        let folder = Scratch::new("pki");
        folder.write("ca.pem", issuer.pem());
        Self { folder, issuer }
    }

    /// The file of the CA's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Where the files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A certificate for these names; the first is the name of the files too.
    #[must_use]
    pub fn leaf(&self, names: &[&str]) -> Pair {
        self.numbered(names[0], names, 0)
    }

    /// The same in other files, with a serial number.
    #[must_use]
    pub fn numbered(&self, file: &str, names: &[&str], serial: u64) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).expect("names");
        params.distinguished_name.push(DnType::CommonName, names[0].clone());
        if serial > 0 {
            params.serial_number = Some(SerialNumber::from(serial));
        }
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let file = file.replace('*', "star");
        Pair {
            cert: self.folder.write(&format!("{file}.pem"), certificate.pem()),
            key: self.folder.write(&format!("{file}.key"), key.serialize_pem()),
        }
    }

    /// A list of revoked serial numbers, in `crl.pem`.
    #[must_use]
    pub fn revoked(&self, serials: &[u64]) -> PathBuf {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("signed");
        self.folder.write("crl.pem", list.pem().expect("in PEM form"))
    }

    /// What curl says that trusts this CA.
    #[must_use]
    pub fn curl(&self, arguments: &[&str]) -> Output {
        Command::new(programs::require("curl"))
            .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(self.ca())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("curl")
    }
}

/// What `openssl s_client` says of a handshake, which ends with it.
#[must_use]
pub fn s_client(address: &str, arguments: &[&str]) -> String {
    let output = Command::new(programs::require("openssl"))
        .args(["s_client", "-connect", address])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}
