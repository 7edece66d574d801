//! The agent's log, on standard error.

use std::io::IsTerminal as _;

use rustix::fs::fstat;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// The level of the log; it can be changed.
#[derive(Debug)]
pub struct LogLevel {
    filter: reload::Handle<EnvFilter, Registry>,
    /// RUST_LOG says what is logged, whatever the configuration does.
    from_environment: bool,
}

impl LogLevel {
    /// Begins to log.
    ///
    /// # Errors
    /// A level that cannot be understood; [`Config::load`](crate::Config::load) has refused it before.
    pub fn init(log: &Log) -> anyhow::Result<Self> {
        let from_environment = std::env::var_os("RUST_LOG").is_some_and(|level| !level.is_empty());
        let filter = match EnvFilter::try_from_default_env() {
            Ok(filter) if from_environment => filter,
            _ => EnvFilter::try_new(&log.level)?,
        };
        let (filter, handle) = reload::Layer::new(filter);
        let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
        let lines = match log.format {
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
            LogFormat::Text if to_journal() => lines.without_time().with_ansi(false).boxed(),
            LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).init();
        Ok(Self { filter: handle, from_environment })
    }

    /// Logs at another level from now on. Returns whether it does: RUST_LOG comes first.
    ///
    /// # Errors
    /// A level that cannot be understood.
    pub(crate) fn set(&self, level: &str) -> anyhow::Result<bool> {
        if self.from_environment {
            return Ok(false);
        }
        self.filter.reload(EnvFilter::try_new(level)?)?;
        Ok(true)
    }
}

/// True if standard error is the journal, which has times of its own (systemd.exec(5), JOURNAL_STREAM).
fn to_journal() -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(std::io::stderr()).is_ok_and(|found| journal == format!("{}:{}", found.st_dev, found.st_ino))
}
