//! Names of frames, for a shell that completes a word.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::sync::mpsc::channel;
use std::time::Duration;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use farrow_client::Address;
use farrow_client::blocking::Client;

/// By which a shell's script asks for completions; its value is the shell.
pub(crate) const VARIABLE: &str = "FARROW_COMPLETE";

/// The time to wait for the agent while somebody presses a key.
const PATIENCE: Duration = Duration::from_secs(1);

/// Completes the name of a frame.
pub(crate) fn frames() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| complete(word))
}

/// Completes a prefix.
pub(crate) fn prefixes() -> ArgValueCompleter {
    frames()
}

/// Names that begin with the word, up to their next `/`.
fn complete(word: &OsStr) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else { return Vec::new() };
    let names = ask(address(std::env::args_os()), format!("{word}*")).unwrap_or_default();
    next_components(word, &names).into_iter().map(CompletionCandidate::new).collect()
}

/// Asks the agent, in a thread of its own: one that does not answer does not hold up the shell.
fn ask(address: Option<String>, prefix: String) -> Option<Vec<String>> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let list = || Client::connect(Address::find(address.as_deref())?)?.list(&prefix);
        // Nobody waits for it any more, perhaps.
        let _ = tell.send(list());
    });
    let frames = told.recv_timeout(PATIENCE).ok()?.ok()?;
    Some(frames.into_iter().map(|frame| frame.name).collect())
}

/// Returns what `--address` says in the line that is completed, if anything.
fn address(words: impl Iterator<Item = OsString>) -> Option<String> {
    let mut words = words.filter_map(|word| word.into_string().ok());
    let mut found = None;
    while let Some(word) = words.next() {
        match word.strip_prefix("--address") {
            Some("") => found = words.next(),
            Some(value) if value.starts_with('=') => found = Some(value[1..].to_owned()),
            _ => {}
        }
    }
    found
}

/// The names up to the end of their next component, each once.
fn next_components(word: &str, names: &[String]) -> BTreeSet<String> {
    let next = names.iter().filter_map(|name| {
        let rest = name.strip_prefix(word)?;
        let end = rest.find('/').map_or(name.len(), |slash| word.len() + slash + 1);
        name.get(..end).map(str::to_owned)
    });
    next.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_completed_by_components() {
        let names = ["a", "sales/2024/a", "sales/2024/b", "sales/all", "salt"].map(str::to_owned);
        let next = |word| next_components(word, &names).into_iter().collect::<Vec<_>>();
        assert_eq!(next(""), ["a", "sales/", "salt"]);
        assert_eq!(next("sal"), ["sales/", "salt"]);
        assert_eq!(next("sales/"), ["sales/2024/", "sales/all"]);
        assert_eq!(next("sales/2024/"), ["sales/2024/a", "sales/2024/b"]);
        assert!(next("x").is_empty());
    }

    #[test]
    fn the_agent_is_the_one_that_the_line_names() {
        let named = |line: &str| address(line.split(' ').map(OsString::from));
        assert_eq!(named("farrow -- farrow get --address /a sal").as_deref(), Some("/a"));
        assert_eq!(named("farrow -- farrow --address=b:1 get sal").as_deref(), Some("b:1"));
        assert_eq!(named("farrow -- farrow get sal"), None);
        assert_eq!(named("farrow -- farrow get --address"), None);
    }
}
