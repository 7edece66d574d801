//! Other processes of this program, told when to begin and when to end.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};

/// A process that says `ready`, and waits for the end of its input before it goes on.
pub(crate) struct Worker {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a hidden subcommand, and returns once it is ready.
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        Self::of(command)
    }

    /// Runs a command, and returns once it is ready.
    pub(crate) fn of(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut worker = Self { child, output };
        let line = worker.line()?;
        ensure!(line == "ready", "{command:?} is not ready: it said {line:?}");
        Ok(worker)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it go on.
    pub(crate) fn go_on(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Returns what it says next; empty at its end.
    pub(crate) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.go_on();
        let status = self.child.wait()?;
        ensure!(status.success(), "a process of the benchmark failed: {status}");
        Ok(())
    }
}

/// An error of this process must not leave others behind.
impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The worker's side: says that it is ready, and waits.
pub(crate) fn ready() -> anyhow::Result<()> {
    println!("ready");
    std::io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}
