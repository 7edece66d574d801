//! Starts workers and the agent, kills them, stops them for a while, takes the agent's state directory away, and sees that
//! nothing is left.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use farrow_client::Client;
use farrow_integration_tests::{Agent, Region, program, skipped};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};

use crate::frames::FRAMES;
use crate::state_dir::StateDir;
use crate::worker::Role;

/// The time that everything may take to come back once all workers are dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that a soak has started.
pub(crate) struct Soak {
    /// None: it lies where everything else does. Unmounted before the directory around it is removed.
    state: Option<StateDir>,
    region: Region,
    agent: Option<Agent>,
    /// Bytes of reservations that the agent has from earlier ones. They are of processes that may live: what an agent gave
    /// that died before it had said so, nobody can give back.
    inherited: u64,
    workers: Vec<Worker>,
    rng: Rng,
    counts: BTreeMap<String, u64>,
    say: mpsc::Sender<String>,
    said: mpsc::Receiver<String>,
}

struct Worker {
    role: Role,
    child: Child,
}

impl Soak {
    /// A region, its agent, and `each` workers of every role.
    pub(crate) async fn start(size: &str, seed: u64, each: usize) -> Self {
        let region = Region::new(size);
        let state = StateDir::at(&region.beside("state"))
            .inspect_err(|why| skipped(&format!("a full and a read-only state directory: {why}")))
            .ok();
        let (say, said) = mpsc::channel();
        let rng = Rng::with_seed(seed);
        let (workers, counts) = (Vec::new(), BTreeMap::new());
        let mut soak = Self { state, region, agent: None, inherited: 0, workers, rng, counts, say, said };
        soak.start_agent().await;
        for role in Role::ALL.repeat(each) {
            let worker = soak.worker(role);
            soak.workers.push(worker);
        }
        soak
    }

    /// Kills at random for `time`; then sees that all comes back.
    ///
    /// # Panics
    /// If anything was found wrong.
    pub(crate) async fn run(mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(self.rng.u64(20..300))).await;
            self.assert_alive();
            match self.rng.u8(..24) {
                0 => self.kill_agent().await,
                1 => self.stop_agent().await,
                2 => self.pause_agent().await,
                3 | 4 => self.pause_worker().await,
                5 => self.spoil_state_dir().await,
                _ => self.kill_worker(),
            }
            self.count();
        }
        self.end().await;
    }

    async fn start_agent(&mut self) {
        let mut agent = self.region.agent();
        // They are looked at when it ends.
        agent.errs();
        self.inherited = agent.client().await.usage().await.expect("figures").reserved;
        self.agent = Some(agent);
    }

    fn worker(&mut self, role: Role) -> Worker {
        let socket = self.region.beside("agent.sock");
        let mut child = Command::new(program("soak"))
            .arg("worker")
            .arg(socket)
            .arg(format!("{role:?}").to_lowercase())
            .arg(self.rng.u64(..).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a worker starts");
        let output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let say = self.say.clone();
        // It ends with the worker.
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Worker { role, child }
    }

    /// No worker ends by itself.
    fn assert_alive(&mut self) {
        for worker in &mut self.workers {
            let ended = worker.child.try_wait().expect("can be waited for");
            assert!(ended.is_none(), "a {:?} ended by itself ({ended:?}); above is why", worker.role);
        }
    }

    fn kill_worker(&mut self) {
        let index = self.rng.usize(..self.workers.len());
        let role = self.workers[index].role;
        let mut worker = self.worker(role);
        std::mem::swap(&mut worker, &mut self.workers[index]);
        kill(worker);
        self.add("worker killed");
    }

    async fn kill_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            check_log(&agent);
            agent.kill();
        }
        self.region.assert_clean();
        self.start_agent().await;
        self.add("agent killed");
    }

    async fn stop_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            check_log(&agent);
            assert_eq!(agent.terminate(), Some(0), "the agent stops when it is told to");
        }
        self.region.assert_clean();
        self.start_agent().await;
        self.add("agent stopped");
    }

    /// As a debugger stops it, or a machine that has no time for it.
    async fn pause_agent(&mut self) {
        let Some(agent) = &self.agent else { return };
        agent.signal(Signal::STOP);
        tokio::time::sleep(Duration::from_millis(self.rng.u64(10..800))).await;
        agent.signal(Signal::CONT);
        self.add("agent paused");
    }

    async fn pause_worker(&mut self) {
        let index = self.rng.usize(..self.workers.len());
        let pid = Pid::from_child(&self.workers[index].child);
        kill_process(pid, Signal::STOP).expect("it lives");
        tokio::time::sleep(Duration::from_millis(self.rng.u64(10..800))).await;
        kill_process(pid, Signal::CONT).expect("it lives");
        self.add("worker paused");
    }

    /// Nobody can be put on record for a while, in which the agent may be killed.
    async fn spoil_state_dir(&mut self) {
        let full = self.rng.bool();
        let Some(state) = self.state.take() else { return };
        let spoilt = if full { state.fill() } else { state.forbid() };
        // Other processes, which are on no record.
        (0..4).for_each(|_| self.kill_worker());
        tokio::time::sleep(Duration::from_millis(self.rng.u64(100..800))).await;
        let dies = self.rng.bool();
        if dies && let Some(agent) = self.agent.take() {
            check_log(&agent);
            agent.kill();
        }
        drop(spoilt);
        self.state = Some(state);
        if dies {
            self.region.assert_clean();
            self.start_agent().await;
        }
        self.add(if full { "state full" } else { "state read-only" });
    }

    /// Lets everybody finish, and sees that nothing is held though they live; kills them, and sees that every frame is what
    /// was put, and that all space comes back.
    async fn end(mut self) {
        self.assert_alive();
        let agent = self.agent.take().expect("one serves");
        let client = agent.client().await;
        self.rest(&client).await;
        for worker in std::mem::take(&mut self.workers) {
            kill(worker);
        }
        self.settle(&client).await;
        let frames = client.list("").await.expect("a listing");
        assert!(frames.len() as u64 <= FRAMES, "{} frames", frames.len());
        for frame in &frames {
            client
                .verify(&frame.name, |_| ())
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", frame.name));
            match client.drop(&frame.name).await {
                Ok(dropped) => assert_eq!(dropped.bytes_held, 0, "{} is held by the dead", frame.name),
                Err(error) => panic!("drop {}: {error}", frame.name),
            }
        }
        let usage = client.usage().await.expect("figures");
        assert_eq!((usage.used, usage.held, usage.reserved), (0, 0, 0), "{usage:?}");
        assert_eq!(usage.free, usage.pool_bytes, "all space came back: {usage:?}");
        drop(client);
        check_log(&agent);
        assert_eq!(agent.terminate(), Some(0));
        self.region.assert_clean();
        self.count();
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        println!("counted: soak: {}", counts.join(", "));
        for needed in [
            "put",
            "append",
            "put cancelled",
            "put rows",
            "put rows cancelled",
            "map",
            "snapshot",
            "again",
            "stream",
            "drop",
            "worker killed",
        ] {
            assert!(self.counts.contains_key(needed), "no {needed}: a soak of nothing");
        }
    }

    /// Waits until all workers have let go of everything, which they do while they live: what was given up has left
    /// nothing behind. Only what is from before the agent's last start may stand, which waits for their ends.
    async fn rest(&mut self, client: &Client) {
        for worker in &mut self.workers {
            drop(worker.child.stdin.take());
        }
        let start = Instant::now();
        loop {
            self.assert_alive();
            self.count();
            let resting = self.counts.get("rest").copied().unwrap_or(0);
            let usage = client.usage().await.expect("figures");
            let leases = client.leases().await.expect("a listing");
            if resting == self.workers.len() as u64 && usage.reserved <= self.inherited && leases.is_empty() {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{resting} of {} workers rest, and there is still something: {usage:?}, {leases:?}",
                self.workers.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the kernel has told the agent of every death.
    async fn settle(&self, client: &Client) {
        let start = Instant::now();
        loop {
            let usage = client.usage().await.expect("figures");
            let left = client.leases().await.expect("a listing");
            if usage.held == 0 && usage.reserved == 0 && left.is_empty() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "still held by the dead: {usage:?}, {left:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn add(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    fn count(&mut self) {
        while let Ok(word) = self.said.try_recv() {
            *self.counts.entry(word).or_default() += 1;
        }
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        self.workers.drain(..).for_each(kill);
    }
}

/// What needs a human must not happen, but that the record could not be written.
fn check_log(agent: &Agent) {
    let log = agent.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    let other = errors.iter().find(|line| !line.contains("the record of "));
    assert!(other.is_none(), "the agent logged an error: {errors:#?}");
}

fn kill(mut worker: Worker) {
    let _ = worker.child.kill();
    let _ = worker.child.wait();
}
