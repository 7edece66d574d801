//! How much one user and one process may have.

use crate::error::{Result, StoreError};
use crate::frame::Owner;
use crate::state::State;

/// The most that a new reservation may bring its owner to. The default lets everybody have everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of extents in the versions and reservations of one user.
    pub bytes_per_user: Option<u64>,
    /// Reservations of one process.
    pub reservations_per_process: Option<usize>,
}

impl Quota {
    pub(crate) fn check_reservations(&self, state: &State, owner: &Owner) -> Result<()> {
        let Some(limit) = self.reservations_per_process else { return Ok(()) };
        let count = state.reservations().values().filter(|taken| taken.owner == *owner).count();
        if count < limit { Ok(()) } else { Err(StoreError::ManyReservations { pid: owner.pid, limit }) }
    }

    pub(crate) fn check_bytes(&self, state: &State, owner: &Owner, need: u64) -> Result<()> {
        let Some(limit) = self.bytes_per_user else { return Ok(()) };
        let (uid, used) = (owner.uid, state.owned_by(owner.uid));
        let within = used.checked_add(need).is_some_and(|sum| sum <= limit);
        if within { Ok(()) } else { Err(StoreError::Quota { uid, used, need, limit }) }
    }
}
