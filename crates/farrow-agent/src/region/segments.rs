//! Batches that the agent itself writes into the region: any number of them, one segment at a time in memory.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use farrow_ipc::Plan;
use farrow_region::{Media, RegionError};
use farrow_store::{FrameName, Owner, Quota, Store, Version};

use super::Region;
use super::commit::{Onto, Trusted, Written};
use crate::error::AgentError;

/// Bytes of messages of which a segment is made, about. Batches that are smaller are joined up to as much.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Heap that arrays take beside their buffers, for each byte of their message's metadata: at most about so much.
const HEAP_PER_METADATA: u64 = 8;

/// A version that is being written. Dropped before it is published it leaves nothing.
pub(crate) struct Segments {
    region: Arc<Region>,
    owner: Owner,
    quota: Quota,
    name: FrameName,
    onto: Onto,
    schema: SchemaRef,
    gathered: Vec<RecordBatch>,
    /// Bytes that the gathered batches keep in memory, about.
    gathered_bytes: u64,
    written: Vec<(Reserved, Written)>,
}

impl Segments {
    /// A version of `name`, written as an owner, who may have so much. Refused at once if no commit would take it.
    pub(crate) fn new(
        region: Arc<Region>,
        (owner, quota): (Owner, Quota),
        name: FrameName,
        onto: Onto,
        schema: SchemaRef,
    ) -> Result<Self, AgentError> {
        region.check_target(&name, &schema, onto)?;
        let (gathered, written) = (Vec::new(), Vec::new());
        Ok(Self { region, owner, quota, name, onto, schema, gathered, gathered_bytes: 0, written })
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

    /// Publishes everything as one version.
    pub(crate) fn publish(mut self) -> Result<Arc<Version>, AgentError> {
        // A version has at least one segment, which may be without rows.
        if !self.gathered.is_empty() || self.written.is_empty() {
            self.write()?;
        }
        let (reserved, written): (Vec<_>, Vec<_>) = self.written.into_iter().unzip();
        let version = self.region.publish(self.name, written, self.onto)?;
        reserved.into_iter().for_each(Reserved::committed);
        Ok(version)
    }

    /// Makes a segment of what was gathered.
    fn write(&mut self) -> Result<(), AgentError> {
        self.gathered_bytes = 0;
        let gathered = std::mem::take(&mut self.gathered);
        let batches = farrow_ipc::prepare(&self.schema, gathered, SEGMENT_BYTES)?;
        if batches.is_empty() && !self.written.is_empty() {
            return Ok(());
        }
        let plan = Plan::new(&self.schema, &batches)?;
        let store = self.region.store();
        let reservation = store.reserve_within(self.owner, plan.len, &self.quota)?;
        let reserved = Reserved { store: store.clone(), id: reservation.id, committed: false };
        let ranges = store.media_ranges(&reservation.extents)?;
        let mut out = RangesWriter { media: &**store.media(), ranges, failed: None };
        let written = farrow_ipc::write(&self.schema, &batches, &mut out);
        if let Some(error) = out.failed {
            return Err(error.into());
        }
        let len = written?;
        let written = self.region.check_written(&reservation, len, Trusted::Agent)?;
        self.written.push((reserved, written));
        Ok(())
    }
}

/// Extents that the agent writes; they are given back unless they are committed.
struct Reserved {
    store: Arc<Store>,
    id: u64,
    committed: bool,
}

impl Reserved {
    fn committed(mut self) {
        self.committed = true;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = self.store.abort(self.id)
        {
            tracing::warn!(reservation = self.id, %error, "it stays reserved until the agent starts again");
        }
    }
}

/// Writes to ranges of the medium, one behind the other.
struct RangesWriter<'a> {
    media: &'a dyn Media,
    /// What is left, the next one first: offset and length.
    ranges: Vec<(u64, u64)>,
    /// What the medium said, if it failed.
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
