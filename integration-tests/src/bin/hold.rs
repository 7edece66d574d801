//! Holds a frame mapped, or space reserved or half written, until it is killed: `hold SOCKET get FRAME`,
//! `hold SOCKET map FRAME`, `hold SOCKET reserve BYTES`, `hold SOCKET write FRAME` (768 MiB).
//!
//! Says `held` once it does, and answers each line `sum` on stdin with the sum of the frame's numbers.
#![forbid(unsafe_code)]

use std::io::{BufRead, Write};

use arrow_flight::Action as Call;
use arrow_flight::flight_service_client::FlightServiceClient;
use farrow_client::{Address, Client, Mode};
use farrow_integration_tests::{mebibytes, sum};
use farrow_proto::{Action, v1};
use futures::TryStreamExt;
use prost::Message;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, socket, verb, what] = args.as_slice() else {
        panic!("usage: hold SOCKET get|map|reserve|write FRAME|BYTES")
    };
    match verb.as_str() {
        "get" => {
            let client = Client::connect(Address::Unix(socket.into())).await.expect("an agent");
            let frame = client.get(what).await.expect("a frame");
            assert!(frame.zero_copy(), "not mapped: {:?}", frame.why());
            say("held");
            for line in std::io::stdin().lock().lines() {
                assert_eq!(line.expect("stdin"), "sum");
                say(&sum(&frame).expect("sealed batches decode").to_string());
            }
        }
        "map" => {
            let request = v1::MapRequest { names: vec![what.to_owned()] };
            hold(socket, Action::Map, request.encode_to_vec()).await;
        }
        "reserve" => {
            let request = v1::ReserveRequest { len: what.parse().expect("bytes"), ..Default::default() };
            hold(socket, Action::Reserve, request.encode_to_vec()).await;
        }
        "write" => {
            let client = Client::connect(Address::Unix(socket.into())).await.expect("an agent");
            let mut writer = client.writer(what, mebibytes(0, 1).schema(), Mode::Replace).expect("a schema");
            // Two at a time would do, if they were not joined.
            for first in 0..96 {
                writer.write(mebibytes(first << 20, 8)).await.expect("room");
            }
            say("held");
            std::io::stdin().lock().lines().for_each(drop);
        }
        other => panic!("unknown verb {other}"),
    }
}

/// Holds the one thing that an action gives.
async fn hold(socket: &str, action: Action, body: Vec<u8>) {
    let channel = tonic::transport::Endpoint::from_shared(format!("unix://{socket}")).expect("a socket");
    let mut flight = FlightServiceClient::new(channel.connect().await.expect("an agent"));
    let results = flight.do_action(Call::new(action.as_str(), body)).await.expect("an answer").into_inner();
    assert_eq!(results.try_collect::<Vec<_>>().await.expect("an answer").len(), 1);
    say("held");
    // Returns when nobody can tell us anything any more.
    std::io::stdin().lock().lines().for_each(drop);
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").expect("stdout");
}
