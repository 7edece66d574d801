//! Retentions: set, and applied to versions that have become old.

use super::Store;
use crate::catalog::{Body, RetentionSet};
use crate::error::{Result, StoreError};
use crate::frame::Dropped;
use crate::retention::{MAX_RETENTIONS, MAX_RETENTIONS_OF_USER, Retention, RetentionTarget};
use crate::state::{AgedPlace, State};

/// The place that [`Store::drop_aged`] has come to; the default begins with the first frame.
#[derive(Clone, Debug, Default)]
pub struct AgeCursor(AgedPlace);

impl Store {
    /// Sets what frames keep from now on, or with `None` takes that back. Versions that are too many are dropped at once,
    /// and later by each commit that makes them too many, by the same record; those that become too old, by
    /// [`drop_aged`](Self::drop_aged).
    ///
    /// One retention holds for a frame as a whole: its own, or else that of the longest prefix that has one. A frame's own
    /// ends with its last version. One for a name without a frame waits for the frame.
    ///
    /// # Errors
    /// [`StoreError::RetentionWithin`] for a prefix that is not of whole components; [`StoreError::ManyRetentions`],
    /// [`StoreError::CatalogFull`], [`StoreError::Foreign`]; as for every change.
    pub fn retain(
        &self,
        target: &RetentionTarget,
        retention: Option<Retention>,
        uid: u32,
    ) -> Result<Dropped> {
        match target {
            RetentionTarget::Frame(name) => self.view.not_foreign(name)?,
            RetentionTarget::Prefix(prefix) if prefix.is_of_components() => {}
            RetentionTarget::Prefix(prefix) => {
                return Err(StoreError::RetentionWithin { prefix: prefix.clone() });
            }
        }
        self.change(|writer| {
            {
                let state = writer.ledger.state();
                if state.retention_set(target).map(|found| found.retention) == retention {
                    return Ok(Dropped::default());
                }
                if retention.is_some() {
                    check_number(&state, target, uid)?;
                }
            }
            let set = RetentionSet { target: target.clone(), retention, uid };
            self.drop_by(writer, Body::RetentionSet(set))
        })
    }

    /// Drops versions that are older than their frames keep them at `now_micros` (microseconds since the Unix epoch), but
    /// no frame's latest. One call looks at some thousand frames and versions and drops some hundred, each by a record of
    /// its own; the next one goes on behind them.
    ///
    /// # Errors
    /// As for every change.
    pub fn drop_aged(&self, now_micros: i64, cursor: &mut AgeCursor) -> Result<Dropped> {
        let (found, next) = self.view.state().state()?.aged(&cursor.0, now_micros);
        let mut sum = Dropped::default();
        for (name, number) in found {
            let dropped = self.change(|writer| {
                // Another one may have dropped it meanwhile, or set that it stays.
                if !writer.ledger.state().is_aged(&name, number, now_micros) {
                    return Ok(Dropped::default());
                }
                self.drop_by(writer, Body::VersionDropped { name, number: Some(number) })
            })?;
            sum.versions += dropped.versions;
            sum.bytes_freed += dropped.bytes_freed;
            sum.bytes_held += dropped.bytes_held;
        }
        cursor.0 = next;
        Ok(sum)
    }
}

/// Refuses one more retention than there may be.
fn check_number(state: &State, target: &RetentionTarget, uid: u32) -> Result<()> {
    // Those of frames are as many as the frames.
    if matches!(target, RetentionTarget::Frame(name) if state.frame(name).is_some()) {
        return Ok(());
    }
    let before = state.retention_set(target);
    let (of_region, of_user) = state.retentions_counted(uid);
    let too_many = |uid, limit| Err(StoreError::ManyRetentions { target: target.clone(), uid, limit });
    match before {
        None if of_region >= MAX_RETENTIONS => too_many(None, MAX_RETENTIONS),
        Some(before) if before.uid == uid => Ok(()),
        _ if of_user >= MAX_RETENTIONS_OF_USER => too_many(Some(uid), MAX_RETENTIONS_OF_USER),
        _ => Ok(()),
    }
}
