//! A watch: what is committed under a name or a prefix, told to a session.
//!
//! Nothing is queued for a slow client. A watch remembers how far it has told, and when there is room again it looks at
//! what has changed since: of each frame that is the latest version.

use farrow_proto::v1;
use farrow_proto::v1::event::Event;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::watch::{From, What};
use farrow_store::{Change, FrameName, Prefix, Scope, Version};
use tokio::task::JoinHandle;

use super::Service;
use super::session::Answering;
use crate::caller::Caller;
use crate::error::AgentError;
use crate::places::Place;
use crate::rights::Right;
use crate::status;

/// Changes, or frames of a listing, that are looked up at a time.
const PAGE: usize = 64;

/// A watch that goes on until this is dropped.
pub(super) struct WatchTask(JoinHandle<()>);

impl WatchTask {
    /// Answers the request `seq`, and watches. Returns the last commit before that.
    pub(super) async fn begin(
        service: &Service,
        (seq, place): (u64, Place),
        caller: Caller,
        request: v1::Watch,
        answers: &Answering,
    ) -> Result<(Self, u64), AgentError> {
        let watched = match request.what {
            Some(What::Name(name)) => {
                Watched::Name(caller.allow(Right::Read, FrameName::parse(&name)?)?.into_inner())
            }
            Some(What::Prefix(prefix)) => Watched::Prefix(Prefix::pattern(&prefix)?),
            None => Watched::Prefix(Prefix::all()),
        };
        let commit = service.region.view().seq();
        let watch =
            Watch { service: service.clone(), seq, caller, watched, answers: answers.clone(), _place: place };
        answers.tell(seq, Answer::Watching(v1::Watching { commit })).await;
        Ok((Self(tokio::spawn(watch.run(request.from, commit))), commit))
    }

    /// Ends it; nothing of it is sent any more when this returns.
    pub(super) async fn end(mut self) {
        self.0.abort();
        // It was cancelled, which is no news.
        let _ = (&mut self.0).await;
    }
}

impl Drop for WatchTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Watched {
    Name(FrameName),
    Prefix(Prefix),
}

struct Watch {
    service: Service,
    seq: u64,
    /// As it began; which frames it may read is asked anew with each look.
    caller: Caller,
    watched: Watched,
    answers: Answering,
    _place: Place,
}

/// The reason why a watch ends: an error, or nobody is there to be told (`None`).
type Ended = Option<AgentError>;

impl Watch {
    async fn run(self, from: Option<From>, now: u64) {
        let ended = self.tell_all(from, now).await;
        if let Err(Some(error)) = ended {
            // The store has stopped, which every request is told.
            self.answers.tell(self.seq, Answer::Refusal(status::refusal(&error))).await;
        }
    }

    /// Tells what is there, then what comes.
    async fn tell_all(&self, from: Option<From>, now: u64) -> Result<(), Ended> {
        let mut changed = self.service.changed.subscribe();
        let mut told = match from {
            None => now,
            Some(From::Commit(commit)) => commit.min(now),
            Some(From::Version(least)) => {
                let news = |version: &Version| version.number >= least && version.seq <= now;
                self.tell_listed(news).await?;
                now
            }
        };
        loop {
            told = self.tell_since(told).await?;
            // The sender is the region's, which outlives every session.
            if changed.wait_for(|seq| *seq > told).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Tells what has changed behind `told`; returns up to where it has.
    async fn tell_since(&self, mut told: u64) -> Result<u64, Ended> {
        loop {
            let store = self.service.region.store();
            let caller = self.caller()?;
            let changes = store.view().changed_since(told, |name| self.concerns(&caller, name), PAGE);
            let Some(changes) = changes.map_err(AgentError::from)? else {
                let now = store.view().seq();
                self.tell(0, Event::DropsMissed(v1::DropsMissed {})).await?;
                self.tell_listed(|version| version.seq > told && version.seq <= now).await?;
                told = now;
                continue;
            };
            for change in changes.changes {
                match change {
                    Change::Committed(version) => self.tell_version(&version).await?,
                    Change::Dropped { name, seq, latest } => {
                        let (name, latest) = (name.as_str().to_owned(), latest.unwrap_or(0));
                        self.tell(seq, Event::Dropped(v1::Dropped { name, latest })).await?;
                    }
                }
            }
            if changes.up_to == told || changes.up_to >= store.view().seq() {
                return Ok(changes.up_to);
            }
            told = changes.up_to;
        }
    }

    /// Tells the latest version of each frame, as far as it is news.
    async fn tell_listed(&self, news: impl Fn(&Version) -> bool) -> Result<(), Ended> {
        let (store, caller) = (self.service.region.store(), self.caller()?);
        let prefix = match &self.watched {
            Watched::Name(name) => {
                let latest = store.view().get(name, None).ok();
                let latest = latest.filter(|version| news(version) && self.concerns(&caller, name));
                return match latest {
                    Some(version) => self.tell_version(&version).await,
                    None => Ok(()),
                };
            }
            Watched::Prefix(prefix) => prefix,
        };
        for Scope { start, exact } in prefix.scopes() {
            let mut after: Option<FrameName> = None;
            loop {
                let page = store.view().list(&start, after.as_ref(), if exact { 1 } else { PAGE });
                let Some(last) = page.last() else { break };
                after = Some(last.name.clone());
                for version in
                    page.iter().filter(|version| news(version) && self.concerns(&caller, &version.name))
                {
                    self.tell_version(version).await?;
                }
                if exact {
                    break;
                }
                // Others have work to do as well.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// True if this watch is told of a frame.
    fn concerns(&self, caller: &Caller, name: &FrameName) -> bool {
        let watched = match &self.watched {
            Watched::Name(watched) => name == watched,
            Watched::Prefix(prefix) => prefix.covers(name),
        };
        watched && caller.may(Right::Read, name)
    }

    /// Returns who watches, under the rules as they are now.
    fn caller(&self) -> Result<Caller, AgentError> {
        self.caller.renewed(self.service.access.rights(), "watch")
    }

    async fn tell_version(&self, version: &Version) -> Result<(), Ended> {
        self.tell(version.seq, Event::Committed(self.service.region.frame_info(version))).await
    }

    async fn tell(&self, commit: u64, event: Event) -> Result<(), Ended> {
        let event = v1::Event { commit, event: Some(event) };
        if self.answers.tell(self.seq, Answer::Event(event)).await { Ok(()) } else { Err(None) }
    }
}
