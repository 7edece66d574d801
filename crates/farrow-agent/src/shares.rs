//! Memory or threads that all users share, divided so that none takes all of it.
//!
//! A user may take as long as it has no more than is free: one alone gets a half, the next a half of what is left.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::user::User;

/// Something of which there is so much, in any unit.
pub(crate) struct Shares {
    total: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those who have or want something.
    users: HashMap<User, Account>,
}

#[derive(Default)]
struct Account {
    taken: u64,
    /// The part of it that was given to one that asked for it: it may have come to be larger than that.
    given: u64,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    amount: u64,
    granted: oneshot::Sender<Share>,
}

/// A user's part of a share; it goes back when this is dropped.
pub(crate) struct Share {
    shares: Arc<Shares>,
    user: User,
    amount: u64,
}

impl Shares {
    /// So much of it.
    pub(crate) fn new(total: u64) -> Arc<Self> {
        Arc::new(Self { total: AtomicU64::new(total), state: Mutex::default() })
    }

    /// From now on there is so much of it. If that is less, nobody loses what it has; those who wait are served when
    /// something goes back.
    pub(crate) fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// As much for `user`, once there is as much for it: those of one user are served in the order in which they came.
    pub(crate) async fn take(self: &Arc<Self>, user: &User, amount: u64) -> Share {
        self.wait(user, amount, VecDeque::push_back).await
    }

    /// The same before those of `user`'s who wait already: where many who never give it back may have come first.
    pub(crate) async fn take_before(self: &Arc<Self>, user: &User, amount: u64) -> Share {
        self.wait(user, amount, VecDeque::push_front).await
    }

    /// As much for `user`, if there is as much for it now, and nobody of its own waits.
    pub(crate) fn try_take(self: &Arc<Self>, user: &User, amount: u64) -> Option<Share> {
        self.take_now(&mut self.state(), user, amount)
    }

    async fn wait(
        self: &Arc<Self>,
        user: &User,
        amount: u64,
        queue: impl FnOnce(&mut VecDeque<Waiting>, Waiting),
    ) -> Share {
        let granted = {
            let mut state = self.state();
            if let Some(share) = self.take_now(&mut state, user, amount) {
                return share;
            }
            let (grant, granted) = oneshot::channel();
            let account = state.users.entry(user.clone()).or_default();
            queue(&mut account.waiting, Waiting { amount, granted: grant });
            granted
        };
        match granted.await {
            Ok(share) => share,
            // The sender is in a queue of what `self` keeps alive.
            Err(_) => std::future::pending().await,
        }
    }

    fn take_now(self: &Arc<Self>, state: &mut State, user: &User, amount: u64) -> Option<Share> {
        if let Some(account) = state.users.get_mut(user) {
            account.waiting.retain(|waiting| !waiting.granted.is_closed());
            if !account.waiting.is_empty() {
                return None;
            }
        }
        self.grant(state, user, amount)
    }

    /// Returns how much `user` has.
    pub(crate) fn has(&self, user: &User) -> u64 {
        self.state().of(user)
    }

    /// True if `user` has less than a quarter of what it may have.
    pub(crate) fn is_ample(&self, user: &User) -> bool {
        let state = self.state();
        state.of(user) < self.free(&state) / 4
    }

    /// True if `user` has more than one user may have: what it was given came to be larger than it had asked for.
    pub(crate) fn is_overdrawn(&self, user: &User) -> bool {
        self.state().of(user) > self.most()
    }

    /// Returns how much all users have.
    pub(crate) fn taken(&self) -> u64 {
        self.state().users.values().map(|account| account.taken).sum()
    }

    /// The user that has most.
    pub(crate) fn largest(&self) -> Option<User> {
        let state = self.state();
        state.users.iter().max_by_key(|(_, account)| account.taken).map(|(user, _)| user.clone())
    }

    /// Returns how much there is of it.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// The most that one user may have.
    fn most(&self) -> u64 {
        self.total() / 2
    }

    /// Returns the amount that nobody has. One that is overdrawn takes nothing from others, but for what it was given.
    fn free(&self, state: &State) -> u64 {
        let counts = |account: &Account| account.taken.min(account.given.max(self.most()));
        self.total().saturating_sub(state.users.values().map(counts).sum())
    }

    fn grant(self: &Arc<Self>, state: &mut State, user: &User, amount: u64) -> Option<Share> {
        let (free, has) = (self.free(state), state.of(user));
        // A user that has nothing gets what it asks for, though it were more than all there is.
        let granted = if has == 0 { free > 0 } else { has + amount <= free };
        granted.then(|| {
            let account = state.users.entry(user.clone()).or_default();
            account.taken += amount;
            account.given += if has == 0 { amount.min(self.most()) } else { amount };
            Share { shares: self.clone(), user: user.clone(), amount }
        })
    }

    /// `amount` of `user`'s goes back, and is given to those who wait.
    fn give_back(self: &Arc<Self>, user: &User, amount: u64) {
        let mut unwanted = Vec::new();
        let mut state = self.state();
        if let Some(account) = state.users.get_mut(user) {
            account.taken = account.taken.saturating_sub(amount);
            account.given = account.given.min(account.taken);
        }
        let wanting: Vec<User> = state
            .users
            .iter()
            .filter(|(_, account)| !account.waiting.is_empty())
            .map(|(user, _)| user.clone())
            .collect();
        for user in wanting {
            self.serve(&mut state, &user, &mut unwanted);
        }
        state.users.retain(|_, account| account.taken > 0 || !account.waiting.is_empty());
        drop(state);
        // Each goes back by itself, which takes the lock.
        drop(unwanted);
    }

    /// Gives `user`'s requests what there is for it. Shares that nobody waits for any more end up in `unwanted`.
    fn serve(self: &Arc<Self>, state: &mut State, user: &User, unwanted: &mut Vec<Share>) {
        loop {
            let Some(account) = state.users.get_mut(user) else { return };
            let Some(waiting) = account.waiting.pop_front() else { return };
            if waiting.granted.is_closed() {
                continue;
            }
            match self.grant(state, user, waiting.amount) {
                Some(share) => unwanted.extend(waiting.granted.send(share).err()),
                None => {
                    if let Some(account) = state.users.get_mut(user) {
                        account.waiting.push_front(waiting);
                    }
                    return;
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No invariant spans a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&self, user: &User) -> u64 {
        self.users.get(user).map_or(0, |account| account.taken)
    }
}

impl Share {
    /// Returns how much it is.
    pub(crate) fn amount(&self) -> u64 {
        self.amount
    }

    /// It is as much, after all.
    pub(crate) fn resize(&mut self, amount: u64) {
        if amount <= self.amount {
            drop(self.split(self.amount - amount));
            return;
        }
        let more = amount - self.amount;
        let mut state = self.shares.state();
        state.users.entry(self.user.clone()).or_default().taken += more;
        drop(state);
        self.amount = amount;
    }

    /// True if it is all that its user has.
    pub(crate) fn is_all(&self) -> bool {
        self.taken() == self.amount
    }

    /// Returns how much its user has.
    pub(crate) fn taken(&self) -> u64 {
        self.shares.has(&self.user)
    }

    /// As much more, if there is as much for its user now, and nobody of its own waits.
    pub(crate) fn try_grow(&mut self, amount: u64) -> bool {
        let more = self.shares.try_take(&self.user, amount);
        more.map(|more| self.merge(more)).is_some()
    }

    /// The other one's becomes part of this one: both are of one user.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.amount += std::mem::take(&mut other.amount);
    }

    /// A part of it, or all there is, as a share of its own.
    pub(crate) fn split(&mut self, amount: u64) -> Self {
        let amount = amount.min(self.amount);
        self.amount -= amount;
        Self { shares: self.shares.clone(), user: self.user.clone(), amount }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.shares.give_back(&self.user, self.amount);
        }
    }
}

#[cfg(test)]
mod tests;
