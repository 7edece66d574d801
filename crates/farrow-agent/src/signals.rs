//! Signals to the agent.

use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;
use tokio::sync::mpsc;

/// An order of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop, by the signal of this name.
    Stop(&'static str),
    /// Read the configuration again.
    Reload,
}

/// Signals to this process, from when this was made on.
// Not tokio's: its feature is a part of every runtime that is built along with the agent, and one that is begun in a
// forked child that has closed all descriptors (a daemon) fails by it.
#[derive(Debug)]
pub struct Signals(mpsc::UnboundedReceiver<Signal>);

impl Signals {
    /// Takes over SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// The system's error, if it installs no handler or starts no thread.
    pub fn new() -> std::io::Result<Self> {
        let mut signals = iterator::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let (tell, told) = mpsc::unbounded_channel();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                let signal = match signal {
                    SIGHUP => Signal::Reload,
                    SIGINT => Signal::Stop("SIGINT"),
                    _ => Signal::Stop("SIGTERM"),
                };
                if tell.send(signal).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(told))
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            // Its thread lasts as long as this does.
            None => std::future::pending().await,
        }
    }

    /// The next one that says stop.
    pub async fn stop(&mut self) -> &'static str {
        loop {
            if let Signal::Stop(name) = self.next().await {
                return name;
            }
        }
    }
}
