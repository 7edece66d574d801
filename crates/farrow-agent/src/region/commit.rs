//! What becomes of a reservation that was written: a segment of a version.

use std::sync::Arc;

use arrow_buffer::Buffer;
use farrow_ipc::Layout;
use farrow_store::{FrameName, NewSegment, NewVersion, Reservation, Validation, Version};

use super::{CommitCheck, Region, micros_since_epoch};
use crate::error::AgentError;

/// An Arrow file that lies in its reservation and was checked there.
pub(crate) struct Written {
    segment: NewSegment,
    schema_fingerprint: u64,
}

impl Region {
    /// Checks what a writer left in its reservation and publishes it as the next version of `name`.
    pub(crate) fn commit(
        &self,
        reservation: &Reservation,
        name: FrameName,
        len: u64,
    ) -> Result<Arc<Version>, AgentError> {
        let written = self.check_written(reservation, len)?;
        self.publish(name, vec![written])
    }

    /// Publishes what lies in one or more reservations of one owner as one version.
    pub(crate) fn publish(&self, name: FrameName, written: Vec<Written>) -> Result<Arc<Version>, AgentError> {
        let version = NewVersion {
            name,
            // All are of one schema; without any there is no version.
            schema_fingerprint: written.first().map_or(0, |written| written.schema_fingerprint),
            committed_at_micros: micros_since_epoch(),
            segments: written.into_iter().map(|written| written.segment).collect(),
        };
        Ok(self.store().commit(version)?)
    }

    fn check_written(&self, reservation: &Reservation, len: u64) -> Result<Written, AgentError> {
        if len > reservation.len {
            return Err(AgentError::LongerThanReserved { len, reserved: reservation.len });
        }
        let memory = self.memory(&reservation.extents, len)?;
        memory.expect_footer()?;
        let bytes = memory.bytes()?;
        let layout = memory.read(|| Ok(Layout::verify(&bytes)?))?;
        let (validation, checksums) = match self.check {
            CommitCheck::Structure => (Validation::Structure, Vec::new()),
            CommitCheck::Values => {
                memory.expect_all()?;
                let checksums = memory.read(|| {
                    // A second pass: together with the validation of each batch it takes as long.
                    let checksums = layout.checksums(&bytes)?;
                    layout.validate_values(Buffer::from(bytes))?;
                    Ok(checksums)
                })?;
                (Validation::Values, checksums)
            }
        };
        let segment = NewSegment {
            reservation: reservation.id,
            len,
            rows: layout.rows(),
            batches: u32::try_from(layout.batches().len()).unwrap_or(u32::MAX),
            validation,
            metadata_digest: layout.metadata_digest(),
            checksums,
        };
        Ok(Written { segment, schema_fingerprint: layout.schema_fingerprint() })
    }
}
