//! Batches that the agent itself writes into the region: any number of them, one segment at a time in memory.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use farrow_ipc::Plan;
use farrow_region::{Media, RegionError};
use farrow_store::{CommitOptions, FrameName, Owner, Quota, Store, StoreError, Version};

use super::Region;
use super::commit::{Trusted, Written};
use crate::caller::Writer;
use crate::error::AgentError;

/// Bytes of messages of which a segment is made, about. Batches that are smaller are joined up to as much.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Heap that arrays take beside their buffers, for each byte of their message's metadata: at most about so much.
pub(crate) const HEAP_PER_METADATA: u64 = 8;

/// A version that is being written. Dropped before it is published it leaves nothing.
pub(crate) struct Segments {
    region: Arc<Region>,
    owner: Owner,
    quota: Quota,
    writer: Option<Writer>,
    name: FrameName,
    options: CommitOptions,
    schema: SchemaRef,
    gathered: Vec<RecordBatch>,
    /// Bytes that the gathered batches keep in memory, about.
    gathered_bytes: u64,
    written: Vec<(Reserved, Written)>,
}

impl Segments {
    /// A version of `name`, written as an owner, who may have so much, for somebody. Refused at once if no commit would
    /// take it.
    pub(crate) fn new(
        region: Arc<Region>,
        (owner, quota, writer): (Owner, Quota, Option<Writer>),
        name: FrameName,
        options: CommitOptions,
        schema: SchemaRef,
    ) -> Result<Self, AgentError> {
        region.check_target(&name, &schema, options)?;
        let (gathered, written) = (Vec::new(), Vec::new());
        Ok(Self { region, owner, quota, writer, name, options, schema, gathered, gathered_bytes: 0, written })
    }

    /// Adds the batch that a message of so many bytes was, or none if it was a dictionary: the batches before and after
    /// it may keep it in memory. The batch's values were validated.
    pub(crate) fn push(
        &mut self,
        batch: Option<RecordBatch>,
        metadata_len: usize,
        body_len: usize,
    ) -> Result<(), AgentError> {
        self.gathered.extend(batch);
        self.gathered_bytes += metadata_len as u64 * HEAP_PER_METADATA + body_len as u64;
        if self.gathered_bytes >= SEGMENT_BYTES && !self.gathered.is_empty() { self.write() } else { Ok(()) }
    }

    /// True if batches wait to be written.
    pub(crate) fn gathers(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Writes what was gathered, however little it is.
    pub(crate) fn flush(&mut self) -> Result<(), AgentError> {
        if self.gathers() { self.write() } else { Ok(()) }
    }

    /// Publishes everything as one version.
    pub(crate) fn publish(mut self) -> Result<Arc<Version>, AgentError> {
        // A version has at least one segment, which may be without rows.
        if !self.gathered.is_empty() || self.written.is_empty() {
            self.write()?;
        }
        let (reserved, written): (Vec<_>, Vec<_>) = self.written.into_iter().unzip();
        let count = written.len();
        let version = self.region.publish(self.name, written, self.options)?;
        reserved.into_iter().for_each(Reserved::committed);
        for segment in version.segments.iter().rev().take(count) {
            // Each of their bytes was written, and the rest of the last page zeroed.
            self.region.residue.give(&segment.extents, self.writer.as_ref());
        }
        Ok(version)
    }

    /// Makes a segment of what was gathered, or several where one cannot have all its dictionaries.
    fn write(&mut self) -> Result<(), AgentError> {
        self.gathered_bytes = 0;
        let gathered = std::mem::take(&mut self.gathered);
        let segments = farrow_ipc::prepare_segments(&self.schema, &gathered, SEGMENT_BYTES)?;
        drop(gathered);
        segments.into_iter().try_for_each(|batches| self.write_segment(&batches))
    }

    fn write_segment(&mut self, batches: &[RecordBatch]) -> Result<(), AgentError> {
        if batches.is_empty() && !self.written.is_empty() {
            return Ok(());
        }
        let plan = Plan::new(&self.schema, batches)?;
        let store = self.region.store();
        let reservation = store.reserve_within(self.owner, plan.len, &self.quota)?;
        let reserved = Reserved::new(store.clone(), reservation.id);
        self.region.residue.overwrite(&reservation.extents, self.writer.as_ref());
        let ranges = store.view().media_ranges(&reservation.extents)?;
        let mut out = RangesWriter { media: &**store.view().media(), ranges, failed: None };
        let written = farrow_ipc::write(&self.schema, batches, &mut out);
        if let Some(error) = out.failed {
            return Err(error.into());
        }
        let len = written?;
        let written = self.region.check_written(&reservation, len, Trusted::Agent)?;
        self.written.push((reserved, written));
        Ok(())
    }
}

/// Extents that are the agent's own; they are given back unless they are committed, or handed over.
pub(super) struct Reserved {
    store: Arc<Store>,
    id: u64,
    committed: bool,
}

impl Reserved {
    pub(super) fn new(store: Arc<Store>, id: u64) -> Self {
        Self { store, id, committed: false }
    }

    pub(super) fn committed(mut self) {
        self.committed = true;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        match self.store.abort(self.id) {
            Ok(()) | Err(StoreError::NoReservation { .. }) => {}
            Err(error) => {
                tracing::warn!(reservation = self.id, %error, "it stays reserved until the agent starts again");
            }
        }
    }
}

/// Writes to ranges of the medium, one behind the other.
struct RangesWriter<'a> {
    media: &'a dyn Media,
    /// The ranges that are left, the next one first: offset and length.
    ranges: Vec<(u64, u64)>,
    /// The medium's error, if it failed.
    failed: Option<RegionError>,
}

impl Write for RangesWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Some((offset, left)) = self.ranges.first_mut() else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        let len = usize::try_from(*left).map_or(data.len(), |left| left.min(data.len()));
        if let Err(error) = self.media.write_at(*offset, &data[..len]) {
            let said = io::Error::other(error.to_string());
            self.failed = Some(error);
            return Err(said);
        }
        *offset += len as u64;
        *left -= len as u64;
        if *left == 0 {
            self.ranges.remove(0);
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
