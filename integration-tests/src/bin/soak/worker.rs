//! One process of the soak: works until it is killed, and says each thing that it did in a line of one word.
//!
//! Once its stdin ends it finishes what it is at, lets go of what it has mapped, says `rest`, and stays: what is held
//! then is held by nobody.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightDescriptor, Ticket};
use farrow_client::{Address, Client, ClientError, Frame, Reason, Retention};
use fastrand::Rng;
use futures::{StreamExt, TryStreamExt};
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::frames::{self, FRAMES};

/// Frames that a reader keeps mapped at a time, at most.
const KEPT: usize = 6;

/// The work of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Publishes in place.
    Writer,
    /// Maps frames, keeps them a while, and looks at them again before it lets go.
    Reader,
    /// Takes the rows as a client does that knows nothing of farrow.
    Streamer,
    /// Publishes rows as such a client does.
    Putter,
    /// Removes frames and versions, so that there is room.
    Dropper,
}

impl Role {
    /// Each of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Writer, Self::Reader, Self::Streamer, Self::Putter, Self::Dropper];
}

/// The longest that a put may take that is given up.
const CANCELLED: Duration = Duration::from_millis(20);

/// True if stdin has ended.
static RESTING: AtomicBool = AtomicBool::new(false);

fn resting() -> bool {
    RESTING.load(Ordering::Relaxed)
}

/// Works until the process is killed, or told to rest. Ends it with a panic if anything is found wrong.
pub(crate) async fn work(socket: &str, role: Role, seed: u64) {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        RESTING.store(true, Ordering::Relaxed);
    });
    let mut rng = Rng::with_seed(seed);
    loop {
        // Whoever is told that the agent is away comes back when there is one again.
        match Client::connect(Address::Unix(socket.into())).await {
            Ok(client) => {
                match role {
                    Role::Writer => write(&client, &mut rng).await,
                    Role::Reader => read(&client, &mut rng).await,
                    Role::Streamer => stream(socket, &mut rng).await,
                    Role::Putter => put_rows(socket, &mut rng).await,
                    Role::Dropper => remove(&client, &mut rng).await,
                }
                if resting() {
                    say("rest");
                    // The client stays as well: what it has left behind must come back by itself.
                    std::future::pending::<()>().await;
                }
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn write(client: &Client, rng: &mut Rng) {
    while !resting() {
        let index = rng.u64(..FRAMES);
        // As many small frames as large ones: 2^0 to 2^17 rows.
        let most = 1 << rng.u32(..18);
        let rows = frames::rows(index, rng.u16(..), rng.u32(1..=most));
        let name = frames::name(index);
        let (word, appends) = if rng.u8(..4) == 0 { ("append", true) } else { ("put", false) };
        let put = async {
            match appends {
                true => client.append(&name, rows.schema(), vec![rows]).await,
                false => client.put(&name, rows.schema(), vec![rows]).await,
            }
        };
        let put = match patience(rng) {
            None => put.await,
            Some(patience) => match tokio::time::timeout(patience, put).await {
                Ok(done) => done,
                Err(_) => {
                    say("put cancelled");
                    continue;
                }
            },
        };
        match put {
            Ok(info) => {
                assert!(info.version > 0, "a version has a number");
                say(word);
            }
            Err(error) => match expected(&error) {
                Some(Expected::Away) => return,
                Some(Expected::Full) => {
                    say("full");
                    tokio::time::sleep(Duration::from_millis(rng.u64(1..50))).await;
                }
                Some(Expected::Unrecorded) => say("unrecorded"),
                other => panic!("put: {other:?}: {error}"),
            },
        }
        if rng.u8(..20) == 0 {
            match client.retain(&frames::name(index), Retention::last(rng.u64(..4))).await {
                Ok(_) => say("retain"),
                Err(error) => match expected(&error) {
                    Some(Expected::Away) => return,
                    Some(Expected::Missing | Expected::Full) => {}
                    other => panic!("retain: {other:?}: {error}"),
                },
            }
        }
    }
}

async fn read(client: &Client, rng: &mut Rng) {
    let mut kept: Vec<(u64, Frame, i64)> = Vec::new();
    while !resting() {
        if kept.len() >= KEPT || (!kept.is_empty() && rng.bool()) {
            let (index, frame, sum) = kept.swap_remove(rng.usize(..kept.len()));
            // As long as it is mapped nobody may have written there, whoever dropped it and whatever died meanwhile.
            assert_eq!(check_all(index, &frame), sum, "frame {index} changed while it was mapped");
            say("again");
            continue;
        }
        if rng.u8(..6) == 0 {
            let indexes = [(); 2].map(|()| rng.u64(..FRAMES));
            let [first, second] = indexes.map(frames::name);
            match client.snapshot(&[&first, &second]).await {
                Ok(taken) => {
                    for (index, frame) in indexes.into_iter().zip(taken) {
                        let sum = check_all(index, &frame);
                        kept.push((index, frame, sum));
                    }
                    say("snapshot");
                }
                Err(error) => match expected(&error) {
                    Some(Expected::Away) => return,
                    Some(Expected::Missing) => say("missing"),
                    Some(Expected::Unrecorded) => say("unrecorded"),
                    other => panic!("snapshot: {other:?}: {error}"),
                },
            }
            continue;
        }
        let index = rng.u64(..FRAMES);
        match client.get(&frames::name(index)).await {
            Ok(frame) if frame.zero_copy() => {
                let sum = check_all(index, &frame);
                kept.push((index, frame, sum));
                say("map");
            }
            // The agent went away between the look-up and the mapping, and the rows came from the next one; or it could
            // not put this process on record.
            Ok(frame) => {
                check_all(index, &frame);
                say("rows");
            }
            Err(error) => match expected(&error) {
                // What is mapped stays so, over the agent's end; but a lease of an agent that is gone cannot be
                // released to the next one, which waits for the process instead.
                Some(Expected::Away) => return,
                Some(Expected::Missing) => say("missing"),
                Some(Expected::Unrecorded) => say("unrecorded"),
                other => panic!("get: {other:?}: {error}"),
            },
        }
    }
}

fn check_all(index: u64, frame: &Frame) -> i64 {
    let sums = frame.batches().map(|batch| {
        let batch = batch.unwrap_or_else(|error| panic!("frame {index}@{}: {error}", frame.version()));
        frames::check(index, &batch).unwrap_or_else(|wrong| panic!("{wrong} (version {})", frame.version()))
    });
    sums.fold(0, i64::wrapping_add)
}

async fn stream(socket: &str, rng: &mut Rng) {
    let Ok(endpoint) = Endpoint::from_shared(format!("unix://{socket}")) else { panic!("a socket's path") };
    let Ok(channel) = endpoint.connect().await else { return };
    let mut flight = FlightServiceClient::new(channel);
    while !resting() {
        let index = rng.u64(..FRAMES);
        let path = frames::name(index).split('/').map(str::to_owned).collect();
        let info = match flight.get_flight_info(FlightDescriptor::new_path(path)).await {
            Ok(info) => info.into_inner(),
            Err(status) if status.code() == Code::NotFound => continue,
            Err(status) if away(&status) => return,
            Err(status) => panic!("GetFlightInfo: {status}"),
        };
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        match rows(&mut flight, index, ticket.expect("a ticket")).await {
            Ok(rows) => {
                assert_eq!(i64::try_from(rows), Ok(info.total_records), "rows of frame {index}");
                say("stream");
            }
            Err(status) if status.code() == Code::NotFound => say("missing"),
            Err(status) if away(&status) => return,
            Err(status) => panic!("DoGet: {status}"),
        }
    }
}

async fn put_rows(socket: &str, rng: &mut Rng) {
    let Ok(endpoint) = Endpoint::from_shared(format!("unix://{socket}")) else { panic!("a socket's path") };
    let Ok(channel) = endpoint.connect().await else { return };
    let mut flight = FlightServiceClient::new(channel);
    while !resting() {
        let index = rng.u64(..FRAMES);
        let most = 1 << rng.u32(..18);
        let rows = frames::rows(index, rng.u16(..), rng.u32(1..=most));
        let path = frames::name(index).split('/').map(str::to_owned).collect();
        let messages = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(FlightDescriptor::new_path(path)))
            .build(futures::stream::iter([Ok(rows)]))
            .map(|message| message.expect("rows that can be sent"));
        let answer = async { flight.do_put(messages).await?.into_inner().try_collect::<Vec<_>>().await };
        let answer = match patience(rng) {
            None => answer.await,
            Some(patience) => match tokio::time::timeout(patience, answer).await {
                Ok(done) => done,
                Err(_) => {
                    say("put rows cancelled");
                    continue;
                }
            },
        };
        match answer {
            Ok(results) => {
                assert_eq!(results.len(), 1, "one answer to a put");
                say("put rows");
            }
            Err(status) if away(&status) => return,
            Err(status) if unrecorded(status.message()) => say("unrecorded"),
            // There is no room, or the agent stops and cuts it off.
            Err(status) if matches!(status.code(), Code::ResourceExhausted | Code::Aborted) => say("full"),
            Err(status) => panic!("DoPut: {status}"),
        }
    }
}

async fn rows(
    flight: &mut FlightServiceClient<tonic::transport::Channel>,
    index: u64,
    ticket: Ticket,
) -> Result<usize, Status> {
    let messages = flight.do_get(ticket).await?.into_inner().map_err(FlightError::from);
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut rows = 0;
    loop {
        match batches.try_next().await {
            Ok(Some(batch)) => {
                frames::check(index, &batch).unwrap_or_else(|wrong| panic!("streamed: {wrong}"));
                rows += batch.num_rows();
            }
            Ok(None) => return Ok(rows),
            Err(FlightError::Tonic(status)) => return Err(*status),
            Err(error) => panic!("DoGet of frame {index}: {error}"),
        }
    }
}

async fn remove(client: &Client, rng: &mut Rng) {
    while !resting() {
        tokio::time::sleep(Duration::from_millis(rng.u64(1..40))).await;
        let index = rng.u64(..FRAMES);
        let name = frames::name(index);
        let removed = match rng.u8(..40) {
            0 => client.drop_prefix("soak/1/").await.map(drop),
            1..=20 => client.drop(&name).await.map(drop),
            21..=30 => client.drop(&format!("{name}@{}", rng.u64(1..20))).await.map(drop),
            31 => client.expire("soak/", Duration::from_secs(2), false).await.map(drop),
            32 => client.verify(&name, |_| ()).await.map(drop),
            _ => client.list("soak/").await.map(|infos| assert!(infos.len() <= 24, "{} frames", infos.len())),
        };
        match removed {
            Ok(()) => say("drop"),
            Err(error) => match expected(&error) {
                Some(Expected::Away) => return,
                Some(Expected::Missing | Expected::Full) => {}
                other => panic!("drop: {other:?}: {error}"),
            },
        }
    }
}

/// Errors that the others' work brings about, and nothing else.
#[derive(Debug)]
enum Expected {
    /// The agent was killed.
    Away,
    /// Somebody else dropped it.
    Missing,
    /// There is no room.
    Full,
    /// The agent's state directory is full, or cannot be written.
    Unrecorded,
}

fn expected(error: &ClientError) -> Option<Expected> {
    match (error, error.reason()) {
        (ClientError::NoAgent { .. } | ClientError::Unavailable { .. }, _) => Some(Expected::Away),
        (_, Some(Reason::NotFound)) => Some(Expected::Missing),
        (_, Some(Reason::RegionFull)) => Some(Expected::Full),
        (_, Some(Reason::Failed)) if unrecorded(&error.to_string()) => Some(Expected::Unrecorded),
        _ => None,
    }
}

/// True if the agent says that it could not put a process on record, and so gave it nothing.
fn unrecorded(message: &str) -> bool {
    message.contains("record of processes")
}

/// The time to wait for a put, if it is one that is given up wherever it is by then.
fn patience(rng: &mut Rng) -> Option<Duration> {
    // As many of a few microseconds as of a few milliseconds.
    (rng.u8(..6) == 0).then(|| CANCELLED / (1 << rng.u32(..12)))
}

/// A call that the agent's end has cut off.
fn away(status: &Status) -> bool {
    // What the agent itself says has a reason.
    !status.metadata().contains_key(farrow_proto::REASON_HEADER)
}

fn say(word: &str) {
    // Nobody listens any more: the soak is over, and this process with it.
    if writeln!(std::io::stdout().lock(), "{word}").is_err() {
        std::process::exit(0);
    }
}
