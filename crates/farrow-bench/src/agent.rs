//! An agent in a region of its own, and a runtime to speak to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use farrow_client::Client;
use farrow_integration_tests::{Agent, Region, batch, farrow};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::memory;

/// The frame that everything small is asked of: 128 numbers, 1 KiB.
pub(crate) const SMALL: &str = "bench/small";

/// An agent of the release build, which serves over TCP too.
pub(crate) struct Bench {
    // Ends before its region.
    pub(crate) agent: Agent,
    pub(crate) region: Region,
    /// The place where the region is, if that is another place than usual.
    _directory: Option<TempDir>,
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
}

/// The place where the region is made.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Place {
    /// The place where the region is made [default: /dev/shm]: a tmpfs mounted with huge=always gives it huge pages
    #[arg(long)]
    directory: Option<PathBuf>,
}

impl Bench {
    /// Starts an agent of a region with room for `bytes`, and puts [`SMALL`] there.
    pub(crate) fn start(bytes: u64) -> anyhow::Result<Self> {
        Self::start_in(&Place::default(), bytes)
    }

    /// The same, with the region somewhere else.
    pub(crate) fn start_in(place: &Place, bytes: u64) -> anyhow::Result<Self> {
        // A catalog, a famfs log, and what no frame fits into.
        let bytes = bytes + (256 << 20);
        memory::ensure_available(bytes)?;
        let size = format!("{}MiB", bytes >> 20);
        let (region, directory) = match &place.directory {
            None => (Region::new(&size), None),
            Some(directory) => {
                let directory = TempDir::with_prefix_in("farrow-bench-", directory)
                    .with_context(|| directory.display().to_string())?;
                let path = directory.path().join("region");
                let made = farrow(&["mkfs", "--size", &size, path.to_str().context("a plain path")?]);
                ensure!(made.status.success(), "mkfs: {}", String::from_utf8_lossy(&made.stderr));
                (Region::at(path), Some(directory))
            }
        };
        let config = region.beside("agent.toml");
        std::fs::write(&config, CONFIG)?;
        let config = config.to_str().context("a plain path")?.to_owned();
        let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &config]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let rows = batch(0, 128).project(&[0])?;
        let client = runtime.block_on(async {
            let client = agent.client().await;
            client.put(SMALL, rows.schema(), vec![rows]).await.map(|_| client)
        })?;
        Ok(Self { agent, region, _directory: directory, runtime, client })
    }

    /// By which pages the region's memory is reached, as the agent says it, for the reader of a table.
    pub(crate) fn pages(&self) -> anyhow::Result<String> {
        let log = self.agent.log();
        let (_, rest) = log.split_once("pages=\"").context("the agent does not say which pages it has")?;
        let (pages, _) = rest.split_once(['.', '"']).context("the line ends")?;
        Ok(format!("the region's memory: {pages}"))
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn tcp(&self) -> String {
        self.agent.tcp().trim_start_matches("http://").to_owned()
    }

    /// Runs a script and returns what a script of `python/` prints, with the agent's two addresses as its first
    /// arguments.
    pub(crate) fn python(&self, script: &str, arguments: &[String]) -> anyhow::Result<Value> {
        let output = self.script(script, arguments)?.output().context("start Python")?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).with_context(|| format!("{script} printed no JSON"))
    }

    /// The command that [`python`](Self::python) runs.
    pub(crate) fn script(&self, script: &str, arguments: &[String]) -> anyhow::Result<Command> {
        let python = std::env::var_os("FARROW_PYTHON").context(
            "FARROW_PYTHON is not set: run this by `cargo xtask bench`, which makes a Python environment",
        )?;
        let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let mut command = Command::new(python);
        // No __pycache__ in the source tree.
        command.arg("-B").arg(&path).args([self.agent.socket(), &self.tcp()]).args(arguments);
        Ok(command)
    }
}

/// Everybody may do everything: who may what is not what is timed.
const CONFIG: &str = r#"
[[rights]]
who = ["anyone"]
names = [""]
may = ["read", "publish", "drop", "admin"]
"#;
