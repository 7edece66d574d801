use std::os::unix::fs::PermissionsExt as _;

use futures::StreamExt as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{
    ALL_VERSIONS, ClientConfig, HandshakeKind, ProtocolVersion, SupportedProtocolVersion, version,
};
use tonic::transport::server::Connected as _;

use super::*;
use crate::listen::{Peer, TcpConnections};

/// A CA, and a directory for what it signs.
struct Authority {
    directory: TempDir,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in memory.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.crt"), certificate.pem()).unwrap();
        Self { directory, certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    /// Puts an agent's certificate in its place.
    fn place(&self, signed: &Signed) -> TlsFiles {
        let path = |name: &str| self.directory.path().join(name);
        std::fs::write(path("agent.crt"), signed.certificate.pem()).unwrap();
        write_key(&path("agent.key"), &signed.key.serialize_pem(), 0o600);
        TlsFiles { certificate: path("agent.crt"), key: path("agent.key"), client_ca: Some(path("ca.crt")) }
    }

    fn connector(&self, client: Option<&Signed>) -> TlsConnector {
        TlsConnector::from(Arc::new(self.client(client, ALL_VERSIONS)))
    }

    fn client(
        &self,
        client: Option<&Signed>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match client {
            Some(Signed { certificate, key }) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
            None => config.with_no_client_auth(),
        }
    }
}

/// Serves `tls`: tells who connected, sends one byte and closes.
async fn serve(tls: Arc<Tls>) -> (SocketAddr, mpsc::UnboundedReceiver<Option<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (peers, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut connections = TcpConnections::new(listener, Some(tls));
        while let Some(connection) = connections.next().await {
            let mut connection = connection.unwrap();
            let Peer::Remote { certificate, .. } = connection.connect_info() else { panic!("over TCP") };
            peers.send(certificate.map(|certificate| certificate.names.clone())).unwrap();
            connection.write_all(b"!").await.unwrap();
            connection.shutdown().await.unwrap();
        }
    });
    (address, told)
}

/// Connects and reads the byte; returns the serial number of the server's certificate.
async fn connect(address: SocketAddr, connector: &TlsConnector) -> std::io::Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    let (_, certificate) = X509Certificate::from_der(&chain[0]).unwrap();
    Ok(certificate.raw_serial().to_vec())
}

fn write_key(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_certificate_tells_whose_it_is() {
    let authority = Authority::new();
    let tls = Arc::new(Tls::load(&authority.place(&authority.sign(|_| {}))).unwrap());
    let (address, mut peers) = serve(tls).await;

    let client = authority.sign(|params| {
        params.distinguished_name.push(DnType::CommonName, "agent-b");
        params.subject_alt_names.push(SanType::URI("spiffe://example/agent-b".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("b@example.org".try_into().unwrap()));
    });
    connect(address, &authority.connector(Some(&client))).await.unwrap();
    let names = peers.recv().await.unwrap().unwrap();
    assert_eq!(names, ["agent-b", "localhost", "spiffe://example/agent-b"]);

    connect(address, &authority.connector(None)).await.unwrap();
    assert_eq!(peers.recv().await.unwrap(), None, "who shows none is nobody");

    let other = Authority::new();
    let stranger = other.sign(|_| {});
    assert!(connect(address, &authority.connector(Some(&stranger))).await.is_err(), "another CA");
    let expired = authority.sign(|params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    });
    assert!(connect(address, &authority.connector(Some(&expired))).await.is_err(), "expired");
    assert!(connect(address, &other.connector(None)).await.is_err(), "the client knows another CA");
    assert!(peers.try_recv().is_err(), "none of them got through");
}

#[tokio::test]
async fn peers_that_say_nothing_or_nonsense_block_nobody() {
    let authority = Authority::new();
    let tls = Arc::new(Tls::load(&authority.place(&authority.sign(|_| {}))).unwrap());
    let (address, mut peers) = serve(tls).await;
    let mut stuck = Vec::new();
    for number in 0..HANDSHAKES.total / 2 + 20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number % 2 == 1 {
            // The beginning of a handshake message of the greatest length.
            stream.write_all(&[0x16, 3, 1, 0x40, 0]).await.unwrap();
        }
        stuck.push(stream);
    }
    for nonsense in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xff; 4096]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        stuck.push(stream);
    }
    connect(address, &authority.connector(None)).await.unwrap();
    assert_eq!(peers.recv().await.unwrap(), None);
    // The first that said nothing has given way by then.
    let mut end = Vec::new();
    let ended = stuck[0].read_to_end(&mut end).await;
    assert!(ended.is_err() || end.is_empty(), "{end:?}");
}

#[tokio::test]
async fn new_connections_get_a_certificate_that_was_reloaded() {
    let authority = Authority::new();
    let serial =
        |number: u64| move |params: &mut CertificateParams| params.serial_number = Some(number.into());
    let files = authority.place(&authority.sign(serial(1)));
    let tls = Arc::new(Tls::load(&files).unwrap());
    let (address, _peers) = serve(tls.clone()).await;
    let connector = authority.connector(None);
    assert_eq!(connect(address, &connector).await.unwrap(), [1]);

    authority.place(&authority.sign(serial(2)));
    assert_eq!(connect(address, &connector).await.unwrap(), [1], "until it is told to");
    tls.reload(&files).unwrap();
    assert_eq!(connect(address, &connector).await.unwrap(), [2]);

    std::fs::write(&files.certificate, "no certificate").unwrap();
    let problems = tls.reload(&files).unwrap_err();
    assert!(problems[0].contains("agent.crt"), "{problems:?}");
    assert_eq!(connect(address, &connector).await.unwrap(), [2], "the old one is kept");
}

#[tokio::test]
async fn it_is_tls_1_3_and_http_2_and_each_connection_shows_its_certificate_anew() {
    let authority = Authority::new();
    let tls = Arc::new(Tls::load(&authority.place(&authority.sign(|_| {}))).unwrap());
    let (address, mut peers) = serve(tls).await;
    let signed = authority.sign(|_| {});
    let mut config = authority.client(Some(&signed), ALL_VERSIONS);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    // It keeps the sessions that it may resume.
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..3 {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        // To the end: what the agent sends for a resumption comes before.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(peers.recv().await.unwrap().unwrap(), ["rcgen self signed cert", "localhost"]);
    }
    let older = authority.client(Some(&signed), &[&version::TLS12]);
    assert!(connect(address, &TlsConnector::from(Arc::new(older))).await.is_err());
    assert!(peers.try_recv().is_err());
}

#[test]
fn files_that_are_of_no_use_are_told_all_at_once() {
    let authority = Authority::new();
    let files = authority.place(&authority.sign(|_| {}));
    write_key(&files.key, &KeyPair::generate().unwrap().serialize_pem(), 0o600);
    let problems = Tls::load(&files).err().unwrap();
    assert!(problems[0].contains("agent.key"), "a key of another certificate: {problems:?}");

    write_key(&files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o644);
    std::fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let missing = TlsFiles { client_ca: Some("/nowhere/ca.crt".into()), ..files.clone() };
    let problems = Tls::load(&missing).err().unwrap();
    assert!(
        problems.iter().any(|problem| problem.contains("lets every user of this host at it")),
        "{problems:?}"
    );
    assert!(problems.iter().any(|problem| problem.contains("/nowhere/ca.crt: No such file")), "{problems:?}");
    write_key(&files.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600);
    assert!(Tls::load(&files).err().unwrap()[0].contains("agent.crt: its first certificate is no X.509"));
}

#[test]
fn when_it_expires_is_known() {
    let authority = Authority::new();
    let signed = authority.sign(|params| params.not_after = rcgen::date_time_ymd(2100, 1, 1));
    let tls = Tls::load(&authority.place(&signed)).unwrap();
    assert_eq!(tls.loaded().not_after, 4_102_444_800);
}
