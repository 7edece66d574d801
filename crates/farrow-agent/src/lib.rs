//! The daemon of one host: an Arrow Flight control plane over one region.
//!
//! A part of farrow: `crates/GUIDE.md` is for its users, `crates/README.md` says how its crates fit together.
//!
//! [`Config`] says what to serve, [`App::build`] opens and binds it, [`App::run`] serves until it is told to stop.
//! Below them: `service` speaks Flight, `leases` keeps what processes hold, `region` joins the store and the mapped
//! bytes, `medium` is what those lie in, `memory` reads them there, `listen` accepts connections and asks the kernel
//! who sent them, `caller` is who asks, `rights` what rules let it do, `map_socket` gives applications read-only
//! descriptors. What goes wrong is an `AgentError`, and `status` alone says what that is on the wire.
#![forbid(unsafe_code)]

mod access;
mod app;
mod args;
mod awaited;
mod caller;
mod config;
mod descriptors;
mod end_watch;
mod error;
mod family_pages;
mod health;
mod holders;
mod housekeeping;
mod http;
mod leases;
mod limits;
mod listen;
mod lock_holder;
mod logging;
mod map_socket;
mod mappers;
mod medium;
mod memory;
mod metrics;
mod places;
mod process;
mod reference;
mod refusals;
mod region;
mod reload;
mod rights;
mod server;
mod service;
mod shares;
mod signals;
mod status;
mod systemd;
mod user;

pub use access::Access;
pub use app::App;
pub use args::Args;
pub use config::{Config, DEFAULT_FILE, Http, Log, LogFormat, Problem, Problems, SYSTEM_FILE, Tcp};
pub use error::chain;
pub use limits::Limits;
pub use listen::TlsFiles;
pub use logging::LogLevel;
pub use reference::reference;
pub use region::CommitCheck;
pub use reload::Reload;
pub use rights::{RightsEntry, TokenEntry};
pub use signals::{Signal, Signals};
