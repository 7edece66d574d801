//! The agent has no file descriptors left.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use farrow_integration_tests::{Agent, Region, batch};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// HTTP/2's preface and settings without any setting (RFC 9113, sections 3.4 and 6.5).
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The log says once in this time that connections cannot be accepted.
const TELL: Duration = Duration::from_secs(60);

/// The time after which something that never comes is given up.
const NEVER: Duration = Duration::from_secs(120);

/// Connections that were let in and are idle.
const IDLE: usize = 8;

/// A connection with its greeting, which may be in the queue of the agent's socket.
fn greeting(agent: &Agent) -> UnixStream {
    let mut stream = UnixStream::connect(agent.socket()).unwrap();
    stream.set_read_timeout(Some(NEVER)).unwrap();
    stream.write_all(GREETING).unwrap();
    stream
}

/// A connection that the agent has answered.
fn greeted(agent: &Agent) -> UnixStream {
    let mut stream = greeting(agent);
    stream.read_exact(&mut [0; 9]).unwrap();
    stream
}

/// Checks whether the agent has closed it, without a wait.
fn is_closed(stream: &mut UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let end = loop {
        match stream.read(&mut [0; 256]) {
            Ok(1..) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break false,
            _ => break true,
        }
    };
    stream.set_nonblocking(false).unwrap();
    end
}

/// Lets a running agent have descriptors below this number alone, or as many as it had.
fn allow(agent: &Agent, below: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = below.or(maximum);
    let pid = Pid::from_raw(agent.pid().try_into().unwrap());
    prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// One more than the greatest descriptor that the agent has.
fn highest(agent: &Agent) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap();
    open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse::<u64>().unwrap() + 1).max().unwrap()
}

#[tokio::test]
async fn where_descriptors_run_out_idle_connections_give_way_and_all_serves_on() {
    let begun = Instant::now();
    let region = Region::new("64MiB");
    let mut agent = region.agent();
    // Of what else it cannot open.
    agent.errs();
    let rows = batch(0, 10);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut idle: Vec<UnixStream> = (0..IDLE).map(|_| greeted(&agent)).collect();

    // Nobody takes more descriptors than others give back: who comes is answered in turn, and somebody idle has gone.
    allow(&agent, Some(highest(&agent)));
    while !idle.iter_mut().any(is_closed) {
        idle.push(greeted(&agent));
    }
    let client = agent.client().await;
    assert!(client.usage().await.unwrap().free > 0);

    // None at all, whoever gives way.
    idle.drain(..idle.len() - IDLE);
    allow(&agent, Some(0));
    let mut waiting = greeting(&agent);
    for stream in &mut idle {
        let end = stream.read_to_end(&mut Vec::new());
        // To be cut off is an end as well.
        let waited = matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!waited, "an idle connection stays: {}", agent.log());
    }
    let log = agent.log();
    let told = log.lines().filter(|line| line.contains("connections cannot be accepted")).count();
    let most = 1 + begun.elapsed().as_secs() / TELL.as_secs();
    assert!((1..=most).contains(&(told as u64)), "{told} in {:?}: {log}", begun.elapsed());

    allow(&agent, None);
    waiting.read_exact(&mut [0; 9]).unwrap();
    assert_eq!(agent.client().await.get("a").await.unwrap().rows(), 10);
    assert_eq!(client.get("a").await.unwrap().rows(), 10, "a client connects again");
}
