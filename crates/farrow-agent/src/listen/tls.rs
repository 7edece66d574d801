//! TLS on the TCP listener: its certificate, who may show one, and handshakes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farrow_region::trust::{Guard, read_file};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::admission::network;
use crate::caller::CertificateNames;
use crate::places::{Places, Room};
use crate::refusals;
use crate::user::User;

/// The time that a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes under way at a time, which networks share. The oldest gives way: an honest one takes milliseconds.
const HANDSHAKES: Room = Room { total: 256, reserve: 0 };

/// Bytes of the longest file of certificates or a key.
const MAX_FILE: u64 = 1 << 20;

/// Names of one certificate that are taken, and bytes of each.
const MAX_NAMES: usize = 64;
const MAX_NAME: usize = 255;

/// The files of a TLS listener, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, and those between it and the CA that its clients know.
    pub certificate: PathBuf,
    /// The certificate's private key. Others than its owner and group must not be able to read it.
    pub key: PathBuf,
    /// The CAs whose certificates are clients' identities; none: clients' certificates are not asked for.
    pub client_ca: Option<PathBuf>,
}

/// The configuration to accept TLS; it can be replaced while connections are served.
pub(crate) struct Tls(RwLock<Loaded>);

#[derive(Clone)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// The expiry of the certificate, in seconds since the Unix epoch.
    not_after: i64,
}

/// A connection whose handshake is done, and whose certificate the client showed.
pub(crate) type Greeted = (TlsStream<TcpStream>, SocketAddr, Option<Arc<CertificateNames>>);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with them, one text each.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, Vec<String>> {
        Ok(Self(RwLock::new(load(files)?)))
    }

    /// Reads the files again: new connections get the new certificate. If anything is wrong, all stays as it was.
    ///
    /// # Errors
    /// Everything that is wrong with them, one text each.
    pub(crate) fn reload(&self, files: &TlsFiles) -> Result<(), Vec<String>> {
        let loaded = load(files)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// The expiry of the certificate, in seconds since the Unix epoch.
    #[expect(dead_code, reason = "for the metrics")]
    pub(crate) fn not_after(&self) -> i64 {
        self.loaded().not_after
    }

    fn loaded(&self) -> Loaded {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Handshakes under way, each a task of its own: a peer that says nothing holds up nobody.
pub(crate) struct Handshakes {
    tls: Arc<Tls>,
    tasks: JoinSet<Option<Greeted>>,
    places: Arc<Places>,
}

impl Handshakes {
    /// None yet.
    pub(crate) fn new(tls: Arc<Tls>) -> Self {
        Self { tls, tasks: JoinSet::new(), places: Places::new(Duration::ZERO) }
    }

    /// Begins one.
    pub(crate) fn begin(&mut self, stream: TcpStream, address: SocketAddr) {
        let user = User::Address(network(address.ip()));
        let entered = self.places.enter(&user, HANDSHAKES);
        if !matches!(entered, Ok((_, false))) {
            refusals::report(|| {
                tracing::info!(%address, "TLS handshakes are cut off: as many of one network are under way as may be");
            });
        }
        let Ok((place, _)) = entered else { return };
        let acceptor = TlsAcceptor::from(self.tls.loaded().config);
        self.tasks.spawn(async move {
            tokio::select! {
                greeted = greet(acceptor, stream, address) => greeted,
                () = place.ousted() => None,
            }
        });
    }

    /// The next that is done. Not ready as well if none is under way.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Greeted> {
        loop {
            match self.tasks.poll_join_next(cx) {
                Poll::Ready(Some(Ok(Some(greeted)))) => return Poll::Ready(greeted),
                // Failed, which it has said, or cut off.
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

async fn greet(acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr) -> Option<Greeted> {
    let failed = |why: &dyn std::fmt::Display| {
        refusals::report(|| tracing::info!(%address, %why, "refused: TLS handshake failed"));
    };
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            failed(&error);
            return None;
        }
        Err(_) => {
            failed(&format_args!("not done after {} s", HANDSHAKE.as_secs()));
            return None;
        }
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let certificate = match shown.map(|certificate| names(certificate)) {
        Some(Ok(names)) => Some(Arc::new(names)),
        Some(Err(why)) => {
            failed(&why);
            return None;
        }
        None => None,
    };
    Some((stream, address, certificate))
}

fn load(files: &TlsFiles) -> Result<Loaded, Vec<String>> {
    let TlsFiles { certificate, key, client_ca } = files;
    let chain = certificates(certificate);
    let private = private_key(key);
    let cas = client_ca.as_deref().map(roots).transpose();
    let (chain, private, cas) = match (chain, private, cas) {
        (Ok(chain), Ok(private), Ok(cas)) => (chain, private, cas),
        (chain, private, cas) => {
            return Err([chain.err(), private.err(), cas.err()].into_iter().flatten().collect());
        }
    };
    let wrong = |path: &Path, error: &dyn std::fmt::Display| vec![format!("{}: {error}", path.display())];
    let not_after = expiry(certificate, &chain).map_err(|problem| vec![problem])?;

    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|error| wrong(certificate, &error))?;
    let config = match (cas, client_ca) {
        (Some(cas), Some(path)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(cas), provider);
            // Who shows no certificate is known by a token, or as nobody.
            let verifier = verifier.allow_unauthenticated().build().map_err(|error| wrong(path, &error))?;
            config.with_client_cert_verifier(verifier)
        }
        _ => config.with_no_client_auth(),
    };
    let mut config = config
        .with_single_cert(chain, private)
        .map_err(|error| vec![format!("{} with key {}: {error}", certificate.display(), key.display())])?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would bring a certificate that was not looked at again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Loaded { config: Arc::new(config), not_after })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read_file(path, MAX_FILE, Guard::Rules).map_err(|problem| problem.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(chain) if chain.is_empty() => Err(format!("{}: no PEM certificate in it", path.display())),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("{}: no PEM certificates: {error}", path.display())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read_file(path, MAX_FILE, Guard::Secret).map_err(|problem| problem.to_string())?;
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| format!("{}: no PEM private key without a password: {error}", path.display()))
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: no CA certificate: {error}", path.display()))?;
    }
    Ok(roots)
}

/// The expiry of the first certificate of a chain. One that is of no use now is taken with a warning: the unix socket
/// needs none.
fn expiry(path: &Path, chain: &[CertificateDer<'_>]) -> Result<i64, String> {
    let parsed = chain.first().map(|certificate| X509Certificate::from_der(certificate));
    let Some(Ok((_, certificate))) = parsed else {
        return Err(format!("{}: its first certificate is no X.509 certificate", path.display()));
    };
    let validity = certificate.validity();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if !(validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now) {
        tracing::warn!(
            certificate = %path.display(),
            not_before = %validity.not_before,
            not_after = %validity.not_after,
            "not valid now: clients will refuse it. Put a new one there and reload"
        );
    }
    Ok(validity.not_after.timestamp())
}

/// The name of the bearer of a verified certificate.
fn names(certificate: &CertificateDer<'_>) -> Result<CertificateNames, String> {
    let unreadable =
        |error: &dyn std::fmt::Display| format!("the client's certificate cannot be read: {error}");
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| unreadable(&error))?;
    let alternative = certificate.subject_alternative_name().map_err(|error| unreadable(&error))?;
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = alternative.iter().flat_map(|found| &found.value.general_names);
    let alternative = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some(*name),
        _ => None,
    });
    let names = common.chain(alternative).filter(|name| !name.is_empty() && name.len() <= MAX_NAME);
    Ok(CertificateNames { names: names.take(MAX_NAMES).map(str::to_owned).collect() })
}

#[cfg(test)]
mod tests;
