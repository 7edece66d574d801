//! What becomes of a reservation that was written: a segment of a version.

use std::sync::Arc;
use std::time::Instant;

use arrow_buffer::Buffer;
use arrow_schema::{Schema, SchemaRef};
use farrow_ipc::Layout;
use farrow_store::{FrameName, NewSegment, NewVersion, Reservation, StoreError, Validation, Version};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::{CommitCheck, Region, micros_since_epoch};
use crate::error::AgentError;

/// What a new version is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onto {
    /// The new rows alone.
    Nothing,
    /// The latest version's rows, and the new ones behind them.
    Latest,
}

/// An Arrow file that lies in its reservation and was checked there.
pub(super) struct Written {
    segment: NewSegment,
    schema: SchemaRef,
    schema_fingerprint: u64,
}

/// What publishing has done so far.
#[derive(Debug)]
pub(crate) struct Commits {
    /// Bytes of versions.
    pub(crate) bytes: Counter,
    /// Seconds to check what was written, for each.
    pub(crate) validation: Histogram,
}

impl Region {
    /// Checks what a writer left in its reservations, as many bytes in each as it says, and publishes it as the next
    /// version of `name`.
    pub(crate) fn commit(
        &self,
        reservations: &[(Reservation, u64)],
        name: FrameName,
        onto: Onto,
    ) -> Result<Arc<Version>, AgentError> {
        let mut written: Vec<Written> = Vec::with_capacity(reservations.len());
        for (segment, (reservation, len)) in reservations.iter().enumerate() {
            let next = self.check_written(reservation, *len, Trusted::Nobody)?;
            if let Some(first) = written.first()
                && first.schema_fingerprint != next.schema_fingerprint
            {
                let difference = difference(&first.schema, &next.schema, ["in the first", "in this one"]);
                return Err(AgentError::MixedSchemas { segment, difference });
            }
            written.push(next);
        }
        self.publish(name, written, onto)
    }

    /// Publishes what lies in one or more reservations of one owner as one version.
    pub(super) fn publish(
        &self,
        name: FrameName,
        written: Vec<Written>,
        onto: Onto,
    ) -> Result<Arc<Version>, AgentError> {
        // All are of one schema; without any there is no version.
        let schema = written.first().map(|written| written.schema.clone());
        let version = NewVersion {
            name,
            schema_fingerprint: written.first().map_or(0, |written| written.schema_fingerprint),
            committed_at_micros: micros_since_epoch(),
            segments: written.into_iter().map(|written| written.segment).collect(),
        };
        let bytes = version.segments.iter().map(|segment| segment.len).sum();
        let published = match onto {
            Onto::Nothing => self.store().commit(version),
            Onto::Latest => self.store().append(version),
        };
        let version = published.map_err(|error| match (error, schema) {
            (StoreError::SchemaMismatch { name, latest, .. }, Some(schema)) => {
                self.other_schema(&name, latest, &schema)
            }
            (error, _) => error.into(),
        })?;
        self.commits.bytes.inc_by(bytes);
        Ok(version)
    }

    /// Refuses what no commit would take, before anything is written.
    pub(super) fn check_target(
        &self,
        name: &FrameName,
        schema: &Schema,
        onto: Onto,
    ) -> Result<(), AgentError> {
        self.store().not_foreign(name)?;
        match self.store().get(name, None) {
            Ok(latest) if onto == Onto::Latest => {
                if latest.schema_fingerprint == farrow_ipc::schema_fingerprint(schema) {
                    Ok(())
                } else {
                    Err(self.other_schema(name, latest.number, schema))
                }
            }
            _ => Ok(()),
        }
    }

    /// Says of a version's schema how it differs from another.
    fn other_schema(&self, name: &FrameName, number: u64, found: &Schema) -> AgentError {
        let there = self.hold(name, Some(number)).and_then(|version| self.schema(&version));
        let difference = match there {
            Ok(there) => format!(": {}", difference(&there, found, ["there", "in what is appended"])),
            Err(error) => format!(", which cannot be read now ({error})"),
        };
        AgentError::OtherSchema { name: name.clone(), version: number, difference }
    }

    pub(super) fn check_written(
        &self,
        reservation: &Reservation,
        len: u64,
        values: Trusted,
    ) -> Result<Written, AgentError> {
        if len > reservation.len {
            return Err(AgentError::LongerThanReserved { len, reserved: reservation.len });
        }
        let start = Instant::now();
        let memory = self.memory(&reservation.extents, len)?;
        memory.expect_footer()?;
        let bytes = memory.bytes()?;
        let layout = memory.read(|| Ok(Layout::verify(&bytes)?))?;
        let (validation, checksums) = match (self.check, values) {
            (CommitCheck::Structure, Trusted::Nobody) => (Validation::Structure, Vec::new()),
            (CommitCheck::Structure, Trusted::Agent) => (Validation::Values, Vec::new()),
            (CommitCheck::Values, values) => {
                memory.expect_all()?;
                let checksums = memory.read(|| {
                    // A second pass: together with the validation of each batch it takes as long.
                    let checksums = layout.checksums(&bytes)?;
                    if values == Trusted::Nobody {
                        layout.validate_values(Buffer::from(bytes))?;
                    }
                    Ok(checksums)
                })?;
                (Validation::Values, checksums)
            }
        };
        self.commits.validation.observe(start.elapsed().as_secs_f64());
        let segment = NewSegment {
            reservation: reservation.id,
            len,
            rows: layout.rows(),
            batches: u32::try_from(layout.batches().len()).unwrap_or(u32::MAX),
            validation,
            metadata_digest: layout.metadata_digest(),
            checksums,
        };
        let (schema, schema_fingerprint) = (layout.schema().clone(), layout.schema_fingerprint());
        Ok(Written { segment, schema, schema_fingerprint })
    }
}

/// Whose values need no validation where they lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trusted {
    /// A process wrote into the reservation.
    Nobody,
    /// The agent itself wrote arrays that it had validated, and nobody else was told where.
    Agent,
}

/// The first difference between two schemas.
fn difference(there: &Schema, found: &Schema, [where_there, where_found]: [&str; 2]) -> String {
    let columns = there.fields().iter().zip(found.fields());
    if let Some((index, (there, found))) = columns.enumerate().find(|(_, (there, found))| there != found) {
        return format!("column {index} is `{there}` {where_there} and `{found}` {where_found}");
    }
    let (columns, more) = (there.fields().len(), found.fields().len());
    if columns != more {
        return format!("{columns} columns {where_there} and {more} {where_found}");
    }
    let mut keys: Vec<_> = there.metadata().keys().chain(found.metadata().keys()).collect();
    keys.sort_unstable();
    match keys.into_iter().find(|&key| there.metadata().get(key) != found.metadata().get(key)) {
        Some(key) => format!("the metadata `{key}` of the schemas differs"),
        None => "its fields are encoded differently".to_owned(),
    }
}

impl Default for Commits {
    fn default() -> Self {
        // From 50 us to 50 s.
        Self { bytes: Counter::default(), validation: Histogram::new(exponential_buckets(50e-6, 4.0, 11)) }
    }
}
