//! A client that sends an agent whatever it likes: `hostile --seconds 60 --seed 1`.
//!
//! Each call begins with messages as a good client sends them; then they are mutated, swapped, left out, sent twice,
//! sent to another verb, with odd headers, and cut off. The agent must answer every call, with an answer or with a
//! status that has a reason of the protocol's; it must not panic, not grow, and have nothing left at the end.
//!
//! Meanwhile crowds come and go: connections that say nothing (on the socket, over TCP, in a TLS handshake), streams
//! that nobody reads, puts that send nothing, commits of one reservation a hundred times. Root must get its answers.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "it reports what it went through")]

mod call;
mod crowd;
mod mutation;
mod raw;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Parser;
use farrow_integration_tests::{Region, batch, mebibytes, wide};
use fastrand::Rng;
use futures::StreamExt;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::call::Call;
use crate::crowd::Place;
use crate::raw::Connection;

/// The longest time that an agent may take for an answer on a busy machine. It is expected at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Memory that the agent may take beyond the region: what a few calls at a time need, and no message can ask for.
const MOST_PRIVATE_KIB: u64 = 512 << 10;

/// Answers of one call that are looked at.
const MOST_ANSWERS: usize = 100;

/// A client that sends an agent whatever it likes.
#[derive(Parser)]
struct Arguments {
    /// Seconds to run
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// The seed of random choices [default: another each time, which is printed]
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("hostile: seed {seed}, {} seconds", arguments.seconds);
    let mut rng = Rng::with_seed(seed);

    let region = Region::new("256MiB");
    let mut agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    region.let_everybody_in();
    let mut place = Place::new();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    let mut calls = BTreeMap::<&str, u64>::new();
    let mut crowds = BTreeMap::<&str, u64>::new();
    let (large, wide) = (mebibytes(0, 16), wide(3000));
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    while Instant::now() < end {
        for (name, rows) in [("large", &large), ("wide", &wide)] {
            if client.stat(name).await.is_err() {
                client.put(name, rows.schema(), vec![rows.clone()]).await.expect("a good client is served");
            }
        }
        let (crowd, peers) = place.next(&agent);
        *crowds.entry(crowd).or_default() += 1;
        place.root_is_served(&agent, crowd).await;
        crowd::commit_many_times(&agent, &client, &mut rng).await;
        crowd::shuffled_lists(&agent, &client, &mut rng).await;
        // What the last calls dropped is there again.
        client.put("a/b", rows.schema(), vec![rows.clone()]).await.expect("a good client is served");
        let connection = Connection::open(agent.socket()).await.expect("the agent takes connections");
        let ticket = connection.ticket("a/b").await.expect("a ticket");
        for _ in 0..50 {
            let call = Call::any(&ticket, &mut rng);
            let outcome = timeout(PATIENCE, make(&connection, &call)).await;
            let outcome = outcome.unwrap_or_else(|_| panic!("no answer in {PATIENCE:?} to {call:?}"));
            *calls.entry(outcome.unwrap_or_else(|wrong| panic!("{wrong}: {call:?}"))).or_default() += 1;
        }
        place.root_is_served(&agent, crowd).await;
        let private = private_kib(agent.pid());
        assert!(private < MOST_PRIVATE_KIB, "the agent has {private} KiB of memory of its own ({crowd})");
        drop(peers);
    }

    // Nobody writes any more, and this process, which was given reservations, still runs: it gives them back itself.
    let frame = client.get("a/b").await.expect("a good client is served");
    assert_eq!(frame.batch(0).expect("its rows"), rows);
    drop((frame, client));
    place.end();
    let log = agent.log();
    assert!(!log.contains("panicked"), "the agent panicked:\n{log}");
    agent.errs();
    assert_eq!(agent.terminate(), Some(0));
    region.assert_clean();
    let counts: Vec<String> = calls.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
    println!("counted: hostile: {}", counts.join(", "));
    println!("counted: crowds: {crowds:?}");
    assert!(calls.contains_key("answered") && calls.len() > 3, "every call came to the same: {calls:?}");
}

/// The outcome of a call, in a word; or the fault of it.
async fn make(connection: &Connection, call: &Call) -> Result<&'static str, String> {
    let mut answers = match connection.call(call).await {
        Ok(answers) => answers,
        Err(status) => return refusal(&status),
    };
    if call.cut_off {
        return Ok("left alone");
    }
    for _ in 0..MOST_ANSWERS {
        match answers.next().await {
            Some(Ok(_)) => {}
            Some(Err(status)) => return refusal(&status),
            None => return Ok("answered"),
        }
    }
    Ok("answered at length")
}

/// A refusal must have a reason of the protocol's; what never reaches the agent's own code has gRPC's.
fn refusal(status: &Status) -> Result<&'static str, String> {
    if status.message().contains("panic") {
        return Err(format!("a panic: {status}"));
    }
    let reason = status.metadata().get(farrow_proto::REASON_HEADER).and_then(|word| word.to_str().ok());
    match (reason.and_then(farrow_proto::Reason::parse), status.code()) {
        (Some(farrow_proto::Reason::Failed), _) => Err(format!("failed: {status}")),
        (Some(reason), _) => Ok(reason.as_str()),
        (None, Code::Internal | Code::Unimplemented | Code::OutOfRange | Code::DeadlineExceeded) => {
            Ok("refused by gRPC")
        }
        (None, Code::Cancelled | Code::Unknown) => Ok("refused by HTTP/2"),
        (None, _) => Err(format!("no reason: {status}")),
    }
}

/// Private memory of a process (RssAnon, proc(5)).
fn private_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the agent runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse().expect("KiB")
}
