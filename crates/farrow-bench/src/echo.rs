//! The floor of every request to another process: one byte to it and back, over a unix socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::Context;

use crate::latency::Latency;
use crate::worker::{self, Worker};

/// Asks a process of this program, which sends back what it is sent.
pub(crate) fn run(times: u64) -> anyhow::Result<Latency> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("echo.sock");
    let listener = UnixListener::bind(&path)?;
    let mut other = Worker::start(&["echo", path.to_str().context("a plain path")?])?;
    let (mut stream, _) = listener.accept()?;
    other.go_on();
    let latency = Latency::of(times, Ok, |_| {
        let mut byte = [7];
        stream.write_all(&byte)?;
        Ok(stream.read_exact(&mut byte)?)
    })?;
    drop(stream);
    other.end()?;
    Ok(latency)
}

/// The other process: ends with the connection.
pub(crate) fn work(path: &str) -> anyhow::Result<()> {
    let mut stream = UnixStream::connect(path)?;
    worker::ready()?;
    let mut byte = [0];
    while stream.read(&mut byte)? > 0 {
        stream.write_all(&byte)?;
    }
    Ok(())
}
