//! The agent as whoever operates it sees it: health, metrics, logs, signals, the service manager.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;

use arrow_flight::FlightDescriptor;
use farrow_client::Reason;
use farrow_integration_tests::{Agent, Region, batch, eventually, farrow, mebibytes};
use farrow_proto::{Action, v1};
use futures::TryStreamExt;
use prost::Message;
use rustix::process::Signal;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::leases::until;
use crate::limits::{flight, stuck, ticket};

/// Rows that do not fit into the buffers of a connection.
const MANY_ROWS: i64 = 1_000_000;

fn configured(region: &Region, text: &str, args: &[&str]) -> Agent {
    let file = region.beside("agent.toml");
    std::fs::write(&file, text).unwrap();
    region.agent_with(&[&["--config", file.to_str().unwrap()], args].concat())
}

const HTTP: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";

/// Status line and body of an answer.
pub(crate) fn http(agent: &Agent, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(agent.http()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test]
async fn health_is_told_to_everybody() {
    let region = Region::new("64MiB");
    let agent = configured(&region, HTTP, &["--listen", "127.0.0.1:0"]);
    assert_eq!(http(&agent, "/healthz"), ("HTTP/1.1 200 OK".into(), "ok\n".into()));
    eventually("it is ready", || (http(&agent, "/readyz").1 == "ready\n").then_some(()));
    assert!(http(&agent, "/nothing").0.contains("404"));

    for address in [format!("unix://{}", agent.socket()), agent.tcp()] {
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        let mut health = HealthClient::new(channel);
        for service in ["", "arrow.flight.protocol.FlightService"] {
            let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap();
            assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service:?}");
        }
        // Whoever can connect may ask, so what is kept of a question is short.
        let refused = health.check(HealthCheckRequest { service: "a".repeat(2 << 10) }).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused:?}");
    }

    let mut flight = flight(agent.socket()).await;
    let call = arrow_flight::Action::new(Action::Health.as_str(), "");
    let results: Vec<_> = flight.do_action(call).await.unwrap().into_inner().try_collect().await.unwrap();
    let health = v1::HealthInfo::decode(results[0].body.clone()).unwrap();
    assert!(health.serving && health.why.is_empty(), "{health:?}");
    assert_eq!((health.region_uuid.len(), health.agent_version.is_empty()), (16, false));
    assert_eq!(health.protocols, ["v=1"]);
}

/// The value of a sample, as in `farrow_leases{age="1m"}`.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn metrics_say_what_was_done() {
    let region = Region::new("64MiB");
    let agent = configured(&region, HTTP, &["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    let rows = batch(0, 1000);
    let info = client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let held = client.get("a").await.unwrap();
    let mut flight = flight(agent.socket()).await;
    for _ in 0..3 {
        let ticket = ticket(&mut flight, "a").await;
        flight.do_get(ticket).await.unwrap().into_inner().try_collect::<Vec<_>>().await.unwrap();
    }
    flight.get_flight_info(FlightDescriptor::new_path(vec!["none".into()])).await.unwrap_err();
    let reserved = farrow_integration_tests::Holder::of_reservation(agent.socket(), 5000);

    let (_, text) = http(&agent, "/metrics");
    for (name, value) in [
        ("farrow_serving", 1.0),
        ("farrow_frames", 1.0),
        ("farrow_versions", 1.0),
        ("farrow_leases{age=\"1m\"}", 1.0),
        ("farrow_reservations{age=\"1m\"}", 1.0),
        ("farrow_reservations{age=\"older\"}", 0.0),
        ("farrow_pool_bytes{state=\"reserved\"}", 8192.0),
        ("farrow_requests_total{verb=\"farrow.Commit\",code=\"OK\",reason=\"\"}", 1.0),
        ("farrow_requests_total{verb=\"DoGet\",code=\"OK\",reason=\"\"}", 3.0),
        ("farrow_requests_total{verb=\"GetFlightInfo\",code=\"NOT_FOUND\",reason=\"not-found\"}", 1.0),
        ("farrow_request_seconds_count{verb=\"DoGet\"}", 3.0),
        ("farrow_validation_seconds_count", 1.0),
        ("farrow_streams", 0.0),
        ("farrow_streams_stalled_total", 0.0),
        ("farrow_connections_refused_total{listener=\"unix\"}", 0.0),
    ] {
        assert!(
            (sample(&text, name) - value).abs() < f64::EPSILON,
            "{name}: {}\n{text}",
            sample(&text, name)
        );
    }
    let bytes = u32::try_from(info.bytes).unwrap();
    assert!((sample(&text, "farrow_published_bytes_total") - f64::from(bytes)).abs() < f64::EPSILON);
    let live = sample(&text, "farrow_catalog_live_bytes");
    assert!(live > 0.0 && live <= sample(&text, "farrow_catalog_committed_bytes"));
    assert!(sample(&text, "farrow_streamed_bytes_total") > 3.0 * f64::from(bytes) / 2.0);
    assert!(sample(&text, "farrow_connections{listener=\"unix\"}") >= 2.0);
    drop((held, reserved));
}

#[tokio::test]
async fn over_tcp_no_more_is_streamed_than_is_shown() {
    let region = Region::new("128MiB");
    let agent = configured(&region, HTTP, &["--listen", "127.0.0.1:0"]);
    let rows = mebibytes(0, 48);
    let bytes = agent.client().await.put("far", rows.schema(), vec![rows]).await.unwrap().bytes;
    let (address, file) = (agent.tcp(), region.beside("far.arrow"));
    let run = |args: &[&str]| {
        let output = farrow(&[args, &["--address", &address]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // A stream that is let go is known by the agent a little later.
    let streamed = || {
        let ended = || Some(http(&agent, "/metrics").1).filter(|text| sample(text, "farrow_streams") < 0.5);
        sample(&eventually("no stream is left", ended), "farrow_streamed_bytes_total")
    };
    assert_eq!(run(&["head", "-n", "2", "--csv", "far"]), "number\n0\n1\n");
    assert_eq!(run(&["schema", "far"]), "column  type\nnumber  Int64  not null\n");
    let few = streamed();
    run(&["get", "far", "-o", file.to_str().unwrap()]);
    let all = streamed() - few;
    let whole = f64::from(u32::try_from(bytes).unwrap());
    assert!(few > 0.0 && few < whole / 2.0, "{few} of {whole} bytes for two rows and a schema");
    assert!(all > whole * 0.99, "{all} of {whole} bytes");
}

#[tokio::test]
async fn a_scrape_is_well_formed_and_has_what_the_table_names() {
    let region = Region::new("64MiB");
    let agent = configured(&region, HTTP, &["--listen", "127.0.0.1:0"]);
    agent.client().await.list("").await.unwrap();
    let (status, text) = http(&agent, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(text.ends_with("# EOF\n"));
    let mut scraped = BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            match comment.split(' ').collect::<Vec<_>>()[..] {
                ["TYPE", name, "counter" | "gauge" | "histogram" | "info"] => {
                    assert!(scraped.insert(name.to_owned()), "{name} twice");
                }
                ["HELP" | "UNIT", name, _, ..] => assert!(!name.is_empty()),
                ["EOF"] => {}
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = name.split_once('{').map_or((name, "}"), |(name, labels)| (name, labels));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        assert!(labels.ends_with('}'), "{line}");
        let known = |known: &String| {
            name.strip_prefix(known.as_str())
                .is_some_and(|suffix| ["", "_total", "_bucket", "_sum", "_count", "_info"].contains(&suffix))
        };
        assert!(scraped.iter().any(known), "{line}: of no type");
    }
    let docs =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/farrow-agent/README.md"));
    let docs = docs.unwrap();
    let (_, table) = docs.split_once("## Metrics").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.map(str::to_owned).collect::<BTreeSet<_>>(), scraped);
}

#[tokio::test]
async fn a_stop_lets_streams_end_and_says_so_meanwhile() {
    let region = Region::new("256MiB");
    let mut agent = configured(&region, &format!("drain = \"10min\"\n{HTTP}"), &["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    let rows = batch(0, MANY_ROWS);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let stream = stuck(&agent, "a").await;
    agent.signal(Signal::TERM);
    eventually("it says that it stops", || http(&agent, "/readyz").1.contains("stopping").then_some(()));
    assert!(http(&agent, "/readyz").0.contains("503"));
    assert!(!std::path::Path::new(agent.socket()).exists());
    assert!(std::os::unix::net::UnixStream::connect(agent.socket()).is_err(), "new connections are refused");
    let messages: Vec<_> = stream.try_collect().await.unwrap();
    assert!(messages.iter().map(|message| message.data_body.len()).sum::<usize>() > 10 << 20, "all rows");
    drop(client);
    assert_eq!(agent.code(), Some(0));
    region.assert_clean();
}

#[tokio::test]
async fn the_time_to_drain_ends_and_a_second_signal_ends_it_at_once() {
    for (drain, signals) in [("1s", 1), ("10min", 2)] {
        let region = Region::new("256MiB");
        let mut agent = configured(&region, &format!("drain = \"{drain}\"\n"), &[]);
        let client = agent.client().await;
        let rows = batch(0, MANY_ROWS);
        client.put("a", rows.schema(), vec![rows]).await.unwrap();
        let stream = stuck(&agent, "a").await;
        for count in 1..=signals {
            agent.signal(Signal::TERM);
            if count < signals {
                eventually("it stops", || agent.log().contains("stopping").then_some(()));
            }
        }
        assert_eq!(agent.code(), Some(0));
        assert!(agent.log().contains("requests were cut off"), "{}", agent.log());
        assert!(stream.try_collect::<Vec<_>>().await.is_err(), "a cut stream is no whole one");
        region.assert_clean();
    }
}

#[tokio::test]
async fn a_reload_takes_up_what_it_can_and_a_broken_file_changes_nothing() {
    let region = Region::new("64MiB");
    let file = region.beside("agent.toml");
    let mut agent = configured(&region, "[limits]\nbytes-per-user = \"4 KiB\"\n", &[]);
    agent.errs();
    let client = agent.client().await;
    let rows = batch(0, 10_000);
    let put = async |name: &str| client.put(name, rows.schema(), vec![rows.clone()]).await;
    assert_eq!(put("a").await.unwrap_err().reason(), Some(Reason::Quota));

    let reload = |text: &str, told: &str| {
        std::fs::write(&file, text).unwrap();
        agent.signal(Signal::HUP);
        eventually(told, || agent.log().contains(told).then_some(()));
    };
    reload("[limits]\nbytes-per-user = \"much\"\n", "the configuration is not taken up");
    assert!(agent.log().contains("agent.toml:2: limits.bytes-per-user: "), "{}", agent.log());
    assert_eq!(put("a").await.unwrap_err().reason(), Some(Reason::Quota));

    reload("[limits]\nrequest-bytes = \"2 MiB\"\n", "changed=\"limits.bytes-per-user\"");
    put("a").await.unwrap();
    let told = "these wait for a restart of the agent changed=\"limits.request-bytes\"";
    eventually(told, || agent.log().contains(told).then_some(()));
}

#[tokio::test]
async fn a_line_for_each_request_in_json() {
    let region = Region::new("64MiB");
    let (path, socket, state) = (&region.path, region.beside("agent.sock"), region.beside("state"));
    let text = format!("region = {path:?}\nsocket = {socket:?}\nstate-dir = {state:?}\n[log]\n");
    let file = region.beside("agent.toml");
    std::fs::write(&file, format!("{text}format = \"json\"\nlevel = \"info\"\n")).unwrap();
    let agent = region.agent_of(&file);
    let mut flight = flight(agent.socket()).await;
    let asked = FlightDescriptor::new_path(vec!["sales".into(), "none".into()]);
    flight.get_flight_info(asked.clone()).await.unwrap_err();
    let requests = || {
        let log = agent.log();
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["message"] == "request").collect::<Vec<_>>()
    };
    assert!(requests().is_empty(), "of level debug");

    std::fs::write(&file, format!("{text}format = \"json\"\nlevel = \"debug\"\n")).unwrap();
    agent.signal(Signal::HUP);
    let line = until("a line for the request", async || {
        flight.get_flight_info(asked.clone()).await.unwrap_err();
        requests().pop()
    })
    .await;
    assert_eq!((&line["verb"], &line["frame"]), (&"GetFlightInfo".into(), &"sales/none".into()));
    assert_eq!((&line["result"], &line["reason"]), (&"NOT_FOUND".into(), &"not-found".into()));
    let caller = line["caller"].as_str().unwrap();
    assert!(caller.contains(&std::process::id().to_string()), "{caller}");
    assert!(line["micros"].is_u64(), "{line}");
}

#[test]
fn the_service_manager_is_told() {
    let region = Region::new("64MiB");
    let path = region.beside("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    let mut command = region.command(&[]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let mut agent = region.start(command);
    let next = || {
        let mut bytes = [0; 4096];
        let len = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    // The next message with the word, of those that are not the watchdog's.
    let told = |word: &str| {
        let mut message = next();
        while message == "WATCHDOG=1\n" {
            message = next();
        }
        assert!(message.contains(word), "{word}: {message}");
        message
    };
    assert!(told("READY=1").contains("STATUS=serving region"));
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1\n");
    }
    agent.signal(Signal::HUP);
    assert!(told("RELOADING=1").contains("MONOTONIC_USEC="));
    told("READY=1");
    agent.signal(Signal::TERM);
    told("STOPPING=1");
    assert_eq!(agent.code(), Some(0));
}
