//! SIGHUP: the configuration is read again, and what can change while the agent serves does.

use tokio::sync::watch;

use crate::access::Access;
use crate::args::Args;
use crate::config::Config;
use crate::limits::Limits;
use crate::logging::LogLevel;

/// The configuration in force, and what it governs.
pub struct Reload {
    args: Args,
    config: Config,
    log: LogLevel,
}

/// Settings that a new configuration changes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    /// Of use at once.
    now: Vec<&'static str>,
    /// Of use after a restart.
    later: Vec<&'static str>,
}

impl Reload {
    /// `config` was read as `args` say, and `log` follows it.
    pub fn new(args: Args, config: Config, log: LogLevel) -> Self {
        Self { args, config, log }
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the configuration again. A broken one changes nothing.
    pub(crate) fn again(&mut self, access: &Access, limits: &watch::Sender<Limits>) {
        let loaded = Config::load(&self.args)
            .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
            .and_then(|new| access.reload(&new).map(|()| new));
        let new = match loaded {
            Ok(new) => new,
            Err(problems) => {
                let problems: Vec<String> = problems;
                for problem in problems {
                    tracing::error!("{problem}");
                }
                tracing::error!("the configuration is not taken up: what was in force still is");
                return;
            }
        };
        let mut changes = Changes::between(&self.config, &new);
        if new.log.level != self.config.log.level {
            match self.log.set(&new.log.level) {
                Ok(true) => changes.now.push("log.level"),
                Ok(false) => tracing::warn!("log.level is not taken up: RUST_LOG says what is logged"),
                Err(error) => tracing::error!("log.level is not taken up: {error:#}"),
            }
        }
        limits.send_replace(new.limits.clone());
        self.config = new;
        let Changes { now, later } = changes;
        tracing::info!(changed = now.join(", "), "the configuration was read again");
        if !later.is_empty() {
            tracing::warn!(changed = later.join(", "), "these wait for a restart of the agent");
        }
    }
}

impl Changes {
    /// All but the level of the log.
    fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Self::default();
        let (before, after) = (&old.limits, &new.limits);
        for (key, changed) in [
            ("drain", old.drain != new.drain),
            ("tcp.certificate", old.tcp.certificate != new.tcp.certificate),
            ("tcp.key", old.tcp.key != new.tcp.key),
            ("tcp.client-ca", old.tcp.client_ca != new.tcp.client_ca),
            ("tokens", old.tokens != new.tokens),
            ("rights", old.rights != new.rights),
            ("limits.connections", before.connections != after.connections),
            ("limits.streams", before.streams != after.streams),
            ("limits.puts", before.puts != after.puts),
            ("limits.leases", before.leases != after.leases),
            (
                "limits.reservations-per-process",
                before.reservations_per_process != after.reservations_per_process,
            ),
            ("limits.bytes-per-user", before.bytes_per_user != after.bytes_per_user),
            ("limits.stall", before.stall != after.stall),
        ] {
            if changed {
                changes.now.push(key);
            }
        }
        for (key, changed) in [
            ("region", old.region != new.region),
            ("socket", old.socket != new.socket),
            ("state-dir", old.state_dir != new.state_dir),
            ("system-uuid-file", old.system_uuid_file != new.system_uuid_file),
            ("validate", old.validate != new.validate),
            ("tcp.listen", old.tcp.listen != new.tcp.listen),
            ("http", old.http != new.http),
            ("log.format", old.log.format != new.log.format),
            ("limits.streams-per-connection", before.streams_per_connection != after.streams_per_connection),
            ("limits.stream-bytes", before.stream_bytes != after.stream_bytes),
            ("limits.request-bytes", before.request_bytes != after.request_bytes),
            ("limits.put-message-bytes", before.put_message_bytes != after.put_message_bytes),
            ("limits.put-bytes", before.put_bytes != after.put_bytes),
        ] {
            if changed {
                changes.later.push(key);
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_FILE;

    #[test]
    fn what_the_default_file_marks_for_reload_is_what_changes_at_once() {
        let old = Config::default();
        let mut new = Config::default();
        new.drain *= 2;
        let Limits {
            connections,
            streams,
            streams_per_connection,
            puts,
            leases,
            reservations_per_process,
            ..
        } = old.limits.clone();
        new.limits = Limits {
            connections: connections + 1,
            streams_per_connection: streams_per_connection + 1,
            streams: streams + 1,
            stream_bytes: old.limits.stream_bytes + 1,
            request_bytes: old.limits.request_bytes + 1,
            put_message_bytes: old.limits.put_message_bytes + 1,
            put_bytes: old.limits.put_bytes + 1,
            puts: puts + 1,
            leases: leases + 1,
            reservations_per_process: reservations_per_process + 1,
            bytes_per_user: Some(1),
            stall: old.limits.stall * 2,
        };
        let Changes { mut now, later } = Changes::between(&old, &new);
        now.push("log.level");
        for key in now {
            assert!(marked(key), "{key} is not marked with reload");
        }
        for key in later {
            assert!(!marked(key), "{key} is marked with reload");
        }
        assert_eq!(Changes::between(&old, &old), Changes::default());
    }

    /// True if the paragraph that documents the key ends with the word.
    fn marked(key: &str) -> bool {
        let name = key.rsplit('.').next().unwrap();
        let setting = format!("\n#{name} = ");
        let (before, _) =
            DEFAULT_FILE.split_once(&setting).unwrap_or_else(|| panic!("{key} is not in agent.toml"));
        before.ends_with(" reload")
    }
}
