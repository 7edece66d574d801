//! Quotas of one user and of one process.

use crate::error::{Result, StoreError};
use crate::frame::Owner;
use crate::state::State;

/// The most that a new reservation may bring its owner to. The default lets everybody have everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes that count for one user: see [`Charge`].
    pub bytes_per_user: Option<u64>,
    /// Reservations of one process.
    pub reservations_per_process: Option<usize>,
}

/// Bytes of extents that count for one user.
///
/// Dropped bytes that are not free yet count for each user by whose processes they are held, and for the user who had
/// published them, unless only others hold them: nobody else can use up what a user may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Of its versions. A segment counts once, for the owner of the oldest version that it is in.
    pub published: u64,
    /// Of its reservations.
    pub reserved: u64,
    /// Of dropped versions of its own that its processes hold, or of which it is not known who does.
    pub dropped: u64,
    /// Of dropped versions of other users that its processes hold.
    pub held: u64,
}

impl Charge {
    /// All of it.
    pub fn total(&self) -> u64 {
        let Self { published, reserved, dropped, held } = *self;
        published.saturating_add(reserved).saturating_add(dropped).saturating_add(held)
    }
}

impl Quota {
    pub(crate) fn check_reservations(&self, state: &State, owner: &Owner) -> Result<()> {
        let Some(limit) = self.reservations_per_process else { return Ok(()) };
        let count = state.reservations().values().filter(|taken| taken.owner == *owner).count();
        if count < limit { Ok(()) } else { Err(StoreError::ManyReservations { pid: owner.pid, limit }) }
    }

    pub(crate) fn check_bytes(&self, uid: u32, charge: Charge, need: u64) -> Result<()> {
        let Some(limit) = self.bytes_per_user else { return Ok(()) };
        let within = charge.total().checked_add(need).is_some_and(|sum| sum <= limit);
        if within { Ok(()) } else { Err(StoreError::Quota { uid, charge, need, limit }) }
    }
}
