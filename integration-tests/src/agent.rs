//! Regions and agents.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use farrow_client::{Address, Client};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{User, eventually, farrow, program};

/// A region in shared memory, and a directory for what its agents keep on their host.
pub struct Region {
    directory: TempDir,
    /// The file.
    pub path: PathBuf,
}

/// A running agent; dropping it kills it.
pub struct Agent {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    /// True if an error in its log fails the test.
    errors_fail: bool,
}

impl Region {
    /// Makes a region of `size`, as `farrow mkfs --size` takes it.
    ///
    /// # Panics
    /// If mkfs fails.
    pub fn new(size: &str) -> Self {
        let region = Self::unmade();
        let made = farrow(&["mkfs", "--size", size, region.path.to_str().expect("a plain path")]);
        assert!(made.status.success(), "mkfs: {}", String::from_utf8_lossy(&made.stderr));
        region
    }

    /// A place for a region where there is none yet.
    ///
    /// # Panics
    /// If no directory can be made.
    pub fn unmade() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = TempDir::with_prefix_in("farrow-it-", place).expect("a directory can be made");
        let path = directory.path().join("region");
        Self { directory, path }
    }

    /// A region at a path that is there already. What its agents keep on their host is put elsewhere.
    ///
    /// # Panics
    /// If no directory can be made.
    pub fn at(path: PathBuf) -> Self {
        Self { path, ..Self::unmade() }
    }

    /// A path beside the region's file.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts an agent and waits until it serves.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn agent(&self) -> Agent {
        self.agent_with(&[])
    }

    /// Starts an agent with more arguments.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn agent_with(&self, args: &[&str]) -> Agent {
        self.start(self.command(args))
    }

    /// Starts an agent that logs what `filter` says, as `RUST_LOG` takes it.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn agent_that_logs(&self, filter: &str) -> Agent {
        let mut command = self.command(&[]);
        command.env("RUST_LOG", filter);
        self.start(command)
    }

    /// Starts an agent with nothing but a configuration file, which names the usual places.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn agent_of(&self, config: &Path) -> Agent {
        let mut command = Command::new(program("farrow-agent"));
        command.arg("--config").arg(config).env_remove("RUST_LOG").stdout(Stdio::null());
        self.start(command)
    }

    /// Starts an agent as another user, to whom everything here is given.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn agent_as(&self, user: &User) -> Agent {
        for path in [self.directory.path(), &self.path] {
            std::os::unix::fs::chown(path, Some(user.uid()), Some(user.uid())).expect("root may");
        }
        self.start(self.arguments(user.command("farrow-agent"), &[]))
    }

    /// Starts an agent by a command that runs its arguments.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn agent_by(&self, command: Command) -> Agent {
        self.start(self.arguments(command, &[]))
    }

    /// Lets every user reach the agent, as a directory such as /run/farrow does, and nobody the region.
    ///
    /// # Panics
    /// If the agent does not serve.
    pub fn let_everybody_in(&self) {
        let mode = |path: &Path, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(path, permissions).expect("the agent serves");
        };
        mode(self.directory.path(), 0o755);
        for name in ["agent.sock", "agent.sock.map"] {
            mode(&self.beside(name), 0o666);
        }
    }

    /// Runs a command that starts an agent at the usual places, and waits until it serves.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn start(&self, mut command: Command) -> Agent {
        let socket = self.beside("agent.sock");
        let log = self.beside("agent.log");
        // A killed agent leaves its socket behind.
        let _ = std::fs::remove_file(&socket);
        let mut child = command.stderr(std::fs::File::create(&log).expect("a log")).spawn().expect("starts");
        let ended = eventually("an agent serves", || match child.try_wait() {
            Ok(Some(status)) => Some(Some(status)),
            // It is there a moment before it takes connections.
            _ => UnixStream::connect(&socket).is_ok().then_some(None),
        });
        let agent = Agent { child, socket, log, errors_fail: true };
        assert!(ended.is_none(), "the agent ended ({ended:?}): {}", agent.log());
        agent
    }

    /// Writes the agents' configuration, whose path is returned for `--config`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn config(&self, toml: &str) -> String {
        let path = self.beside("agent.toml");
        std::fs::write(&path, toml).expect("the configuration can be written");
        path.into_os_string().into_string().expect("a plain path")
    }

    /// The command that starts an agent, for tests of its refusals.
    pub fn command(&self, args: &[&str]) -> Command {
        self.arguments(Command::new(program("farrow-agent")), args)
    }

    /// The same by another command, which is given the arguments.
    pub fn arguments(&self, mut command: Command, args: &[&str]) -> Command {
        command
            .arg("--region")
            .arg(&self.path)
            .arg("--socket")
            .arg(self.beside("agent.sock"))
            .arg("--state-dir")
            .arg(self.beside("state"))
            .args(args)
            .env("RUST_LOG", "info")
            .stdout(Stdio::null());
        command
    }

    /// Reads which processes the agent has on record as holders, by pid.
    pub fn holders(&self) -> impl Fn() -> Vec<u32> + use<> {
        let state = self.beside("state");
        move || {
            let files =
                std::fs::read_dir(&state).expect("a state directory").flatten().map(|entry| entry.path());
            let texts = files.filter(|path| path.extension().is_some_and(|found| found == "holders"));
            let text: String = texts.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect();
            let pids =
                text.lines().filter_map(|line| line.strip_prefix("pid ")?.split(' ').next()?.parse().ok());
            pids.collect()
        }
    }

    /// Checks that `farrow fsck` finds nothing wrong.
    ///
    /// # Panics
    /// If it does.
    #[track_caller]
    pub fn assert_clean(&self) {
        let checked = farrow(&["fsck", self.path.to_str().expect("a plain path")]);
        assert_eq!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}

impl Agent {
    /// Errors in its log are what the test is about.
    pub fn errs(&mut self) {
        self.errors_fail = false;
    }

    /// Its unix socket.
    pub fn socket(&self) -> &str {
        self.socket.to_str().expect("a plain path")
    }

    /// A client over the unix socket.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn client(&self) -> Client {
        Client::connect(Address::Unix(self.socket.clone())).await.expect("the agent takes connections")
    }

    /// `http://127.0.0.1:PORT`, if it was started with `--listen 127.0.0.1:0`.
    ///
    /// # Panics
    /// If it does not say where it listens.
    pub fn tcp(&self) -> String {
        let log = eventually("the agent tells its address", || {
            Some(self.log()).filter(|log| log.contains("listen="))
        });
        let (_, rest) = log.split_once("listen=\"").expect("the log tells the address");
        let (address, _) = rest.split_once('"').expect("the address ends");
        format!("http://{address}")
    }

    /// `127.0.0.1:PORT` of health and metrics, if its configuration has it listen there.
    ///
    /// # Panics
    /// If it does not say where it listens.
    pub fn http(&self) -> String {
        let log = eventually("the agent tells its address", || {
            Some(self.log()).filter(|log| log.contains("http="))
        });
        let (_, rest) = log.split_once("http=\"").expect("the log tells the address");
        rest.split('"').next().expect("the address ends").to_owned()
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it read its configuration again, and waits until it has said what came of it.
    ///
    /// # Panics
    /// If it says nothing.
    pub fn reload(&self) {
        let told = || {
            self.log()
                .lines()
                .filter(|line| line.contains("was read again") || line.contains("is not taken up"))
                .count()
        };
        let before = told();
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("the agent can be told to reload");
        eventually("the agent has reloaded", || (told() > before).then_some(()));
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the agent can be told");
    }

    /// Waits until it ends; returns its exit code.
    ///
    /// # Panics
    /// If it goes on.
    pub fn code(&mut self) -> Option<i32> {
        eventually("the agent ends", || self.child.try_wait().expect("can be waited for")).code()
    }

    /// Returns what it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it without a chance to tidy up.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("the agent can be killed");
        self.child.wait().expect("the agent ends");
    }

    /// Waits until it ends by itself, with an error; returns its exit code (`None`: by a signal) and what it said.
    ///
    /// # Panics
    /// If it goes on.
    pub fn ended(mut self) -> (Option<i32>, String) {
        self.errors_fail = false;
        let status = eventually("the agent ends", || self.child.try_wait().expect("can be waited for"));
        (status.code(), self.log())
    }

    /// Tells it to stop; returns its exit code.
    ///
    /// # Panics
    /// If it does not end.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What needs a human must not happen in a test.
        let log = self.log();
        if self.errors_fail && !std::thread::panicking() {
            assert!(!log.contains("ERROR"), "the agent logged an error:\n{log}");
        }
    }
}
