//! The caller of a request, and its rights.
//!
//! Every verb begins with a [`Caller`], made from the request, and asks it before it does anything. What a caller may
//! do something with comes back as [`Allowed`]: nothing else makes one, so the functions that take one cannot be
//! reached without the question.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use farrow_store::{CommitOptions, FrameName, FrameRef, Prefix, Scope, StoreError};
use tonic::metadata::MetadataMap;

use crate::error::AgentError;
use crate::listen::Peer;
use crate::refusals;
use crate::rights::{Right, Rights, Rule, Rules};
use crate::user::User;

/// Bytes of a caller's rights that a refusal shows.
const MAX_TOLD: usize = 512;

/// The properties of whoever sent a request. A caller may be several things at once: a user with a token may do what
/// either may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// True if it came over the unix socket.
    pub(crate) local: bool,
    /// The user of the process on the unix socket.
    pub(crate) user: Option<Arc<UnixUser>>,
    /// The certificate that it showed, over TLS.
    pub(crate) certificate: Option<Arc<CertificateNames>>,
    /// The name of its token.
    pub(crate) token: Option<Arc<str>>,
    /// Its network address, over TCP.
    pub(crate) address: Option<SocketAddr>,
}

/// The user of a process when it connected, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnixUser {
    /// Its user.
    pub(crate) uid: u32,
    /// Its group.
    pub(crate) gid: u32,
    /// Its supplementary groups.
    pub(crate) groups: Vec<u32>,
}

/// The names in a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateNames {
    /// Its common name, then its DNS names and URIs.
    pub(crate) names: Vec<String>,
}

/// A user whose bytes are told apart from others': in its own space it may find what it wrote before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Writer {
    /// The user on the unix socket.
    pub(crate) uid: u32,
    /// The name of its token, which gives other rights.
    pub(crate) token: Option<Arc<str>>,
}

/// The user as which the kernel shows whom it cannot name (overflowuid), and of what is written for clients over TCP:
/// nobody.
pub(crate) const NOBODY: u32 = 65534;

/// The sender of a request, and the rules that held then.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    identity: Identity,
    authorization: Option<Secret>,
    rules: Arc<Rules>,
    verb: &'static str,
}

/// An `authorization` header, which no log shows.
#[derive(Clone)]
struct Secret(Arc<[u8]>);

/// Something that a caller may do what it asked to do with.
#[derive(Debug, Clone)]
pub(crate) struct Allowed<T> {
    what: T,
    user: u32,
}

/// A request that has a frame's name.
pub(crate) trait Named {
    /// The frame's name.
    fn frame_name(&self) -> &FrameName;
}

impl Caller {
    /// The caller of `verb` behind a connection's `peer` and a request's headers.
    ///
    /// # Errors
    /// [`AgentError::BadToken`] for an `authorization` that is none of a known token: who believes to be somebody
    /// shall not be served as nobody.
    pub(crate) fn of(
        peer: Option<&Peer>,
        headers: &MetadataMap,
        rights: &Rights,
        verb: &'static str,
    ) -> Result<Self, AgentError> {
        let identity = peer.map(Peer::identity).unwrap_or_default();
        let token = headers.get("authorization").map(|header| header.as_bytes().into());
        Self::with(identity, token, rights, verb)
    }

    /// The same caller under the rules as they are now: for a stream of many requests, each of which asks anew.
    ///
    /// # Errors
    /// [`AgentError::BadToken`] if its token is not known any more.
    pub(crate) fn renewed(&self, rights: &Rights, verb: &'static str) -> Result<Self, AgentError> {
        let identity = Identity { token: None, ..self.identity.clone() };
        Self::with(identity, self.authorization.clone(), rights, verb)
    }

    fn with(
        mut identity: Identity,
        authorization: Option<Secret>,
        rights: &Rights,
        verb: &'static str,
    ) -> Result<Self, AgentError> {
        let rules = rights.rules();
        if let Some(Secret(header)) = &authorization {
            identity.token = bearer_token(header).and_then(|token| rules.bearer(token));
        }
        let unknown = authorization.is_some() && identity.token.is_none();
        let caller = Self { identity, authorization, rules, verb };
        if unknown {
            refusals::report(
                || tracing::info!(%caller, verb, "refused: a token that this agent does not know"),
            );
            return Err(AgentError::BadToken { caller: caller.to_string() });
        }
        Ok(caller)
    }

    /// `named`, if the caller may do this with it. Whether there is such a frame makes no difference: who may not know
    /// of it learns nothing.
    pub(crate) fn allow<T: Named>(&self, right: Right, named: T) -> Result<Allowed<T>, AgentError> {
        let name = named.frame_name();
        if !self.prefixes(right).any(|prefix| prefix.covers(name)) {
            return Err(self.refused(right, name.as_str(), format!("{:?}", name.as_str())));
        }
        tracing::debug!(caller = %self, verb = self.verb, %name, "allowed");
        Ok(self.allowed(named))
    }

    /// Checks that the caller may publish with these options what it may publish. A retention drops versions.
    pub(crate) fn allow_commit(&self, name: &FrameName, options: CommitOptions) -> Result<(), AgentError> {
        match options.keep {
            Some(_) => self.allow(Right::Drop, name.clone()).map(drop),
            None => Ok(()),
        }
    }

    /// `wanted`, if the caller may do this with every frame of it.
    pub(crate) fn allow_all(&self, right: Right, wanted: Prefix) -> Result<Allowed<Prefix>, AgentError> {
        if !self.prefixes(right).any(|prefix| prefix.covers_all(&wanted)) {
            return Err(self.refused(right, &wanted.to_string(), wanted.in_words()));
        }
        tracing::debug!(caller = %self, verb = self.verb, prefix = %wanted, "allowed");
        Ok(self.allowed(wanted))
    }

    /// Checks whether the caller may do this with any frame at all.
    pub(crate) fn allow_any(&self, right: Right) -> Result<Allowed<()>, AgentError> {
        match self.prefixes(right).next() {
            Some(_) => Ok(self.allowed(())),
            None => Err(self.refused(right, "", "anything".to_owned())),
        }
    }

    /// Checks whether the caller may be given a descriptor of the medium or of a pool file. All frames' bytes can be
    /// read through it, so it takes the right to read all of them.
    pub(crate) fn may_map(&self) -> Result<Allowed<()>, AgentError> {
        self.allow_all(Right::Read, Prefix::all()).map(|_| self.allowed(()))
    }

    /// True if the caller may do this with that frame; what it may not is left out without a word.
    pub(crate) fn may(&self, right: Right, name: &FrameName) -> bool {
        self.prefixes(right).any(|prefix| prefix.covers(name))
    }

    /// Returns which of the frames of `wanted` the caller may do this with.
    pub(crate) fn scopes(&self, right: Right, wanted: &Prefix) -> Vec<Scope> {
        Prefix::scopes_in(self.prefixes(right), wanted)
    }

    /// An error as the caller may see it: without names of frames that it may not read.
    pub(crate) fn censored(&self, error: AgentError) -> AgentError {
        match error {
            AgentError::Store(StoreError::FrameNotFound { name, mut near }) => {
                near.retain(|name| self.may(Right::Read, name));
                AgentError::Store(StoreError::FrameNotFound { name, near })
            }
            AgentError::OtherSchema { name, version, .. } if !self.may(Right::Read, &name) => {
                AgentError::OtherSchema { name, version, difference: String::new(), advice: None }
            }
            error => error,
        }
    }

    /// The user on the unix socket, if the caller is one.
    pub(crate) fn uid(&self) -> Option<u32> {
        self.identity.user.as_ref().map(|user| user.uid)
    }

    /// The caller as a writer. Over TCP, and where the kernel does not say, no two callers are the same one.
    pub(crate) fn writer(&self) -> Option<Writer> {
        let uid = self.uid().filter(|uid| *uid != NOBODY)?;
        Some(Writer { uid, token: self.identity.token.clone() })
    }

    fn allowed<T>(&self, what: T) -> Allowed<T> {
        Allowed { what, user: self.uid().unwrap_or(NOBODY) }
    }

    /// For whom limits count what it takes.
    pub(crate) fn user(&self) -> User {
        let Identity { user, certificate, token, .. } = &self.identity;
        match (user, token, certificate.as_ref().and_then(|certificate| certificate.names.first())) {
            (Some(user), ..) => User::Unix(user.uid),
            (None, Some(token), _) => User::Token(token.clone()),
            (None, None, Some(name)) => User::Certificate(name.as_str().into()),
            (None, None, None) => User::Anonymous,
        }
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.of(&self.identity)
    }

    fn prefixes(&self, right: Right) -> impl Iterator<Item = &Prefix> {
        self.rules().filter(move |rule| rule.may.contains(&right)).flat_map(|rule| &rule.names)
    }

    fn refused(&self, right: Right, name: &str, what: String) -> AgentError {
        refusals::report(|| tracing::info!(caller = %self, verb = self.verb, name, %right, "refused"));
        AgentError::Denied { caller: self.to_string(), right, what, has: self.describe_rights() }
    }

    /// Returns what the caller may do, in words: `it may read "hr/", and nothing else`.
    fn describe_rights(&self) -> String {
        let mut told = String::new();
        for rule in self.rules() {
            let may: Vec<&str> = rule.may.iter().map(|right| right.as_str()).collect();
            let names: Vec<String> = rule.names.iter().map(quoted).collect();
            let part = format!("{} {}", may.join(", "), names.join(", "));
            // It travels in a header, of which clients take a few KiB.
            if told.len() + part.len() > MAX_TOLD {
                return format!("it may {told} …");
            }
            told += if told.is_empty() { "" } else { "; " };
            told += &part;
        }
        if told.is_empty() {
            "no rule names it".to_owned()
        } else {
            format!("it may {told}, and nothing else")
        }
    }
}

/// A rule's prefix as messages show it.
fn quoted(prefix: &Prefix) -> String {
    if *prefix == Prefix::all() { "every frame".to_owned() } else { format!("{:?}", prefix.to_string()) }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { local, user, certificate, token, address } = &self.identity;
        match user {
            Some(user) => match self.rules.user_name(user.uid) {
                Some(name) => write!(f, "user {name} (uid {})", user.uid)?,
                None => write!(f, "user {}", user.uid)?,
            },
            None if *local => f.write_str("a process that the kernel does not name")?,
            None => match certificate {
                Some(certificate) => {
                    let name = certificate.names.first().map_or("without a name", String::as_str);
                    write!(f, "certificate {name:?}")?;
                }
                None if token.is_some() => {}
                // It is refused for its token, and the refusal says so.
                None if self.authorization.is_some() => f.write_str("a caller")?,
                None => f.write_str("a caller without token or certificate")?,
            },
        }
        if let Some(token) = token {
            let and = if user.is_some() || *local || certificate.is_some() { " with " } else { "" };
            write!(f, "{and}token {token}")?;
        }
        if let Some(address) = address {
            write!(f, " from {address}")?;
        }
        Ok(())
    }
}

impl From<&[u8]> for Secret {
    fn from(header: &[u8]) -> Self {
        Self(header.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<T> Allowed<T> {
    /// Returns what was allowed.
    pub(crate) fn into_inner(self) -> T {
        self.what
    }

    /// The user whose processes hold what is held for it; [`NOBODY`] for a caller that is none.
    pub(crate) fn user(&self) -> u32 {
        self.user
    }
}

impl<T> Deref for Allowed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.what
    }
}

impl Named for FrameName {
    fn frame_name(&self) -> &FrameName {
        self
    }
}

impl Named for FrameRef {
    fn frame_name(&self) -> &FrameName {
        &self.name
    }
}

/// The token of an `authorization` header (RFC 6750): the scheme in any case, one space or more.
fn bearer_token(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests;
