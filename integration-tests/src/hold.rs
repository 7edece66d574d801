//! Another process that holds something.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::{User, program};

/// A process that holds a lease or a reservation (the program `hold`); dropping it kills it.
pub struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Holder {
    /// A process that has `frame` mapped.
    ///
    /// # Panics
    /// If it cannot map it.
    pub fn of_frame(socket: &str, frame: &str) -> Self {
        Self::start(Command::new(program("hold")), &[socket, "get", frame])
    }

    /// The same as another user.
    ///
    /// # Panics
    /// If it cannot map it.
    pub fn of_frame_as(user: &User, socket: &str, frame: &str) -> Self {
        Self::start(user.command("hold"), &[socket, "get", frame])
    }

    /// A process that has a lease on `frame` by a request of its own, without a session.
    ///
    /// # Panics
    /// If it gets none.
    pub fn of_mapping(socket: &str, frame: &str) -> Self {
        Self::start(Command::new(program("hold")), &[socket, "map", frame])
    }

    /// A process that has `len` bytes reserved.
    ///
    /// # Panics
    /// If it cannot reserve them.
    pub fn of_reservation(socket: &str, len: u64) -> Self {
        Self::start(Command::new(program("hold")), &[socket, "reserve", &len.to_string()])
    }

    /// A process that has written 768 MiB of a version of `frame`, in place, and may have so many MiB of memory of its
    /// own (RLIMIT_DATA: private memory that it may write).
    ///
    /// # Panics
    /// If it cannot write it, or needs more.
    pub fn of_writer(socket: &str, frame: &str, mib: u64) -> Self {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -d {} && exec \"$@\"", mib << 10), "sh"]).arg(program("hold"));
        Self::start(limited, &[socket, "write", frame])
    }

    /// The same by a command that runs its arguments.
    ///
    /// # Panics
    /// If it cannot map it.
    pub fn of_frame_by(mut command: Command, socket: &str, frame: &str) -> Self {
        command.arg(program("hold"));
        Self::start(command, &[socket, "get", frame])
    }

    fn start(mut command: Command, args: &[&str]) -> Self {
        let mut child =
            command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("hold starts");
        let input = child.stdin.take().expect("stdin is a pipe");
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut holder = Self { child, input, output };
        assert_eq!(holder.line(), "held");
        holder
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads everything that it has mapped; returns the sum of the numbers.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn sum(&mut self) -> i64 {
        self.input.write_all(b"sum\n").expect("the holder still runs");
        self.line().parse().expect("a sum")
    }

    /// Kills it without a chance to tidy up.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("the holder can be killed");
        self.child.wait().expect("the holder ends");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the holder answers");
        line.trim_end().to_owned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
