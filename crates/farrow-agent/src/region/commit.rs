//! Commits: a written reservation becomes a segment of a version.

use std::sync::Arc;
use std::time::Instant;

use arrow_buffer::Buffer;
use arrow_schema::{Schema, SchemaRef};
use farrow_ipc::Layout;
use farrow_proto::Advice;
use farrow_store::{
    CommitOptions, FrameName, NewSegment, NewVersion, Reservation, StoreError, Validation, Version,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::{CommitCheck, Region, micros_since_epoch};
use crate::awaited::Awaited;
use crate::error::AgentError;

/// An Arrow file that lies in its reservation and was checked there.
pub(super) struct Written {
    segment: NewSegment,
    schema: SchemaRef,
    schema_fingerprint: u64,
}

/// The counters of commits.
#[derive(Debug)]
pub(crate) struct Commits {
    /// Bytes of versions.
    pub(crate) bytes: Counter,
    /// Seconds to check what was written, for each.
    pub(crate) validation: Histogram,
}

impl Region {
    /// Checks what a writer left in its reservations, as many bytes in each as it says, and publishes it as the next
    /// version of `name`, unless its caller goes away before that.
    pub(crate) fn commit(
        &self,
        reservations: &[(Reservation, u64)],
        name: FrameName,
        options: CommitOptions,
        caller: &Awaited,
    ) -> Result<Arc<Version>, AgentError> {
        // To look at all that was written takes longer.
        self.store().check_latest(&name, options.if_version)?;
        let mut written: Vec<Written> = Vec::with_capacity(reservations.len());
        for (segment, (reservation, len)) in reservations.iter().enumerate() {
            let next = self.check_written(reservation, *len, Trusted::Nobody(caller))?;
            if let Some(first) = written.first()
                && first.schema_fingerprint != next.schema_fingerprint
            {
                let difference = farrow_ipc::schema_difference(&first.schema, &next.schema);
                let difference = difference.map_or_else(encoded, |difference| difference.to_string());
                return Err(AgentError::MixedSchemas { segment, difference });
            }
            written.push(next);
        }
        if !caller.still() {
            return Err(AgentError::Abandoned);
        }
        self.publish(name, written, options)
    }

    /// Publishes what lies in one or more reservations of one owner as one version.
    pub(super) fn publish(
        &self,
        name: FrameName,
        written: Vec<Written>,
        options: CommitOptions,
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
        let version = self.store().commit_as(version, options).map_err(|error| match (error, schema) {
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
        options: CommitOptions,
    ) -> Result<(), AgentError> {
        self.view().not_foreign(name)?;
        self.store().check_latest(name, options.if_version)?;
        match self.view().get(name, None) {
            Ok(latest) if options.append => {
                if latest.schema_fingerprint == farrow_ipc::schema_fingerprint(schema) {
                    Ok(())
                } else {
                    Err(self.other_schema(name, latest.number, schema))
                }
            }
            _ => Ok(()),
        }
    }

    /// The schema of the latest version of a frame, if there is one.
    pub(crate) fn latest_schema(&self, name: &FrameName) -> Result<Option<SchemaRef>, AgentError> {
        match self.hold(name, None) {
            Ok(latest) => self.schema(&latest).map(Some),
            Err(AgentError::Store(StoreError::FrameNotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says of a version's schema how it differs from another.
    fn other_schema(&self, name: &FrameName, number: u64, found: &Schema) -> AgentError {
        let there = self.hold(name, Some(number)).and_then(|version| self.schema(&version));
        let (difference, by_name) = match there {
            Ok(there) => {
                let by_name = farrow_ipc::fits_by_name(&there, found).is_ok();
                match farrow_ipc::schema_difference(&there, found) {
                    Some(difference) => (difference.with_advice(by_name), by_name),
                    None => (encoded(), false),
                }
            }
            Err(error) => (format!("it cannot be read now ({error})"), false),
        };
        let advice = by_name.then_some(Advice::ByName);
        AgentError::OtherSchema { name: name.clone(), version: number, difference, advice }
    }

    pub(super) fn check_written(
        &self,
        reservation: &Reservation,
        len: u64,
        values: Trusted<'_>,
    ) -> Result<Written, AgentError> {
        if len > reservation.len {
            return Err(AgentError::LongerThanReserved { len, reserved: reservation.len });
        }
        let start = Instant::now();
        let memory = self.memory(&reservation.extents, len)?;
        let layout = Layout::verify_copy(&memory)?;
        let (validation, checksums) = match (self.check, values) {
            (CommitCheck::Structure, Trusted::Nobody(_)) => (Validation::Structure, Vec::new()),
            (CommitCheck::Structure, Trusted::Agent) => (Validation::Values, Vec::new()),
            (CommitCheck::Values, values) => {
                memory.expect_all()?;
                // A second pass: together with the validation of each batch it takes as long. Before the validation,
                // so that bytes that are changed behind it are not those recorded.
                let checksums = layout.checksums(&memory)?;
                if let Trusted::Nobody(caller) = values {
                    let bytes = Buffer::from(memory.bytes()?);
                    memory.read(|| Ok(layout.validate_values_while(bytes, || caller.still())?))?;
                }
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

/// The writers whose values need no validation where they lie.
#[derive(Clone, Copy)]
pub(super) enum Trusted<'a> {
    /// A process wrote into the reservation. Its values are validated as long as the caller waits for that.
    Nobody(&'a Awaited),
    /// The agent itself wrote arrays that it had validated, and nobody else was told where.
    Agent,
}

/// Returns what is said where nothing else differs.
fn encoded() -> String {
    "its fields are encoded differently".to_owned()
}

impl Default for Commits {
    fn default() -> Self {
        // From 50 us to 50 s.
        Self { bytes: Counter::default(), validation: Histogram::new(exponential_buckets(50e-6, 4.0, 11)) }
    }
}
