//! The agent's configuration: `agent.toml` with the command line's options over it.
//!
//! The commented file [`DEFAULT_FILE`] is the reference of all settings; a test holds it and these types together.

mod check;
mod document;
pub(crate) mod quantity;

pub(crate) use quantity::listen_address;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use farrow_region::trust::{Guard, read_file};
use serde::Deserialize;

use crate::args::Args;
use crate::limits::Limits;
use crate::region::CommitCheck;
use crate::rights::{RightsEntry, TokenEntry};
use document::Document;

/// Each setting with its default, for people to read and change.
pub const DEFAULT_FILE: &str = include_str!("../agent.toml");

/// The file that is read where none is named, if it is there and no region is given on the command line.
pub const SYSTEM_FILE: &str = "/etc/farrow/agent.toml";

/// Bytes of a configuration file; longer ones are something else.
const MAX_FILE: u64 = 1 << 20;

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The region to serve. [`load`](Self::load) refuses a configuration without one.
    pub region: Option<PathBuf>,
    /// The unix socket, if not the default one.
    pub socket: Option<PathBuf>,
    /// The place where host-local state is kept, if not in the default place.
    pub state_dir: Option<PathBuf>,
    /// File with this host's system UUID.
    pub system_uuid_file: Option<PathBuf>,
    /// The extent to which a frame is checked before it is published.
    pub validate: CommitCheck,
    /// The time that requests have after the agent was told to stop.
    #[serde(deserialize_with = "quantity::duration")]
    pub drain: Duration,
    /// Flight over TCP.
    pub tcp: Tcp,
    /// Health and metrics over HTTP.
    pub http: Http,
    /// The level and format of the log.
    pub log: Log,
    /// The limits of clients.
    pub limits: Limits,
    /// Secrets that name their bearers.
    pub tokens: Vec<TokenEntry>,
    /// The rights to frames; the default rules if there are none.
    pub rights: Vec<RightsEntry>,
}

/// `[tcp]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tcp {
    /// The place where to listen; nowhere if not said.
    #[serde(deserialize_with = "quantity::listen")]
    pub listen: Option<SocketAddr>,
    /// PEM chain.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The CA of clients' certificates, PEM.
    pub client_ca: Option<PathBuf>,
}

/// `[http]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// The place where to listen; nowhere if not said.
    #[serde(deserialize_with = "quantity::listen")]
    pub listen: Option<SocketAddr>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Log {
    /// For whom.
    pub format: LogFormat,
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub level: String,
}

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File, and line from 1.
    place: Option<(PathBuf, Option<usize>)>,
    /// As in `limits.connections`.
    key: Option<String>,
    text: String,
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl Config {
    /// Reads the file that `args` or the system names, and puts the options over it.
    ///
    /// # Errors
    /// All problems of file and options.
    pub fn load(args: &Args) -> Result<Self, Problems> {
        Self::read(args, check::settings)
    }

    /// Everything that can be found wrong without opening the region.
    pub fn problems(args: &Args) -> Vec<Problem> {
        let all = |config: &Self, document: &Document| {
            let mut problems = check::settings(config, document);
            problems.extend(check::paths(config, document));
            problems
        };
        Self::read(args, all).err().map(|Problems(problems)| problems).unwrap_or_default()
    }

    /// The unix socket's path.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| farrow_proto::own_directory().join(farrow_proto::SOCKET_NAME))
    }

    /// Returns where host-local state is kept.
    pub fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(farrow_proto::own_directory)
    }

    fn read(args: &Args, check: impl Fn(&Self, &Document) -> Vec<Problem>) -> Result<Self, Problems> {
        let (mut config, document, mut problems) = match file(args) {
            None => (Self::default(), Document::default(), Vec::new()),
            Some(path) => match text(&path) {
                Ok(text) => Document::parse(&path, &text),
                Err(text) => {
                    let problem = Problem { place: None, key: None, text };
                    return Err(Problems(vec![problem]));
                }
            },
        };
        config.put_over(args);
        problems.extend(check(&config, &document));
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    fn put_over(&mut self, args: &Args) {
        let Args { region, socket, listen, state_dir, system_uuid_file, validate, .. } = args.clone();
        self.region = region.or(self.region.take());
        self.socket = socket.or(self.socket.take());
        self.tcp.listen = listen.or(self.tcp.listen);
        self.state_dir = state_dir.or(self.state_dir.take());
        self.system_uuid_file = system_uuid_file.or(self.system_uuid_file.take());
        self.validate = validate.unwrap_or(self.validate);
    }
}

/// The text of a configuration file. It gives rights, so it must not be one that anybody may write.
fn text(path: &Path) -> Result<String, String> {
    let bytes = read_file(path, MAX_FILE, Guard::Rules).map_err(|problem| problem.to_string())?;
    String::from_utf8(bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// The file to read, if any.
fn file(args: &Args) -> Option<PathBuf> {
    let system = || (args.region.is_none() && Path::new(SYSTEM_FILE).exists()).then(|| SYSTEM_FILE.into());
    args.config.clone().or_else(system)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            region: None,
            socket: None,
            state_dir: None,
            system_uuid_file: None,
            validate: CommitCheck::Values,
            drain: Duration::from_secs(10),
            tcp: Tcp::default(),
            http: Http::default(),
            log: Log::default(),
            limits: Limits::default(),
            tokens: Vec::new(),
            rights: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((path, line)) = &self.place {
            write!(f, "{}:", path.display())?;
            if let Some(line) = line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&problems.join("\n"))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests;
