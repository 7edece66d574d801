//! Answers that are made whole: where frames lie, a schema.
//!
//! A large one is made in memory that users share with streams, beside the connections, and gives way like a stream if its
//! client does not take it.

use std::sync::Arc;

use prost::Message;
use tonic::Response;

use super::Service;
use super::grants::Untold;
use super::pace::OnTheWay;
use super::receipts::Receipts;
use crate::error::AgentError;
use crate::shares::Share;
use crate::user::User;

/// Bytes of an answer that counts for nobody: about as many as its request has.
pub(super) const SMALL: u64 = 4 << 10;

/// Bytes of an answer that is made at once, while others wait.
const QUICK: u64 = 64 << 10;

/// An answer, the memory that counts for it until its client has it, and what it grants.
pub(super) struct Made<T> {
    pub(super) answer: T,
    pub(super) share: Option<Share>,
    pub(super) untold: Option<Untold>,
}

impl Service {
    /// Makes an answer for which so many bytes of memory are needed, or fewer.
    pub(super) async fn made<T: Message + 'static>(
        &self,
        user: &User,
        bytes: u64,
        make: impl FnOnce(&Self) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<Made<T>, AgentError> {
        let share = self.memory(user, bytes).await;
        self.made_in(share, user, make).await
    }

    /// Memory for an answer; None for one that is so small that it does not count.
    pub(super) async fn memory(&self, user: &User, bytes: u64) -> Option<Share> {
        if bytes <= SMALL { None } else { Some(self.streams.memory(user, bytes).await) }
    }

    /// The same as [`made`](Self::made), in memory that is there.
    pub(super) async fn made_in<T: Message + 'static>(
        &self,
        share: Option<Share>,
        user: &User,
        make: impl FnOnce(&Self) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<Made<T>, AgentError> {
        let Some(mut share) = share else {
            return Ok(Made { answer: make(self)?, share: None, untold: None });
        };
        let bytes = share.amount();
        let answer = if bytes <= QUICK { make(self)? } else { self.making(user, make).await? };
        // It is in memory twice when it is encoded.
        share.resize(bytes.min(2 * answer.encoded_len() as u64));
        Ok(Made { answer, share: Some(share), untold: None })
    }

    /// Makes an answer about a file of which nothing is known before all of it is read: how many bytes it has, for one.
    pub(super) async fn read_and_made<T: Message + 'static>(
        &self,
        user: &User,
        make: impl FnOnce(&Self) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<Made<T>, AgentError> {
        // So many are made at a time, and wait for memory, and no more.
        let thread = self.readers.take(user, 1).await;
        let answer = self.blocking(make).await?;
        let bytes = 2 * answer.encoded_len() as u64;
        let share = self.memory(user, bytes).await;
        drop(thread);
        Ok(Made { answer, share, untold: None })
    }

    /// Runs what makes an answer in one of a few threads, which users share.
    pub(super) async fn making<T: Send + 'static>(
        &self,
        user: &User,
        make: impl FnOnce(&Self) -> Result<T, AgentError> + Send + 'static,
    ) -> Result<T, AgentError> {
        let thread = self.makers.take(user, 1).await;
        self.blocking(move |service| {
            let _thread = thread;
            make(service)
        })
        .await
    }

    /// The response with an answer. Its client has it once the connection was given all of it.
    pub(super) fn respond<T>(&self, user: &User, made: Made<T>) -> Result<Response<T>, AgentError> {
        let Made { answer, share, untold } = made;
        let mut response = Response::new(answer);
        if let Some(untold) = untold {
            let receipts = Arc::new(Receipts::default());
            receipts.made(untold);
            response.extensions_mut().insert(receipts);
        }
        if let Some(share) = share {
            let (way, taker) = self.on_the_way(user)?;
            way.encodes(share);
            way.waits();
            response.extensions_mut().insert(taker);
            tokio::spawn(self.clone().attend(way));
        }
        Ok(response)
    }

    /// Cuts a response off whose client does not take it.
    pub(super) async fn attend(self, way: Arc<OnTheWay>) {
        let stall = self.limits.borrow().stall;
        tokio::select! {
            () = way.gone() => {}
            error = way.stuck(stall) => {
                self.metrics.stalled.inc();
                way.cut(error);
            }
        }
    }
}
