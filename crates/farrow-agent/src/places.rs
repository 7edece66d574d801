//! Places that peers take one by one: connections, streams. One that does nothing gives way to a newcomer.
//!
//! A user may take places as long as it has no more than are free (as in [`shares`](crate::shares)). Beyond that, the
//! one of its own that has been idle longest gives way; to who has none, one of whoever has most.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;

use crate::user::User;

/// So many places.
pub(crate) struct Places {
    /// The time for which a place is idle before it gives way.
    patience: Duration,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// In the order in which they were taken.
    seats: BTreeMap<u64, Arc<Seat>>,
}

/// A place that was taken; it is free again when this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    seat: Arc<Seat>,
}

struct Seat {
    user: User,
    state: Mutex<State>,
    waker: AtomicWaker,
}

#[derive(Clone, Copy)]
enum State {
    /// The agent has to do something for the peer.
    Busy,
    /// The peer has to do something, since then.
    Idle(Instant),
    /// Somebody else has the place.
    Ousted,
}

/// The number of places, and for whom they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// For everybody.
    pub(crate) total: usize,
    /// Beyond them, for this one: a user with such a reserve may take all that are free.
    pub(crate) reserve: usize,
}

/// No place: a user has as many as it may have, and none of them is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    /// Places that the user has.
    pub(crate) has: usize,
    /// Places that all have.
    pub(crate) taken: usize,
}

impl Places {
    /// Places that give way once they have been idle for `patience`.
    pub(crate) fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self { patience, taken: Mutex::default() })
    }

    /// A place for `user`, and whether another one had to give way to it.
    pub(crate) fn enter(self: &Arc<Self>, user: &User, room: Room) -> Result<(Place, bool), Full> {
        let mut taken = self.taken();
        let (has, open) = (taken.of(user), taken.seats.len());
        let free = room.total.saturating_sub(open);
        let fits = match room.reserve {
            0 => free > has,
            reserve => open < room.total + reserve,
        };
        if !fits {
            // A user that has none, or a reserve, is not kept out by those who have many.
            let largest = (has == 0 || room.reserve > 0).then(|| taken.largest()).flatten();
            let ousted = taken.oust(user, self.patience)
                || largest.is_some_and(|largest| taken.oust(&largest, self.patience));
            if !ousted {
                return Err(Full { has, taken: open });
            }
        }
        let seat = Arc::new(Seat {
            user: user.clone(),
            state: Mutex::new(State::Idle(Instant::now())),
            waker: AtomicWaker::new(),
        });
        let number = taken.next;
        taken.next += 1;
        taken.seats.insert(number, seat.clone());
        Ok((Place { places: self.clone(), number, seat }, !fits))
    }

    /// Has the one of `user`'s give way that has been idle longest, if there is one that has been so for long enough.
    pub(crate) fn oust_of(&self, user: &User) -> bool {
        self.taken().oust(user, self.patience)
    }

    /// Has one give way, of the user with most places that has an idle one.
    pub(crate) fn oust_any(&self) -> bool {
        let mut taken = self.taken();
        taken.by_number().iter().any(|user| taken.oust(user, self.patience))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn of(&self, user: &User) -> usize {
        self.seats.values().filter(|seat| seat.user == *user).count()
    }

    /// The user with most places.
    fn largest(&self) -> Option<User> {
        self.by_number().into_iter().next()
    }

    /// The users, of most places first.
    fn by_number(&self) -> Vec<User> {
        let mut counts: HashMap<&User, usize> = HashMap::new();
        for seat in self.seats.values() {
            *counts.entry(&seat.user).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(_, count)| Reverse(*count));
        counts.into_iter().map(|(user, _)| user.clone()).collect()
    }

    /// Frees the place of `user`'s that has been idle longest, and at least for `patience`.
    fn oust(&mut self, user: &User, patience: Duration) -> bool {
        let idle = self.seats.iter().filter(|(_, seat)| seat.user == *user);
        let idle = idle.filter_map(|(number, seat)| match *seat.state() {
            State::Idle(since) if since.elapsed() >= patience => Some((since, *number)),
            _ => None,
        });
        let Some(seat) = idle.min().and_then(|(_, number)| self.seats.remove(&number)) else { return false };
        *seat.state() = State::Ousted;
        seat.waker.wake();
        true
    }
}

impl Place {
    /// The agent has something to do: the place gives way to nobody.
    pub(crate) fn busy(&self) {
        self.set(State::Busy);
    }

    /// The peer has something to do, and begins to be idle.
    pub(crate) fn idle(&self) {
        self.set(State::Idle(Instant::now()));
    }

    /// Since when the peer has been idle.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        match *self.seat.state() {
            State::Idle(since) => Some(since),
            State::Busy | State::Ousted => None,
        }
    }

    /// Ready once the place has given way to somebody. One task at a time is told.
    pub(crate) fn poll_ousted(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.seat.waker.register(cx.waker());
        match *self.seat.state() {
            State::Ousted => Poll::Ready(()),
            State::Busy | State::Idle(_) => Poll::Pending,
        }
    }

    /// As [`poll_ousted`](Self::poll_ousted).
    pub(crate) async fn ousted(&self) {
        std::future::poll_fn(|cx| self.poll_ousted(cx)).await;
    }

    fn set(&self, to: State) {
        let mut state = self.seat.state();
        if !matches!(*state, State::Ousted) {
            *state = to;
        }
    }
}

impl Seat {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
