//! Another process with many connections or streams.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::{User, program};

/// A process of many peers that do nothing useful (the program `peers`); dropping it kills it.
pub struct Peers {
    child: Child,
    /// The number that there is.
    pub count: usize,
}

impl Peers {
    /// `count` of them, of the tests' own user.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(what: &str, address: &str, count: usize, frame: &str) -> Self {
        Self::start(Command::new(program("peers")), what, address, count, frame)
    }

    /// The same as another user.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(user: &User, what: &str, address: &str, count: usize, frame: &str) -> Self {
        Self::start(user.command("peers"), what, address, count, frame)
    }

    fn start(mut command: Command, what: &str, address: &str, count: usize, frame: &str) -> Self {
        command.args([what, address, &count.to_string(), frame]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("peers starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(output).read_line(&mut line).expect("it says how many there are");
        let ready = line.trim_end().strip_prefix("ready ").expect("they are ready");
        Self { child, count: ready.parse().expect("a number") }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
