//! Certificates for tests.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

/// A CA whose files lie in a directory.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub certificate: PathBuf,
}

/// A certificate and its key, PEM files.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new CA named `name`, in `directory`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = directory.join(format!("{name}.crt"));
        let pem = params.self_signed(&key).expect("a certificate").pem();
        std::fs::write(&certificate, pem).expect("the certificate can be written");
        Self { directory: directory.to_owned(), issuer: Issuer::new(params, key), certificate }
    }

    /// Signs a certificate of `localhost` with the common name `name`, in files of that name.
    pub fn sign(&self, name: &str) -> Signed {
        self.sign_until(name, 2100)
    }

    /// Signs one that expires with the beginning of `year`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn sign_until(&self, name: &str, year: i32) -> Signed {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        let pair = KeyPair::generate().expect("a key");
        let pem = params.signed_by(&pair, &self.issuer).expect("a certificate").pem();
        let (certificate, key) =
            (self.directory.join(format!("{name}.crt")), self.directory.join(format!("{name}.key")));
        std::fs::write(&certificate, pem).expect("the certificate can be written");
        std::fs::write(&key, pair.serialize_pem()).expect("the key can be written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("the key's mode");
        Signed { certificate, key }
    }
}
