//! Rights to frames: the rules of the configuration, and the tokens that name callers.
//!
//! A caller may do something with a frame if one rule names the caller, has a prefix of the frame's name, and lists the
//! right. Rules only ever add: there is none that forbids. `SECURITY.md` says how to use them.

mod tokens;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use farrow_store::Prefix;
use nix::unistd::{Gid, Group, Uid, User};
use serde::Deserialize;

use crate::caller::Identity;

pub use tokens::TokenEntry;
pub(crate) use tokens::Tokens;

/// One `[[rights]]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RightsEntry {
    /// Callers: `user:NAME-OR-UID`, `group:NAME-OR-GID`, `token:NAME`, `certificate:NAME`, `local` (whoever is on the
    /// unix socket) or `anyone`.
    #[serde(default)]
    pub who: Vec<String>,
    /// Prefixes of frame names, of whole path components: `sales/`, `hr/payroll`; `""` is every frame.
    #[serde(default)]
    pub names: Vec<String>,
    /// `read`, `publish`, `drop`, `admin`.
    #[serde(default)]
    pub may: Vec<String>,
}

/// A right that a rule gives to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Get, list, stat, verify, watch.
    Read,
    /// Put, append, reserve and commit, and say how many versions a frame keeps.
    Publish,
    /// Drop versions and frames, also by prefix or age.
    Drop,
    /// Grow the region (on every name), see the leases of others.
    Admin,
}

/// The rules and tokens in force; replaced whole when the configuration is read again.
#[derive(Debug)]
pub(crate) struct Rights(RwLock<Arc<Rules>>);

/// Rules and tokens, checked.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    tokens: Tokens,
    /// Names of the users that rules name.
    users: BTreeMap<u32, String>,
}

/// One rule, its users and groups resolved.
#[derive(Debug)]
pub(crate) struct Rule {
    who: Vec<Who>,
    pub(crate) names: Vec<Prefix>,
    pub(crate) may: Vec<Right>,
}

#[derive(Debug, PartialEq, Eq)]
enum Who {
    User(u32),
    Group(u32),
    Token(String),
    Certificate(String),
    Local,
    /// Over TCP, without token and certificate. Only the default rules say so.
    Nobody,
    Anyone,
}

impl Rights {
    /// With these rules.
    pub(crate) fn new(rules: Rules) -> Self {
        Self(RwLock::new(Arc::new(rules)))
    }

    /// The rules now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These rules hold for every request from now on, also over connections that are open.
    pub(crate) fn replace(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

impl Rules {
    /// Checks the configuration's rules and reads its tokens. Without a rule, the default ones hold (see
    /// `SECURITY.md`).
    ///
    /// # Errors
    /// Everything that is wrong, one text each.
    pub(crate) fn load(rights: &[RightsEntry], tokens: &[TokenEntry]) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let tokens = Tokens::load(tokens, &mut problems);
        let mut loaded = Self { rules: Vec::new(), tokens, users: BTreeMap::new() };
        if rights.is_empty() {
            loaded.rules = default_rules();
        }
        for (number, entry) in (1..).zip(rights) {
            let mut problem = |text: String| problems.push(format!("[[rights]] number {number}: {text}"));
            let rule = loaded.rule(entry, &mut problem);
            loaded.rules.push(rule);
        }
        if problems.is_empty() { Ok(loaded) } else { Err(problems) }
    }

    /// The name of a token's bearer.
    pub(crate) fn bearer(&self, token: &[u8]) -> Option<Arc<str>> {
        self.tokens.name_of(token)
    }

    /// The rules that name a caller.
    pub(crate) fn of<'a>(&'a self, caller: &'a Identity) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(|rule| rule.who.iter().any(|who| who.is(caller)))
    }

    /// The name of a user, if a rule has it.
    pub(crate) fn user_name(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(String::as_str)
    }

    fn rule(&mut self, entry: &RightsEntry, problem: &mut impl FnMut(String)) -> Rule {
        for (what, list) in [("who", &entry.who), ("names", &entry.names), ("may", &entry.may)] {
            if list.is_empty() {
                problem(format!("`{what}` is empty or missing: the rule would never apply"));
            }
        }
        let who = entry.who.iter().map(|text| self.who(text));
        let who = each(who.collect(), problem);
        let names = each(entry.names.iter().map(|text| prefix(text)).collect(), problem);
        let may = each(entry.may.iter().map(|text| Right::parse(text)).collect(), problem);
        Rule { who, names, may }
    }

    fn who(&mut self, text: &str) -> Result<Who, String> {
        let unknown = |what: &str, name: &str| format!("{text:?}: this host knows no {what} {name:?}");
        let failed = |error: nix::Error| format!("{text:?}: it cannot be looked up: {error}");
        match text.split_once(':') {
            Some(("user", name)) => {
                let found = match name.parse() {
                    Ok(uid) => User::from_uid(Uid::from_raw(uid)).map_err(failed)?.ok_or(uid),
                    Err(_) => {
                        Ok(User::from_name(name).map_err(failed)?.ok_or_else(|| unknown("user", name))?)
                    }
                };
                match found {
                    Ok(user) => {
                        self.users.insert(user.uid.as_raw(), user.name);
                        Ok(Who::User(user.uid.as_raw()))
                    }
                    // A container's user, say: a number is enough.
                    Err(uid) => Ok(Who::User(uid)),
                }
            }
            Some(("group", name)) => match name.parse() {
                Ok(gid) => Ok(Who::Group(Gid::from_raw(gid).as_raw())),
                Err(_) => {
                    let group = Group::from_name(name).map_err(failed)?;
                    group.map(|group| Who::Group(group.gid.as_raw())).ok_or_else(|| unknown("group", name))
                }
            },
            Some(("token", name)) if self.tokens.has(name) => Ok(Who::Token(name.to_owned())),
            Some(("token", name)) => {
                Err(format!("{text:?}: no [[tokens]] has a token with the name {name:?}"))
            }
            Some(("certificate", name)) if !name.is_empty() => Ok(Who::Certificate(name.to_owned())),
            None if text == "local" => Ok(Who::Local),
            None if text == "anyone" => Ok(Who::Anyone),
            _ => Err(format!(
                "who {text:?}: expected user:NAME, group:NAME, token:NAME, certificate:NAME, local or anyone"
            )),
        }
    }
}

impl Right {
    const ALL: [Self; 4] = [Self::Read, Self::Publish, Self::Drop, Self::Admin];

    fn parse(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|right| right.as_str() == text);
        found.ok_or_else(|| format!("may {text:?}: expected read, publish, drop or admin"))
    }

    /// The word in a rule.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Drop => "drop",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Who {
    fn is(&self, caller: &Identity) -> bool {
        let has = |names: &[String], name: &str| names.iter().any(|found| found == name);
        match self {
            Self::User(uid) => caller.user.as_ref().is_some_and(|user| user.uid == *uid),
            Self::Group(gid) => {
                caller.user.as_ref().is_some_and(|user| user.gid == *gid || user.groups.contains(gid))
            }
            Self::Token(name) => caller.token.as_deref() == Some(name),
            Self::Certificate(name) => {
                caller.certificate.as_ref().is_some_and(|certificate| has(&certificate.names, name))
            }
            Self::Local => caller.local,
            Self::Nobody => !caller.local && caller.token.is_none() && caller.certificate.is_none(),
            Self::Anyone => true,
        }
    }
}

/// Returns what holds when the configuration has no `[[rights]]`.
fn default_rules() -> Vec<Rule> {
    let own = rustix::process::geteuid().as_raw();
    let rule = |who: Vec<Who>, may: &[Right]| Rule { who, names: vec![Prefix::all()], may: may.to_vec() };
    vec![
        rule(vec![Who::Local], &[Right::Read, Right::Publish, Right::Drop]),
        rule(vec![Who::User(own), Who::User(0)], &[Right::Admin]),
        rule(vec![Who::Nobody], &[Right::Read]),
    ]
}

/// Names that begin with whole components. A pattern, which would be the one frame of that very name, is refused.
fn prefix(text: &str) -> Result<Prefix, String> {
    let Some((before, _)) = text.split_once('*') else {
        return Prefix::parse(text).map_err(|error| error.to_string());
    };
    let above = before.rfind('/').map_or("", |at| &before[..=at]);
    let means =
        if above.is_empty() { "every frame".to_owned() } else { format!("every frame below {above:?}") };
    Err(format!(
        "names {text:?}: a rule has no patterns, but whole components that names begin with. Try: {above:?}, which is {means}"
    ))
}

/// Returns what could be read; of the rest, what is wrong.
fn each<T>(results: Vec<Result<T, String>>, problem: &mut impl FnMut(String)) -> Vec<T> {
    let mut read = Vec::new();
    for result in results {
        match result {
            Ok(value) => read.push(value),
            Err(text) => problem(text),
        }
    }
    read
}

#[cfg(test)]
mod tests;
