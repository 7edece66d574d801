//! TLS: who is let in, who is not, and that the agent serves on whatever is sent to it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use farrow_client::{Client, ClientError, Credentials, Reason};
use farrow_integration_tests::{Agent, Authority, Region, Signed, batch, pyarrow, skipped};

struct Secured {
    region: Region,
    authority: Authority,
    signed: Signed,
}

impl Secured {
    fn new() -> Self {
        let region = Region::new("64MiB");
        let authority = Authority::new(region.path.parent().unwrap(), "ca");
        let signed = authority.sign("agent");
        Self { region, authority, signed }
    }

    /// An agent that knows clients by their certificates.
    async fn agent(&self, rights: &str) -> Agent {
        let config = format!(
            "[tcp]\nlisten = \"127.0.0.1:0\"\ncertificate = {:?}\nkey = {:?}\nclient-ca = {:?}\n{rights}",
            self.signed.certificate, self.signed.key, self.authority.certificate
        );
        let agent = self.region.agent_with(&["--config", &self.region.config(&config)]);
        let stored = batch(0, 100);
        agent.client().await.put("a/b", stored.schema(), vec![stored]).await.unwrap();
        agent
    }

    fn trusting(&self) -> Credentials {
        Credentials { ca: Some(self.authority.certificate.clone()), ..Credentials::default() }
    }
}

const BY_CERTIFICATE: &str = "\
    [[rights]]\nwho = [\"local\"]\nnames = [\"\"]\nmay = [\"read\", \"publish\"]\n\
    [[rights]]\nwho = [\"certificate:reader\"]\nnames = [\"a/\"]\nmay = [\"read\"]\n";

fn with(trusting: Credentials, signed: &Signed) -> Credentials {
    Credentials { certificate: Some(signed.certificate.clone()), key: Some(signed.key.clone()), ..trusting }
}

fn https(agent: &Agent) -> String {
    agent.tcp().replace("http://127.0.0.1:", "https://localhost:")
}

async fn rows(address: &str, credentials: &Credentials) -> Result<u64, ClientError> {
    let client = Client::connect_with(address.parse().unwrap(), credentials).await?;
    Ok(client.get("a/b").await?.rows())
}

#[tokio::test]
async fn the_rust_client_is_known_by_its_certificate() {
    let secured = Secured::new();
    let agent = secured.agent(BY_CERTIFICATE).await;
    let (address, trusting) = (https(&agent), secured.trusting());
    let reader = secured.authority.sign("reader");
    assert_eq!(rows(&address, &with(trusting.clone(), &reader)).await.unwrap(), 100);

    let nobody = rows(&address, &trusting).await.unwrap_err();
    assert_eq!(nobody.reason(), Some(Reason::Denied), "{nobody}");
    let other = rows(&address, &with(trusting.clone(), &secured.authority.sign("other"))).await.unwrap_err();
    assert_eq!(other.reason(), Some(Reason::Denied));
    assert!(other.to_string().contains("certificate \"other\" from 127.0.0.1"), "{other}");

    let beside = Authority::new(secured.region.path.parent().unwrap(), "other-ca");
    let forged = rows(&address, &with(trusting.clone(), &beside.sign("forged"))).await.unwrap_err();
    assert!(forged.to_string().contains("FARROW_TLS_CERT"), "another CA's certificate: {forged:?}");
    let expired = secured.authority.sign_until("expired", 2001);
    let expired = rows(&address, &with(trusting.clone(), &expired)).await.unwrap_err();
    assert!(expired.to_string().contains("FARROW_TLS_CERT"), "an expired certificate: {expired:?}");

    let distrusting = Credentials { ca: Some(beside.certificate), ..Credentials::default() };
    let error = rows(&address, &distrusting).await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "{error}");
    assert!(error.to_string().contains("FARROW_TLS_CA"), "{error}");
    let error = rows(&address, &Credentials::default()).await.unwrap_err();
    assert!(matches!(error, ClientError::Credentials { .. }), "{error}");
    let error = rows(&address.replace("localhost", "127.0.0.1"), &trusting).await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "a name that is not in the certificate: {error}");

    assert_eq!(rows(&address, &with(trusting, &reader)).await.unwrap(), 100, "the agent serves on");
}

#[tokio::test]
async fn the_wrong_protocol_is_refused_and_the_agent_serves_on() {
    let secured = Secured::new();
    let agent = secured.agent("").await;
    let (address, trusting) = (https(&agent), secured.trusting());
    let error = rows(&agent.tcp(), &trusting).await.unwrap_err();
    assert!(error.to_string().contains("speak TLS (https://)"), "plain words to a TLS port: {error}");

    let plain = Region::new("64MiB");
    let plain = plain.agent_with(&["--listen", "127.0.0.1:0"]);
    let error = rows(&https(&plain), &trusting).await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }), "TLS to a plain port: {error}");

    let port = agent.tcp().trim_start_matches("http://").to_owned();
    let mut stuck = Vec::new();
    for bytes in
        [&b""[..], b"\x16", b"\x16\x03\x01\x40\x00", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096], &[0; 70_000]]
    {
        let mut stream = TcpStream::connect(&port).unwrap();
        // The agent may have hung up before all was sent.
        let _ = stream.write_all(bytes);
        stuck.push(stream);
    }
    assert_eq!(rows(&address, &trusting).await.unwrap(), 100);
    let mut answer = Vec::new();
    let _ = stuck[3].read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(agent.log().contains("TLS handshake failed"), "{}", agent.log());
}

#[tokio::test]
async fn an_expired_certificate_of_the_agent_is_refused_and_replaced_while_it_serves() {
    let mut secured = Secured::new();
    secured.signed = secured.authority.sign_until("agent", 2001);
    let mut agent = secured.agent("").await;
    assert!(agent.log().contains("not valid now"), "{}", agent.log());
    let (address, trusting) = (https(&agent), secured.trusting());
    let error = rows(&address, &trusting).await.unwrap_err();
    assert!(matches!(error, ClientError::Tls { .. }) && error.to_string().contains("xpired"), "{error}");

    secured.authority.sign("agent");
    agent.reload();
    let open = Client::connect_with(address.parse().unwrap(), &trusting).await.unwrap();
    assert_eq!(open.get("a/b").await.unwrap().rows(), 100);

    agent.errs();
    std::fs::write(&secured.signed.certificate, "nothing").unwrap();
    agent.reload();
    let log = agent.log();
    assert!(log.contains("ERROR") && log.contains("agent.crt"), "{log}");
    assert_eq!(rows(&address, &trusting).await.unwrap(), 100, "the certificate that was there is kept");
    assert_eq!(open.get("a/b").await.unwrap().rows(), 100, "and connections that are open");
}

#[tokio::test]
async fn plain_pyarrow_speaks_tls() {
    let secured = Secured::new();
    let agent = secured.agent(BY_CERTIFICATE).await;
    let reader = secured.authority.sign("reader");
    let beside = Authority::new(secured.region.path.parent().unwrap(), "other-ca");
    let forged = beside.sign("forged");
    let script = r#"
import sys
import pyarrow.flight as flight
location, ca, certificate, key, other_ca, forged, forged_key = sys.argv[1:]
read = lambda path: open(path, "rb").read()
descriptor = flight.FlightDescriptor.for_path("a", "b")
def rows(**options):
    with flight.connect(location, **options) as client:
        info = client.get_flight_info(descriptor, flight.FlightCallOptions(timeout=20))
        return client.do_get(info.endpoints[0].ticket).read_all().num_rows
assert rows(tls_root_certs=read(ca), cert_chain=read(certificate), private_key=read(key)) == 100
for refusal, options in [
    (flight.FlightUnauthorizedError, dict(tls_root_certs=read(ca))),
    (flight.FlightUnavailableError, dict(tls_root_certs=read(other_ca))),
    (flight.FlightUnavailableError, dict(tls_root_certs=read(ca), cert_chain=read(forged), private_key=read(forged_key))),
]:
    try:
        rows(**options)
    except refusal as error:
        print(error)
    else:
        sys.exit("not refused")
"#;
    let location = https(&agent).replace("https://", "grpc+tls://");
    let paths = [
        &secured.authority.certificate,
        &reader.certificate,
        &reader.key,
        &beside.certificate,
        &forged.certificate,
        &forged.key,
    ];
    let paths = paths.map(|path: &PathBuf| Path::to_str(path).unwrap());
    match pyarrow(script, &[&[location.as_str()], &paths[..]].concat()) {
        Some(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        None => skipped("TLS of plain pyarrow: no Python with pyarrow (FARROW_PYTHON)"),
    }
}
