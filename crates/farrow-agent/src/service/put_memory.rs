//! The memory of DoPuts, which users share: bytes of messages from before they are read until their rows are in
//! the region.
//!
//! A put that waits for memory has none, but for the dictionaries that its stream goes on to use: what it gathered is
//! written first. So those that have memory can go on, and give it back.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::put_buffers::{Buffer, Buffers, UnderWay, charge, room};
use crate::error::AgentError;
use crate::places::{Place, Places};
use crate::region::HEAP_PER_METADATA;
use crate::shares::Share;
use crate::user::User;

/// Bytes that are taken at once, from which the next messages get theirs: a put that has to write what it gathered
/// gathers as much before it has to do so again.
const CREDIT: u64 = 8 << 20;

/// The interval at which one that waits for memory looks whether another can give way.
const LOOK: Duration = Duration::from_secs(1);

/// The memory of one put.
pub(super) struct PutMemory {
    user: User,
    buffers: Arc<Buffers>,
    places: Arc<Places>,
    /// Taken, and not used yet.
    credit: Option<Share>,
    _under_way: UnderWay,
}

impl PutMemory {
    pub(super) fn new(user: User, buffers: Arc<Buffers>, places: Arc<Places>) -> Self {
        let under_way = buffers.enter();
        Self { user, buffers, places, credit: None, _under_way: under_way }
    }

    /// Memory for a message of `len` bytes, if there is some now.
    pub(super) fn try_take(&mut self, len: usize) -> Option<Share> {
        let bytes = charge(len);
        match &self.credit {
            Some(credit) if credit.amount() >= bytes => {}
            _ => {
                self.credit = None;
                self.credit = Some(self.buffers.shares().try_take(&self.user, bytes.max(CREDIT))?);
                self.buffers.make_room();
            }
        }
        self.credit.as_mut().map(|credit| credit.split(bytes))
    }

    /// The same once there is some, for a put that has nothing but `kept` bytes of dictionaries. One that has some gives
    /// way after a while, as one does whose client sends nothing: two could wait for each other.
    pub(super) async fn take(&mut self, len: usize, kept: u64, place: &Place) -> Result<Share, AgentError> {
        let bytes = charge(len);
        self.credit = None;
        if kept > 0 {
            place.idle();
        }
        let mut taken = pin!(self.buffers.shares().take(&self.user, bytes.max(CREDIT)));
        let mut credit = loop {
            tokio::select! {
                credit = &mut taken => break credit,
                () = place.ousted() => return Err(AgentError::GaveWay),
                () = tokio::time::sleep(LOOK) => {}
            }
            // Where others have everything, one of theirs gives way.
            if !self.places.oust_of(&self.user)
                && let Some(largest) = self.buffers.shares().largest()
            {
                self.places.oust_of(&largest);
            }
        };
        self.buffers.make_room();
        let share = credit.split(bytes);
        self.credit = Some(credit);
        Ok(share)
    }

    /// Room for a message of `len` bytes, which has a share.
    pub(super) fn buffer(&self, len: usize) -> Buffer {
        self.buffers.buffer(len)
    }

    /// Takes back what is too much of the share of a message of `len` bytes, whose metadata were not known before; how
    /// much it lacks.
    pub(super) fn settle(&mut self, share: &mut Share, len: usize, metadata_len: usize) -> u64 {
        let needs = room(len) as u64 + HEAP_PER_METADATA * metadata_len as u64;
        let excess = share.split(share.amount().saturating_sub(needs));
        match &mut self.credit {
            Some(credit) => credit.merge(excess),
            none => *none = Some(excess),
        }
        needs - share.amount()
    }
}

#[cfg(test)]
mod tests;
