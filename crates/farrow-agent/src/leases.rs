//! Leases and reservations, by process.
//!
//! A lease keeps a version's extents from being reused; a reservation keeps extents for a writer. Both belong to a
//! process and end with it: the kernel tells (see [`EndWatch`]), nothing here looks at a clock to free memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use farrow_store::{FrameName, FrameRef, Owner, Quota, Reservation, Store, StoreError, Version};
use tokio::sync::watch;
use uuid::Uuid;

use crate::end_watch::EndWatch;
use crate::error::AgentError;
use crate::holders::Holders;
use crate::limits::Limits;
use crate::process::{Process, ProcessId};

/// Who maps and writes what.
pub(crate) struct Leases {
    store: Arc<Store>,
    host: Uuid,
    table: Mutex<Table>,
    ends: EndWatch,
    limits: watch::Receiver<Limits>,
}

/// A lease, for people to look at.
#[derive(Debug)]
pub(crate) struct LeaseView {
    /// Its number.
    pub(crate) id: u64,
    /// The process that holds it.
    pub(crate) process: ProcessId,
    /// The user of that process.
    pub(crate) uid: u32,
    /// What it keeps.
    pub(crate) version: Arc<Version>,
    /// When it was granted.
    pub(crate) granted: Instant,
}

/// A lease's number, and what it keeps.
type Granted = (u64, Arc<Version>);

struct Table {
    next_lease: u64,
    /// Processes that hold something of this agent's.
    held: HashMap<ProcessId, Held>,
    /// Processes that held something of an earlier agent's and still run.
    earlier: HashMap<ProcessId, Arc<Process>>,
    /// When each reservation was first seen: taken, or found at the start.
    reserved: HashMap<u64, Instant>,
    holders: Holders,
}

struct Held {
    process: Arc<Process>,
    leases: BTreeMap<u64, Lease>,
    /// Whether `holders` lists the process: always, while it holds anything.
    recorded: bool,
}

struct Lease {
    version: Arc<Version>,
    granted: Instant,
}

impl Leases {
    /// Takes up what an earlier agent left: reservations whose process has ended are aborted, and nothing that is
    /// older than this agent is freed until the processes in `holders` have ended.
    pub(crate) fn take_up(
        store: Arc<Store>,
        host: Uuid,
        mut holders: Holders,
        limits: watch::Receiver<Limits>,
    ) -> Result<Arc<Self>, AgentError> {
        let mut earlier = HashMap::new();
        for (id, uid) in holders.processes().collect::<Vec<_>>() {
            match Process::reopen(id, uid) {
                Some(process) => {
                    earlier.insert(id, Arc::new(process));
                }
                None => holders.remove(id).map_err(AgentError::Holders)?,
            }
        }
        for reservation in store.reservations() {
            let owner = process_of(&reservation.owner);
            if reservation.owner.host == host && !earlier.contains_key(&owner) {
                tracing::info!(
                    reservation = reservation.id,
                    pid = owner.pid,
                    "its writer ended with an earlier agent"
                );
                store.abort(reservation.id)?;
            }
        }
        if earlier.is_empty() {
            store.lift_quarantine()?;
        } else {
            tracing::info!(processes = earlier.len(), "may still map what was granted by an earlier agent");
        }
        // Numbers of an earlier agent's leases must not be given out again: its clients may still release them.
        let next_lease = (store.epoch() << 32) | 1;
        let (held, reserved) = (HashMap::new(), HashMap::new());
        let table = Table { next_lease, held, earlier: earlier.clone(), reserved, holders };
        let ends = EndWatch::new().map_err(AgentError::Watch)?;
        let leases = Arc::new(Self { store, host, table: Mutex::new(table), ends, limits });
        let told = Arc::downgrade(&leases);
        let ended = move |id| {
            if let Some(leases) = told.upgrade() {
                leases.end(id);
            }
        };
        leases.ends.start(ended).map_err(AgentError::Watch)?;
        for process in earlier.into_values() {
            leases.ends.watch(process).map_err(AgentError::Watch)?;
        }
        Ok(leases)
    }

    /// A lease on a version (`None`: the latest) for `process`, and its number.
    pub(crate) fn grant(
        &self,
        process: &Arc<Process>,
        name: &FrameName,
        version: Option<u64>,
    ) -> Result<Granted, AgentError> {
        let mut table = self.table();
        // The process is on record before it is told where anything is.
        self.register(&mut table, process)?;
        let version = self.store.acquire(name, version)?;
        Ok((table.grant(process, &version), version))
    }

    /// Leases on several versions as of one moment, and the sequence number of the last change before it.
    pub(crate) fn grant_all(
        &self,
        process: &Arc<Process>,
        frames: &[FrameRef],
    ) -> Result<(Vec<Result<Granted, StoreError>>, u64), AgentError> {
        let mut table = self.table();
        self.register(&mut table, process)?;
        let (versions, as_of) = self.store.acquire_all(frames)?;
        let mut grant = |version: Arc<Version>| (table.grant(process, &version), version);
        Ok((versions.into_iter().map(|version| version.map(&mut grant)).collect(), as_of))
    }

    /// Ends leases of `process`; ids that are not its own are ignored. Returns how many ended.
    pub(crate) fn release(&self, process: ProcessId, ids: &[u64]) -> Result<u64, AgentError> {
        let released: Vec<Lease> = {
            let mut table = self.table();
            let Some(held) = table.held.get_mut(&process) else { return Ok(0) };
            ids.iter().filter_map(|id| held.leases.remove(id)).collect()
        };
        let (mut count, mut failed) = (0, None);
        for lease in released {
            match self.store.release(&lease.version) {
                Ok(()) => count += 1,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(count), |error| Err(error.into()))
    }

    /// Whether `process` holds the lease `id`.
    pub(crate) fn holds(&self, process: ProcessId, id: u64) -> bool {
        self.table().held.get(&process).is_some_and(|held| held.leases.contains_key(&id))
    }

    /// Space for `process` to write `len` bytes into.
    pub(crate) fn reserve(&self, process: &Arc<Process>, len: u64) -> Result<Reservation, AgentError> {
        self.register(&mut self.table(), process)?;
        // This may wait for the catalog, which who is granted a lease need not: so the table is not locked.
        let quota = {
            let limits = self.limits.borrow();
            Quota {
                bytes_per_user: limits.bytes_per_user,
                reservations_per_process: Some(limits.reservations_per_process),
            }
        };
        let reservation = self.store.reserve_within(self.owner(process), len, &quota)?;
        let recorded = {
            let mut table = self.table();
            // Meanwhile the process may have ended, and its reservations before this one was among them; or it held
            // nothing and was taken off the record.
            if table.held.contains_key(&process.id()) {
                self.register(&mut table, process)
            } else {
                let ProcessId { pid, .. } = process.id();
                Err(AgentError::NotHeld { what: "reservation", id: reservation.id, pid })
            }
        };
        if recorded.is_err() {
            self.store.abort(reservation.id)?;
        }
        recorded.map(|()| reservation)
    }

    /// The reservation `id`, if it is `process`'s.
    pub(crate) fn reservation(&self, process: &Process, id: u64) -> Result<Reservation, AgentError> {
        self.store
            .reservation(id)
            .filter(|reservation| reservation.owner == self.owner(process))
            .ok_or(AgentError::NotHeld { what: "reservation", id, pid: process.id().pid })
    }

    /// Every lease, oldest first.
    pub(crate) fn list(&self) -> Vec<LeaseView> {
        let table = self.table();
        let mut views: Vec<LeaseView> = table
            .held
            .values()
            .flat_map(|held| {
                held.leases.iter().map(|(id, lease)| LeaseView {
                    id: *id,
                    process: held.process.id(),
                    uid: held.process.uid(),
                    version: lease.version.clone(),
                    granted: lease.granted,
                })
            })
            .collect();
        views.sort_by_key(|view| view.id);
        views
    }

    /// How long each lease has been held.
    pub(crate) fn ages(&self) -> Vec<Duration> {
        let table = self.table();
        table
            .held
            .values()
            .flat_map(|held| held.leases.values())
            .map(|lease| lease.granted.elapsed())
            .collect()
    }

    /// How long each reservation has been known: since this agent started, or since it was tidy last, at least.
    pub(crate) fn reservation_ages(&self) -> Vec<Duration> {
        let ids = self.store.reservations().into_iter().map(|taken| taken.id);
        let table = self.table();
        ids.map(|id| table.reserved.get(&id).map_or(Duration::ZERO, Instant::elapsed)).collect()
    }

    /// How `process` is named in the catalog.
    pub(crate) fn owner(&self, process: &Process) -> Owner {
        let ProcessId { pid, start_time } = process.id();
        Owner { host: self.host, uid: process.uid(), pid, start_time }
    }

    /// Takes processes off the record that hold nothing any more, so that the next agent need not wait for their end.
    /// Called now and then rather than at each release: a process that gets a frame often would write the record
    /// each time.
    pub(crate) fn tidy(&self) {
        let mut table = self.table();
        let Table { held, earlier, reserved, holders, .. } = &mut *table;
        let reservations = self.store.reservations();
        let now = Instant::now();
        *reserved =
            reservations.iter().map(|taken| (taken.id, *reserved.get(&taken.id).unwrap_or(&now))).collect();
        let writers: HashSet<ProcessId> = reservations.iter().map(|taken| process_of(&taken.owner)).collect();
        for (id, held) in held {
            let idle = held.leases.is_empty() && !writers.contains(id) && !earlier.contains_key(id);
            if held.recorded && idle {
                match holders.remove(*id) {
                    Ok(()) => held.recorded = false,
                    Err(error) => tracing::warn!(pid = id.pid, %error, "it stays on record as a holder"),
                }
            }
        }
    }

    /// Ends a reservation whose process ended while it was being committed, which failed.
    pub(crate) fn end_orphan(&self, process: ProcessId, reservation: u64) {
        let ended = !self.table().held.contains_key(&process);
        if ended && let Err(error) = self.store.abort(reservation) {
            tracing::debug!(pid = process.pid, reservation, %error, "ended already");
        }
    }

    /// Makes sure that `process` is on record and watched.
    fn register(&self, table: &mut Table, process: &Arc<Process>) -> Result<(), AgentError> {
        let Table { held, holders, .. } = table;
        match held.entry(process.id()) {
            Entry::Occupied(held) if held.get().recorded => {}
            Entry::Occupied(mut held) => {
                holders.add(process.id(), process.uid()).map_err(AgentError::Holders)?;
                held.get_mut().recorded = true;
            }
            Entry::Vacant(vacant) => {
                holders.add(process.id(), process.uid()).map_err(AgentError::Holders)?;
                // Its end, if it comes now, waits for the table's lock.
                self.ends.watch(process.clone()).map_err(AgentError::Watch)?;
                vacant.insert(Held { process: process.clone(), leases: BTreeMap::new(), recorded: true });
            }
        }
        Ok(())
    }

    /// Everything of a process that has ended goes back.
    fn end(&self, id: ProcessId) {
        let (held, last_of_earlier) = {
            let mut table = self.table();
            let held = table.held.remove(&id);
            let last_of_earlier = table.earlier.remove(&id).is_some() && table.earlier.is_empty();
            if let Err(error) = table.holders.remove(id) {
                tracing::warn!(pid = id.pid, %error, "it stays on record as a holder until the next agent starts");
            }
            (held, last_of_earlier)
        };
        let leases = held.map(|held| held.leases).unwrap_or_default();
        let reservations: Vec<Reservation> = self
            .store
            .reservations()
            .into_iter()
            .filter(|reservation| reservation.owner.host == self.host && process_of(&reservation.owner) == id)
            .collect();
        if !leases.is_empty() || !reservations.is_empty() {
            tracing::info!(
                pid = id.pid,
                leases = leases.len(),
                reservations = reservations.len(),
                "process ended"
            );
        }
        for lease in leases.into_values() {
            if let Err(error) = self.store.release(&lease.version) {
                tracing::error!(pid = id.pid, frame = %lease.version.name, %error, "its lease could not be ended");
            }
        }
        for reservation in reservations {
            match self.store.abort(reservation.id) {
                // Its last request, a commit, was still under way: that ends the reservation, one way or the other.
                Ok(()) | Err(StoreError::NoReservation { .. } | StoreError::ReservationBusy { .. }) => {}
                Err(error) => {
                    tracing::error!(pid = id.pid, reservation = reservation.id, %error, "its reservation could not be ended");
                }
            }
        }
        if last_of_earlier && let Err(error) = self.store.lift_quarantine() {
            tracing::error!(%error, "what an earlier agent's clients mapped could not be freed");
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No invariant spans a panic: each change to the table is one insert or remove.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The number of a new lease, of a process that is registered.
    fn grant(&mut self, process: &Process, version: &Arc<Version>) -> u64 {
        let id = self.next_lease;
        self.next_lease += 1;
        if let Some(held) = self.held.get_mut(&process.id()) {
            held.leases.insert(id, Lease { version: version.clone(), granted: Instant::now() });
        }
        id
    }
}

fn process_of(owner: &Owner) -> ProcessId {
    ProcessId { pid: owner.pid, start_time: owner.start_time }
}
