//! Grants in answers, from when an answer is made until its connection has taken it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use tonic::Response;

use super::Answers;
use super::grants::Untold;

/// The grants in the answers of one response. They go back with this, but for those that were taken.
#[derive(Default)]
pub(super) struct Receipts(Mutex<Grants>);

#[derive(Default)]
struct Grants {
    /// In messages that the encoder has.
    made: Vec<Untold>,
    /// In bytes that the connection was given. It may still wait for the client to let it send them.
    given: Vec<Untold>,
}

impl Receipts {
    /// The encoder is given a message with this grant.
    pub(super) fn made(&self, untold: Untold) {
        self.grants().made.push(untold);
    }

    /// The connection was given all that was made.
    pub(super) fn given(&self) {
        let mut grants = self.grants();
        let Grants { made, given } = &mut *grants;
        given.append(made);
    }

    /// The connection asks for more, and has taken what it was given.
    pub(super) fn taken(&self) {
        let given = std::mem::take(&mut self.grants().given);
        given.into_iter().for_each(Untold::told);
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A response whose first messages have these grants.
pub(super) fn granting<T: Send + 'static>(
    response: Response<Answers<T>>,
    grants: Vec<Option<Untold>>,
) -> Response<Answers<T>> {
    let receipts = Arc::new(Receipts::default());
    let (metadata, answers, mut extensions) = response.into_parts();
    let (made, mut grants) = (receipts.clone(), grants.into_iter());
    let answers = answers.inspect(move |message| {
        if let (Ok(_), Some(Some(untold))) = (message, grants.next()) {
            made.made(untold);
        }
    });
    extensions.insert(receipts);
    Response::from_parts(metadata, Box::pin(answers), extensions)
}
