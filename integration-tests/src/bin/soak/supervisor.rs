//! Starts workers and the agent, kills them, and sees that nothing is left.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use farrow_client::Client;
use farrow_integration_tests::{Agent, Region, program};
use fastrand::Rng;

use crate::frames::FRAMES;
use crate::worker::Role;

/// How long everything may take to come back once all workers are dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that a soak has started.
pub(crate) struct Soak {
    region: Region,
    agent: Option<Agent>,
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
    pub(crate) fn start(size: &str, seed: u64, each: usize) -> Self {
        let region = Region::new(size);
        let agent = Some(region.agent());
        let (say, said) = mpsc::channel();
        let rng = Rng::with_seed(seed);
        let mut soak = Self { region, agent, workers: Vec::new(), rng, counts: BTreeMap::new(), say, said };
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
            match self.rng.u8(..20) {
                0 => self.kill_agent(),
                1 => self.stop_agent(),
                _ => self.kill_worker(),
            }
            self.count();
        }
        self.end().await;
    }

    fn worker(&mut self, role: Role) -> Worker {
        let socket = self.region.beside("agent.sock");
        let mut child = Command::new(program("soak"))
            .arg("worker")
            .arg(socket)
            .arg(format!("{role:?}").to_lowercase())
            .arg(self.rng.u64(..).to_string())
            .stdin(Stdio::null())
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

    fn kill_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.kill();
        }
        self.region.assert_clean();
        self.agent = Some(self.region.agent());
        self.add("agent killed");
    }

    fn stop_agent(&mut self) {
        if let Some(agent) = self.agent.take() {
            assert_eq!(agent.terminate(), Some(0), "the agent stops when it is told to");
        }
        self.region.assert_clean();
        self.agent = Some(self.region.agent());
        self.add("agent stopped");
    }

    /// Kills everybody; then nothing may be held, every frame must be what was put, and all space must come back.
    async fn end(mut self) {
        self.assert_alive();
        for worker in std::mem::take(&mut self.workers) {
            kill(worker);
        }
        let agent = self.agent.take().expect("one serves");
        let client = agent.client().await;
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
        assert_eq!(agent.terminate(), Some(0));
        self.region.assert_clean();
        self.count();
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        println!("counted: soak: {}", counts.join(", "));
        for needed in
            ["put", "append", "put rows", "map", "snapshot", "again", "stream", "drop", "worker killed"]
        {
            assert!(self.counts.contains_key(needed), "no {needed}: a soak of nothing");
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

fn kill(mut worker: Worker) {
    let _ = worker.child.kill();
    let _ = worker.child.wait();
}
