//! Waits for what others publish: `watch [PREFIX [EVENTS]]`.
//!
//! Shows that a reader is told of each commit, and maps what it is told of. It ends after so many events, or never. The
//! agent is found through `FARROW_ADDRESS`, or at its usual socket.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use anyhow::Context;
use farrow_client::{Address, Client, Event, Reason};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let prefix = arguments.next().unwrap_or_default();
    let events = match arguments.next() {
        Some(number) => number.parse().with_context(|| format!("`{number}` is no number of events"))?,
        None => usize::MAX,
    };

    let client = Client::connect(Address::find(None)?).await?;
    let mut watch = client.watch(&prefix).await?;
    println!("watching {prefix}");
    for _ in 0..events {
        match watch.next().await? {
            Event::Committed(info) => {
                let version = format!("{}@{}", info.name, info.version);
                match client.get(&version).await {
                    Ok(frame) => println!("{version}: {} rows, mapped: {}", frame.rows(), frame.zero_copy()),
                    Err(error) if error.reason() == Some(Reason::NotFound) => {
                        println!("{version}: was dropped since");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Event::Dropped { name, latest: Some(version) } => {
                println!("{name}: {version} is the latest again");
            }
            Event::Dropped { name, latest: None } => println!("{name}: gone"),
            other => println!("{other:?}: list the frames to know what is there"),
        }
    }
    Ok(())
}
