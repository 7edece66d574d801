//! An agent in a region of its own, and a runtime to speak to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use farrow_client::Client;
use farrow_integration_tests::{Agent, Region, batch};
use serde_json::Value;
use tokio::runtime::Runtime;

/// The frame that everything small is asked of: 128 numbers, 1 KiB.
pub(crate) const SMALL: &str = "bench/small";

/// An agent of the release build, which serves over TCP too.
pub(crate) struct Bench {
    // Ends before its region.
    pub(crate) agent: Agent,
    _region: Region,
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
}

impl Bench {
    /// Starts an agent of a region with room for `bytes`, and puts [`SMALL`] there.
    pub(crate) fn start(bytes: u64) -> anyhow::Result<Self> {
        // A catalog, a famfs log, and what no frame fits into.
        let region = Region::new(&format!("{}MiB", (bytes >> 20) + 256));
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
        Ok(Self { agent, _region: region, runtime, client })
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn tcp(&self) -> String {
        self.agent.tcp().trim_start_matches("http://").to_owned()
    }

    /// What a script of `python/` prints, with the agent's two addresses as its first arguments.
    pub(crate) fn python(&self, script: &str, arguments: &[String]) -> anyhow::Result<Value> {
        let python = std::env::var_os("FARROW_PYTHON").context(
            "FARROW_PYTHON is not set: run this by `cargo xtask bench`, which makes a Python environment",
        )?;
        let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
        let output = Command::new(python)
            .arg(&path)
            .args([self.agent.socket(), &self.tcp()])
            .args(arguments)
            .output()
            .with_context(|| format!("start {}", path.display()))?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).with_context(|| format!("{script} printed no JSON"))
    }
}

/// Everybody may do everything: who may what is not what is timed.
const CONFIG: &str = r#"
[[rights]]
who = ["anyone"]
names = [""]
may = ["read", "publish", "drop", "admin"]
"#;
