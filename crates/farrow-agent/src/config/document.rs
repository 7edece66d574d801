//! A configuration file: read, with the line of each key, and with all its problems at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, Problem};

/// Mistakes that still are another key's name.
const NEAR: usize = 3;

/// The places of keys in a file.
#[derive(Debug, Default)]
pub(super) struct Document {
    path: PathBuf,
    /// The line of each key (`limits.connections`), from 1.
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// Reads `text`, the content of the file at `path`. What is wrong is left out of the configuration and told.
    pub(super) fn parse(path: &Path, text: &str) -> (Config, Self, Vec<Problem>) {
        let (mut root, faults) = DeTable::parse_recoverable(text);
        let line = |at: usize| 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count();
        let mut document = Self { path: path.to_owned(), lines: BTreeMap::new() };
        document.number("", root.get_ref(), &line);
        let problem = |error: &toml::de::Error, key: Option<String>| Problem {
            place: Some((path.to_owned(), error.span().map(|span| line(span.start)))),
            key,
            text: explain(error.message()),
        };
        if !faults.is_empty() {
            return (Config::default(), document, faults.iter().map(|fault| problem(fault, None)).collect());
        }
        let mut problems = Vec::new();
        // serde stops at the first thing it cannot take: that is left out, and the rest tried again.
        let config = loop {
            match Config::deserialize(toml::Deserializer::from(root.clone())) {
                Ok(config) => break config,
                Err(error) => {
                    let removed = error.span().and_then(|span| remove_at(root.get_mut(), span.start));
                    let stuck = removed.is_none();
                    problems.push(problem(&error, removed));
                    if stuck {
                        break Config::default();
                    }
                }
            }
        };
        (config, document, problems)
    }

    /// The file, if there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        Some(&*self.path).filter(|path| !path.as_os_str().is_empty())
    }

    /// A problem with what `key` says, or does not say.
    pub(super) fn problem(&self, key: &str, text: impl Into<String>) -> Problem {
        let place = self.lines.get(key).map(|line| (self.path.clone(), Some(*line)));
        Problem { place, key: Some(key.to_owned()), text: text.into() }
    }

    /// A problem whose text says where it is.
    pub(super) fn fault(&self, text: String) -> Problem {
        let place = self.path().map(|path| (path.to_owned(), None));
        Problem { place, key: None, text }
    }

    fn number(&mut self, prefix: &str, table: &DeTable<'_>, line: &impl Fn(usize) -> usize) {
        for (key, value) in table {
            let name = join(prefix, key.get_ref());
            if let DeValue::Table(table) = value.get_ref() {
                self.number(&name, table, line);
            }
            self.lines.insert(name, line(key.span().start));
        }
    }
}

/// Takes out the innermost entry whose key or value has the byte `at`; returns its key.
fn remove_at(table: &mut DeTable<'_>, at: usize) -> Option<String> {
    let key = table.iter().find_map(|(key, value)| {
        let covers = key.span().contains(&at) || value.span().contains(&at) || inside(value, at);
        covers.then(|| key.get_ref().clone())
    })?;
    let entry = table.iter_mut().find(|(found, _)| *found.get_ref() == key);
    if let Some((found, value)) = entry
        && !found.span().contains(&at)
        && let DeValue::Table(inner) = value.get_mut()
        && let Some(removed) = remove_at(inner, at)
    {
        return Some(join(&key, &removed));
    }
    table.remove(key.as_ref());
    Some(key.into_owned())
}

/// The span of a `[table]` or `[[table]]` is its header's: its keys come after it.
fn inside(value: &Spanned<DeValue<'_>>, at: usize) -> bool {
    match value.get_ref() {
        DeValue::Table(table) => table
            .iter()
            .any(|(key, value)| key.span().contains(&at) || value.span().contains(&at) || inside(value, at)),
        DeValue::Array(values) => values.iter().any(|value| value.span().contains(&at) || inside(value, at)),
        _ => false,
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Explains what serde says of a name that it does not know, and which one was perhaps meant.
fn explain(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let Some((&unknown, known)) = names.split_first().filter(|_| message.starts_with("unknown ")) else {
        return message.to_owned();
    };
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(unknown, name), name)).min();
    match near {
        Some((distance, name)) if distance <= NEAR => {
            format!("{message}. Did you mean `{name}`?")
        }
        _ => message.to_owned(),
    }
}
