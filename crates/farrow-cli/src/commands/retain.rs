//! `farrow retain`

use std::num::NonZeroU64;

use farrow_client::{Reason, Retention, RetentionRule, RetentionTarget};
use serde::Serialize;

use crate::args::{Agent, Retain};
use crate::commands::ls;
use crate::output;

pub(crate) fn run(args: &Retain, agent: &Agent) -> anyhow::Result<()> {
    let client = agent.connect()?;
    // clap asks for one of the three, or for the list.
    let prefix = args.prefix.as_deref().or(args.region.then_some(""));
    let name = args.name.as_deref().unwrap_or_default();
    if args.list {
        return list(&client.retentions(prefix.unwrap_or(name))?, args.json);
    }
    let last = args.last.map_or(0, NonZeroU64::get);
    let retention = (!args.unset).then_some(Retention { last, max_age: args.max_age.map(|age| age.0) });
    let dropped = match prefix {
        Some(prefix) => client.retain_prefix(prefix, retention)?,
        None => client.retain(name, retention)?,
    };
    let whose = match prefix {
        Some("") => "each frame".to_owned(),
        Some(prefix) => format!("each frame of {prefix}"),
        None => name.to_owned(),
    };
    let keeps = retention.map_or_else(
        || "keeps what is said of a shorter prefix, or else all versions".to_owned(),
        |Retention { last, max_age }| format!("keeps {}", ls::kept(last, max_age)),
    );
    output::note(format_args!("{whose} {keeps}: {}", output::dropped(&dropped)));
    let waits = || client.stat(name).is_err_and(|error| error.reason() == Some(Reason::NotFound));
    if prefix.is_none() && retention.is_some() && waits() {
        output::note(format_args!("there is no frame {name} yet: this holds for the next one of that name"));
    }
    Ok(())
}

fn list(rules: &[RetentionRule], json: bool) -> anyhow::Result<()> {
    if json {
        return rules.iter().try_for_each(|rule| output::json(&Line::from(rule)));
    }
    let row = |RetentionRule { target, retention, uid }: &RetentionRule| {
        let (kind, frames) = match target {
            RetentionTarget::Prefix(prefix) if prefix.is_empty() => ("region", ""),
            RetentionTarget::Prefix(prefix) => ("prefix", prefix.as_str()),
            RetentionTarget::Frame(name) => ("frame", name.as_str()),
        };
        let keeps = ls::keeps(retention.last, retention.max_age);
        [kind.to_owned(), frames.to_owned(), keeps, uid.to_string()]
    };
    let rows: Vec<[String; 4]> = rules.iter().map(row).collect();
    Ok(output::table(["of", "name", "keeps", "uid"], [false, false, true, true], &rows)?)
}

/// A retention as JSON tells it.
#[derive(Serialize)]
struct Line<'a> {
    /// Of one frame; null of a prefix.
    name: Option<&'a str>,
    /// Null of one frame.
    prefix: Option<&'a str>,
    /// Versions; 0: all.
    retention: u64,
    /// 0: for ever.
    max_age_seconds: u64,
    uid: u32,
}

impl<'a> From<&'a RetentionRule> for Line<'a> {
    fn from(rule: &'a RetentionRule) -> Self {
        let (name, prefix) = match &rule.target {
            RetentionTarget::Frame(name) => (Some(name.as_str()), None),
            RetentionTarget::Prefix(prefix) => (None, Some(prefix.as_str())),
        };
        let Retention { last, max_age } = rule.retention;
        let max_age_seconds = max_age.map_or(0, |age| age.as_secs());
        Self { name, prefix, retention: last, max_age_seconds, uid: rule.uid }
    }
}
