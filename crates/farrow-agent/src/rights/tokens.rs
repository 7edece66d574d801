//! Tokens: secrets that name their bearer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use farrow_region::trust::{Guard, read_file};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bytes of the shortest token that is taken from a file.
const MIN_TOKEN: usize = 16;

/// Bytes of a file that holds a token; longer ones are something else.
const MAX_FILE: u64 = 4096;

/// One `[[tokens]]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenEntry {
    /// The name of its bearer in rules: `token:NAME`.
    #[serde(default)]
    pub name: String,
    /// The file that holds the token, on one line. Others than its owner and group must not be able to read it.
    pub file: Option<PathBuf>,
    /// Instead of a file: the SHA-256 of the token in hexadecimal digits.
    pub sha256: Option<String>,
}

/// The tokens that are taken. Only their hashes are kept.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<Token>);

struct Token {
    name: Arc<str>,
    sha256: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the tokens; what is wrong with them is added to `problems`.
    pub(crate) fn load(entries: &[TokenEntry], problems: &mut Vec<String>) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            let place = format!("[[tokens]] number {number} ({:?})", entry.name);
            if entry.name.is_empty() {
                problems.push(format!("{place}: no name: rules need one (token:NAME)"));
            }
            let sha256 = match (&entry.file, &entry.sha256) {
                (Some(file), None) => from_file(file),
                (None, Some(digits)) => from_hex(digits),
                (Some(_), Some(_)) => Err("has a file and a sha256: give one of the two".to_owned()),
                (None, None) => Err("has neither file nor sha256: give one of the two".to_owned()),
            };
            let sha256 = match sha256 {
                Ok(sha256) => sha256,
                Err(problem) => {
                    problems.push(format!("{place}: {problem}"));
                    continue;
                }
            };
            if let Some(other) = tokens.iter().find(|other| *other.name == *entry.name) {
                problems.push(format!("{place}: another token is named {:?} too", other.name));
            } else if let Some(other) = tokens.iter().find(|other| other.sha256 == sha256) {
                problems.push(format!("{place}: it is the same token as {:?}", other.name));
            } else {
                tokens.push(Token { name: entry.name.as_str().into(), sha256 });
            }
        }
        Self(tokens)
    }

    /// True if there is a token of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|token| *token.name == *name)
    }

    /// The name of a token. How long this takes tells nothing of how near a wrong one is.
    pub(crate) fn name_of(&self, token: &[u8]) -> Option<Arc<str>> {
        let sha256 = hash(token);
        let mut found = None;
        for known in &self.0 {
            if bool::from(known.sha256.ct_eq(&sha256)) {
                found = Some(known.name.clone());
            }
        }
        found
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn from_file(path: &Path) -> Result<[u8; 32], String> {
    let text = read_file(path, MAX_FILE, Guard::Secret).map_err(|problem| problem.to_string())?;
    let token = text.trim_ascii();
    let wrong = |what: String| {
        let place = path.display();
        format!(
            "{place}: {what}: a token is one word of at least {MIN_TOKEN} ASCII characters. Try: `openssl rand -hex 32`"
        )
    };
    if let Some(odd) = token.iter().position(|byte| !byte.is_ascii_graphic()) {
        let what = match token[odd] {
            b' ' | b'\t' => "a space",
            b'\n' | b'\r' => "the end of a line",
            _ => "no printable ASCII character",
        };
        return Err(wrong(format!("byte {} of {} is {what}", odd + 1, token.len())));
    }
    if token.len() < MIN_TOKEN {
        return Err(wrong(format!("{} bytes", token.len())));
    }
    Ok(hash(token))
}

fn from_hex(digits: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("sha256 {digits:?}: expected 64 hexadecimal digits, as sha256sum prints them");
    let mut sha256 = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    for (index, byte) in sha256.iter_mut().enumerate() {
        let pair = digits.get(2 * index..2 * index + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(sha256)
}
