//! Tries to write to a region through the descriptor that its agent passes: `intruder SOCKET FRAME`.
//!
//! Says of each way what came of it: `written`, or the system's error.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use farrow_integration_tests::{exchange, map_request};
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE};
use farrow_region::{FileRange, ReadMapping, WriteMapping};
use tonic::Request;
use tonic::metadata::MetadataValue;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, socket, frame] = args.as_slice() else { panic!("usage: intruder SOCKET FRAME") };

    let channel = tonic::transport::Endpoint::from_shared(format!("unix://{socket}")).expect("a socket");
    let mut flight = FlightServiceClient::new(channel.connect().await.expect("an agent"));
    let mut request = Request::new(FlightDescriptor::new_path(vec![frame.clone()]));
    request.metadata_mut().insert(ANNOUNCE_HEADER, MetadataValue::from_static(ANNOUNCE_VALUE));
    let info = flight.get_flight_info(request).await.expect("a frame").into_inner();
    let map = farrow_proto::decode_map_descriptor(&info.endpoint[0].app_metadata).expect("a descriptor");
    let pool = &map.pools[0];
    let range = FileRange { offset: pool.ranges[0].offset, len: 4096 };

    let sockets = std::path::Path::new(socket).parent().expect("a directory");
    let request = map_request(&map.region_uuid, pool.index, false);
    let mut answer = exchange(&sockets.join(&map.map_socket), &request).expect("the agent answers");
    assert_eq!(answer.message().reason, "", "{}", answer.message().text);
    assert_eq!(answer.descriptors.len(), 1);
    let file = File::from(answer.descriptors.remove(0));

    let mut byte = [0; 1];
    let mapping = ReadMapping::map(&file, &[range]).expect("it can be mapped to be read");
    mapping.read_at(0, &mut byte).expect("it can be read");

    say("write", &file.write_at(&byte, range.offset));
    let mapped = WriteMapping::map(&file, &[range]);
    say(
        "map",
        &mapped.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => io::Error::other(source.to_string()),
            None => io::Error::other(error.to_string()),
        }),
    );
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    say("reopen", &OpenOptions::new().write(true).open(&own));
    say("reopen both", &OpenOptions::new().read(true).write(true).open(&own));
    say("open", &OpenOptions::new().write(true).open(&pool.path));
    say("cut off", &file.set_len(0));
}

fn say<T>(what: &str, done: &io::Result<T>) {
    let mut out = io::stdout().lock();
    match done {
        Ok(_) => writeln!(out, "{what}: written"),
        Err(error) => writeln!(out, "{what}: {error}"),
    }
    .expect("stdout");
}
