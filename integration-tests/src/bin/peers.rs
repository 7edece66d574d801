//! Many peers of one user that do nothing useful: `peers WHAT ADDRESS COUNT [FRAME]`.
//!
//! `ADDRESS` is the path of a unix socket, or `HOST:PORT`. `WHAT` is `silent` (connections that say nothing), `greeted`
//! (that have said HTTP/2's greeting), `handshake` (the beginning of a TLS handshake), `puts` (DoPuts that send
//! nothing), or, on four connections, `unread` (DoGets of `FRAME` whose rows nobody takes), `schemas` (GetSchemas of it)
//! `mappings` (sessions that ask 70 times where it lies) or `lookups` (sessions that ask as often and more for thousands of
//! frames that are not there, their names long and beginning with `FRAME`). Says `ready` and how many there are, and keeps
//! them until its input ends.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use farrow_proto::v1::session_request::Request;
use farrow_proto::{SESSION_COMMAND, SESSION_VERSION, v1};
use futures::StreamExt;
use prost::Message;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tonic::transport::{Channel, Endpoint};

/// HTTP/2's preface and settings without any setting (RFC 9113, sections 3.4 and 6.5).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The beginning of a TLS handshake message of the greatest length.
const HELLO: &[u8] = &[0x16, 3, 1, 0x40, 0];

const CONNECTIONS: usize = 4;

/// Bytes of an answer that are taken without being asked for.
const WINDOW: u32 = 16 << 10;

/// Requests of a session: more than are worked at.
const MAPPINGS: usize = 70;

/// Names in a request.
const LOOKED_UP: usize = 4096;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, what, address, count, rest @ ..] = args.as_slice() else {
        panic!("usage: peers WHAT ADDRESS COUNT [FRAME]")
    };
    let count: usize = count.parse().expect("how many");
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to what is allowed");
    let frame = rest.first().map_or("", String::as_str);
    match what.as_str() {
        "silent" => wait((0..count).map_while(|_| connect(address, b"")).collect::<Vec<_>>()),
        "greeted" => wait((0..count).map_while(|_| connect(address, GREETING)).collect::<Vec<_>>()),
        "handshake" => wait((0..count).map_while(|_| connect(address, HELLO)).collect::<Vec<_>>()),
        "unread" => wait(unread(address, count, frame).await),
        "schemas" => wait(schemas(address, count, frame).await),
        "mappings" => wait(mappings(address, count, vec![frame.to_owned()]).await),
        "lookups" => {
            let names = (0..LOOKED_UP).map(|number| format!("{frame}{number:0200}"));
            wait(mappings(address, count, names.collect()).await);
        }
        "puts" => wait(puts(address, count).await),
        other => panic!("{other:?} is nothing that peers do"),
    }
}

/// A connection that has sent so much; none where the system has no more of them.
fn connect(address: &str, said: &[u8]) -> Option<Box<dyn Read>> {
    if address.starts_with('/') {
        let mut stream = UnixStream::connect(address).ok()?;
        // The agent may have closed it by now.
        let _ = stream.write_all(said);
        return Some(Box::new(stream));
    }
    let mut stream = TcpStream::connect(address).ok()?;
    let _ = stream.write_all(said);
    Some(Box::new(stream))
}

/// Streams that were begun; those that were refused are not among them.
async fn unread(address: &str, count: usize, frame: &str) -> Vec<tonic::Streaming<FlightData>> {
    let mut streams = Vec::new();
    for part in 0..CONNECTIONS {
        let mut flight = flight(address).await;
        let ticket = ticket(&mut flight, frame).await;
        for _ in 0..count / CONNECTIONS + usize::from(part < count % CONNECTIONS) {
            streams.extend(flight.do_get(ticket.clone()).await.map(tonic::Response::into_inner).ok());
        }
    }
    streams
}

/// Calls under way, whose requests never end.
async fn puts(address: &str, count: usize) -> Vec<tokio::task::JoinHandle<()>> {
    let mut flight = flight(address).await;
    // Its answer comes after the connection was let in.
    let _ = flight.list_actions(arrow_flight::Empty {}).await;
    let calls = (0..count).map(|_| {
        let mut flight = flight.clone();
        tokio::spawn(async move {
            if let Ok(answers) = flight.do_put(futures::stream::pending::<FlightData>()).await {
                let _ = answers.into_inner().message().await;
            }
        })
    });
    calls.collect()
}

/// Calls under way, whose answers are not taken.
async fn schemas(address: &str, count: usize, frame: &str) -> Vec<tokio::task::JoinHandle<()>> {
    let path: Vec<String> = frame.split('/').map(str::to_owned).collect();
    let mut calls = Vec::new();
    for _ in 0..CONNECTIONS {
        let flight = flight(address).await;
        for _ in 0..count / CONNECTIONS {
            let (mut flight, path) = (flight.clone(), path.clone());
            calls.push(tokio::spawn(async move {
                let _ = flight.get_schema(FlightDescriptor::new_path(path)).await;
            }));
        }
    }
    calls
}

/// Sessions that have asked, and take no answer.
async fn mappings(address: &str, count: usize, names: Vec<String>) -> Vec<tonic::Streaming<FlightData>> {
    let command = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(SESSION_COMMAND));
    let hello = v1::Hello { versions: vec![SESSION_VERSION], client: "peers".to_owned() };
    let map = v1::MapRequest { names };
    let requests = std::iter::once(Request::Hello(hello)).chain(vec![Request::Map(map); MAPPINGS]);
    let requests = (1..).zip(requests).map(|(seq, request)| {
        let request = v1::SessionRequest { seq, request: Some(request) };
        FlightData::new().with_app_metadata(request.encode_to_vec())
    });
    let requests: Vec<FlightData> = std::iter::once(command).chain(requests).collect();
    let mut sessions = Vec::new();
    for part in 0..CONNECTIONS {
        let flight = flight(address).await;
        for _ in 0..count / CONNECTIONS + usize::from(part < count % CONNECTIONS) {
            let requests = futures::stream::iter(requests.clone()).chain(futures::stream::pending());
            let session = flight.clone().do_exchange(requests).await;
            sessions.extend(session.map(tonic::Response::into_inner).ok());
        }
    }
    sessions
}

async fn flight(address: &str) -> FlightServiceClient<Channel> {
    let uri =
        if address.starts_with('/') { format!("unix://{address}") } else { format!("http://{address}") };
    let endpoint = Endpoint::from_shared(uri).expect("an address").initial_stream_window_size(WINDOW);
    let channel = endpoint.connect().await.expect("an agent");
    FlightServiceClient::new(channel)
}

async fn ticket(flight: &mut FlightServiceClient<Channel>, frame: &str) -> Ticket {
    let path = frame.split('/').map(str::to_owned).collect();
    let info = flight.get_flight_info(FlightDescriptor::new_path(path)).await.expect("a frame").into_inner();
    info.endpoint[0].ticket.clone().expect("a ticket")
}

/// Keeps `peers` until nobody needs them.
fn wait<T>(peers: Vec<T>) {
    let mut out = std::io::stdout();
    writeln!(out, "ready {}", peers.len()).and_then(|()| out.flush()).expect("stdout");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(peers);
}
