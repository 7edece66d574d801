//! Leases and reservations, by process.
//!
//! A lease keeps a version's extents from being reused; a reservation keeps extents for a writer. Both belong to a
//! process and end with it: the kernel tells (see [`EndWatch`]), nothing here looks at a clock to free memory.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use farrow_store::{FrameName, FrameRef, Owner, Quota, Reservation, Store, StoreError, Version};
use tokio::sync::watch;
use uuid::Uuid;

mod counts;
mod inherited;
mod listing;

use crate::end_watch::EndWatch;
use crate::error::AgentError;
use crate::holders::Holders;
use crate::limits::Limits;
use crate::process::{Process, ProcessId};
use crate::shares::{Share, Shares};
use crate::user::User;
use counts::{Counted, Counts};

pub(crate) use inherited::Inherited;
pub(crate) use listing::LeaseView;

/// The leases and reservations of processes.
pub(crate) struct Leases {
    store: Arc<Store>,
    host: Uuid,
    table: Mutex<Table>,
    ends: EndWatch,
    limits: watch::Receiver<Limits>,
    /// As many leases as there may be.
    room: Arc<Shares>,
    /// As many processes as there may be that hold something, or did: each takes a descriptor until its end.
    processes: Arc<Shares>,
    counts: Arc<Counts>,
}

/// A lease's number, and what it keeps.
type Granted = (u64, Arc<Version>);

struct Table {
    next_lease: u64,
    /// The leases of processes that hold something of this agent's, by number.
    held: HashMap<ProcessId, BTreeMap<u64, Lease>>,
    /// Processes that held something of an earlier agent's and may still run.
    earlier: HashSet<ProcessId>,
    /// Those of them whose end is not watched, as the system would not let them be looked at, and their users.
    unwatched: HashMap<ProcessId, u32>,
    /// The time at which each reservation was first seen: taken, or found at the start.
    reserved: HashMap<u64, Instant>,
    holders: Holders,
    inherited: Inherited,
    /// The fault of the last try to write the record.
    record_fault: Option<String>,
}

struct Lease {
    on: Counted,
    granted: Instant,
    /// One of those that there may be, until this is dropped.
    _share: Share,
}

impl Leases {
    /// Takes up what an earlier agent left: reservations whose process has ended are aborted, and nothing that is
    /// older than this agent is freed until the processes in `holders` have ended. So many `processes` may hold something
    /// at a time, shared between users.
    pub(crate) fn take_up(
        store: Arc<Store>,
        host: Uuid,
        mut holders: Holders,
        mut inherited: Inherited,
        limits: watch::Receiver<Limits>,
        processes: u64,
    ) -> Result<Arc<Self>, AgentError> {
        let (mut running, mut unwatched) = (Vec::new(), HashMap::new());
        for (id, uid) in holders.processes() {
            match Process::reopen(id, uid) {
                Ok(Some(process)) => running.push(Arc::new(process)),
                Ok(None) => {
                    inherited.end_of_earlier(id);
                }
                Err(error) => {
                    tracing::warn!(pid = id.pid, %error, "whether it has ended is not known: it is asked again");
                    unwatched.insert(id, uid);
                }
            }
        }
        let earlier: HashSet<ProcessId> =
            running.iter().map(|process| process.id()).chain(unwatched.keys().copied()).collect();
        let outlived = inherited.processes();
        holders.retain(|id| earlier.contains(&id) || outlived.contains(&id)).map_err(AgentError::Holders)?;
        for reservation in store.view().reservations() {
            let owner = process_of(&reservation.owner);
            if reservation.owner.host == host && !earlier.contains(&owner) {
                tracing::info!(
                    reservation = reservation.id,
                    pid = owner.pid,
                    "its writer ended with an earlier agent"
                );
                store.abort(reservation.id)?;
            }
        }
        if holders.elsewhere() > 0 {
            tracing::warn!(
                processes = holders.elsewhere(),
                record = %holders.path().display(),
                "processes of another pid namespace may still map what an earlier agent granted, and are not seen to \
                 end: what is dropped of it is kept. Start the agent in that namespace, or stop it and remove the \
                 record once none of them runs"
            );
        } else if earlier.is_empty() && inherited.nothing_of_earlier() {
            store.lift_quarantine()?;
        } else {
            tracing::info!(
                processes = earlier.len(),
                ended_with_children = outlived.len(),
                "may still map what was granted by an earlier agent"
            );
        }
        // Numbers of an earlier agent's leases must not be given out again: its clients may still release them.
        let next_lease = (store.view().epoch() << 32) | 1;
        let (held, reserved) = (HashMap::new(), HashMap::new());
        let table =
            Table { next_lease, held, earlier, unwatched, reserved, holders, inherited, record_fault: None };
        let ends = EndWatch::new().map_err(AgentError::Watch)?;
        let room = Shares::new(limits.borrow().leases as u64);
        let (table, counts) = (Mutex::new(table), Arc::default());
        let processes = Shares::new(processes);
        let leases = Arc::new(Self { store, host, table, ends, limits, room, processes, counts });
        let told = Arc::downgrade(&leases);
        let ended = move |id| {
            if let Some(leases) = told.upgrade() {
                leases.end(id);
            }
        };
        leases.ends.start(ended).map_err(AgentError::Watch)?;
        for process in running {
            // They have what they have, also where there may be fewer by now.
            let share = leases.processes.try_take(&User::Unix(process.uid()), 1);
            leases.ends.watch(process, share).map_err(AgentError::Watch)?;
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
        self.check_holds(process)?;
        let mut table = self.table();
        // The process is on record before it is told where anything is.
        self.register(&mut table, process)?;
        let version = self.store.view().acquire_as(Some(process.uid()), name, version)?;
        match self.one_more(process, &version) {
            Ok(lease) => Ok((table.grant(process, lease), version)),
            Err(error) => {
                drop(table);
                self.give_back(process.uid(), &version);
                Err(error)
            }
        }
    }

    /// Leases on several versions as of one moment, and the sequence number of the last change before it. Those that would
    /// be too many are refused, each by itself.
    pub(crate) fn grant_all(
        &self,
        process: &Arc<Process>,
        frames: &[FrameRef],
    ) -> Result<(Vec<Result<Granted, AgentError>>, u64), AgentError> {
        self.check_holds(process)?;
        let mut too_many = Vec::new();
        let (granted, as_of) = {
            let mut table = self.table();
            self.register(&mut table, process)?;
            let (versions, as_of) = self.store.view().acquire_all(Some(process.uid()), frames)?;
            let grant = |version: Result<Arc<Version>, StoreError>| {
                let version = version?;
                match self.one_more(process, &version) {
                    Ok(lease) => Ok((table.grant(process, lease), version)),
                    Err(error) => {
                        too_many.push(version);
                        Err(error)
                    }
                }
            };
            (versions.into_iter().map(grant).collect(), as_of)
        };
        for version in too_many {
            self.give_back(process.uid(), &version);
        }
        Ok((granted, as_of))
    }

    /// Ends leases of `process`; ids that are not its own are ignored. Returns how many ended for it: those that its
    /// children may have inherited go on without it.
    pub(crate) fn release(&self, process: ProcessId, ids: &[u64]) -> Result<u64, AgentError> {
        let (mut count, over) = {
            let mut table = self.table();
            let Table { held, inherited, .. } = &mut *table;
            let Some(leases) = held.get_mut(&process) else { return Ok(0) };
            let released: Vec<_> =
                ids.iter().filter_map(|id| leases.remove(id).map(|lease| (*id, lease))).collect();
            (released.len() as u64, inherited.release(process, released))
        };
        let mut failed = None;
        for lease in over {
            if let Err(error) = self.store.release_as(Some(lease.on.uid), &lease.on.version) {
                (count, failed) = (count - 1, Some(error));
            }
        }
        failed.map_or(Ok(count), |error| Err(error.into()))
    }

    /// A page for `process`: its children are counted by it.
    pub(crate) fn page(&self, process: &Process) -> Result<(OwnedFd, u64), AgentError> {
        self.table().inherited.page(process.id(), process.uid())
    }

    /// Notes that `process` forked under this page when it had leases up to the number `up_to`.
    pub(crate) fn mark_inherited(&self, process: ProcessId, page: u64, up_to: u64) -> Result<(), AgentError> {
        self.table().inherited.mark(process, page, up_to)
    }

    /// True if `process` holds the lease `id`.
    pub(crate) fn holds(&self, process: ProcessId, id: u64) -> bool {
        self.table().held.get(&process).is_some_and(|leases| leases.contains_key(&id))
    }

    /// Space for `process` to write into: what `take` reserves for an owner, who may have so much.
    pub(crate) fn reserve(
        &self,
        process: &Arc<Process>,
        take: impl FnOnce(Owner, Quota) -> Result<Reservation, AgentError>,
    ) -> Result<Reservation, AgentError> {
        self.register(&mut self.table(), process)?;
        // This may wait for the catalog, which who is granted a lease need not: so the table is not locked.
        let quota = {
            let limits = self.limits.borrow();
            Quota {
                bytes_per_user: limits.bytes_per_user,
                reservations_per_process: Some(limits.reservations_per_process),
            }
        };
        let reservation = take(self.owner(process), quota)?;
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
            .view()
            .reservation(id)
            .filter(|reservation| reservation.owner == self.owner(process))
            .ok_or(AgentError::NotHeld { what: "reservation", id, pid: process.id().pid })
    }

    /// Ends a reservation, if there still is one of that number.
    pub(crate) fn abort(&self, id: u64) -> Result<(), AgentError> {
        match self.store.abort(id) {
            Ok(()) | Err(StoreError::NoReservation { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns how many leases there are.
    pub(crate) fn count(&self) -> u64 {
        self.room.taken()
    }

    /// Returns how long each reservation has been known: since this agent started, or since it was tidy last, at least.
    pub(crate) fn reservation_ages(&self) -> Vec<Duration> {
        let ids = self.store.view().reservations().into_iter().map(|taken| taken.id);
        let table = self.table();
        ids.map(|id| table.reserved.get(&id).map_or(Duration::ZERO, Instant::elapsed)).collect()
    }

    /// Returns how `process` is named in the catalog.
    pub(crate) fn owner(&self, process: &Process) -> Owner {
        let ProcessId { pid, start_time } = process.id();
        Owner { host: self.host, uid: process.uid(), pid, start_time }
    }

    /// Takes processes off the record that hold nothing any more, so that the next agent need not wait for their end.
    /// Called now and then rather than at each release: a process that gets a frame often would write the record
    /// each time. Also looks after the record, for children that have ended, which nobody watches, and for the end of
    /// processes that could not be watched.
    pub(crate) fn tidy(&self) {
        let (over, last_of_earlier, ended) = {
            let mut table = self.table();
            let before = table.nothing_of_earlier();
            let Table { held, earlier, inherited, .. } = &mut *table;
            let over = inherited.settle(|id| held.contains_key(&id) || earlier.contains(&id));
            table.keep_record(&self.store);
            (over, !before && table.nothing_of_earlier(), self.look_again(&mut table))
        };
        self.release_all(over);
        if last_of_earlier {
            self.lift_quarantine();
        }
        ended.into_iter().for_each(|id| self.end(id));
    }

    /// Watches processes that could not be watched before. Returns those that have ended.
    fn look_again(&self, table: &mut Table) -> Vec<ProcessId> {
        let mut ended = Vec::new();
        table.unwatched.retain(|&id, &mut uid| match Process::reopen(id, uid) {
            Ok(Some(process)) => {
                let share = self.processes.try_take(&User::Unix(uid), 1);
                self.ends.watch(Arc::new(process), share).is_err()
            }
            Ok(None) => {
                ended.push(id);
                false
            }
            Err(_) => true,
        });
        ended
    }

    /// Ends a reservation whose process ended while it was being committed, which failed.
    pub(crate) fn end_orphan(&self, process: ProcessId, reservation: u64) {
        let ended = !self.table().held.contains_key(&process);
        if ended && let Err(error) = self.store.abort(reservation) {
            tracing::debug!(pid = process.pid, reservation, %error, "ended already");
        }
    }

    /// Refuses a process whose user must let go of something first.
    fn check_holds(&self, process: &Process) -> Result<(), AgentError> {
        let most = self.limits.borrow().bytes_per_user;
        Ok(most.map_or(Ok(()), |most| self.store.view().check_holds(process.uid(), most))?)
    }

    /// One more lease of `process`'s, if its user may have one.
    fn one_more(&self, process: &Process, version: &Arc<Version>) -> Result<Lease, AgentError> {
        let limit = self.limits.borrow().leases;
        self.room.set_total(limit as u64);
        let user = User::Unix(process.uid());
        let share = self.room.try_take(&user, 1).ok_or_else(|| {
            let (uid, has, all) = (process.uid(), self.room.has(&user), self.room.taken());
            AgentError::ManyLeases { uid, has, all, limit }
        })?;
        Ok(Lease { on: self.counts.add(version, process.uid()), granted: Instant::now(), _share: share })
    }

    /// Makes sure that `process` is on record and watched.
    fn register(&self, table: &mut Table, process: &Arc<Process>) -> Result<(), AgentError> {
        let Table { held, holders, .. } = table;
        let entry = held.entry(process.id());
        let share = match &entry {
            Entry::Vacant(_) => Some(self.one_more_process(process)?),
            Entry::Occupied(_) => None,
        };
        holders.add(process.id(), process.uid()).map_err(AgentError::Holders)?;
        if let Entry::Vacant(vacant) = entry {
            // Its end, if it comes now, waits for the table's lock.
            self.ends.watch(process.clone(), share).map_err(AgentError::Watch)?;
            vacant.insert(BTreeMap::new());
        }
        Ok(())
    }

    /// Room for one more process of this one's user, if it may have one.
    fn one_more_process(&self, process: &Process) -> Result<Share, AgentError> {
        let user = User::Unix(process.uid());
        self.processes.try_take(&user, 1).ok_or_else(|| AgentError::ManyProcesses {
            uid: process.uid(),
            has: self.processes.has(&user),
            all: self.processes.taken(),
            limit: self.processes.total(),
        })
    }

    /// Everything of a process that has ended goes back.
    fn end(&self, id: ProcessId) {
        let (leases, over, last_of_earlier) = {
            let mut table = self.table();
            let Table { held, earlier, unwatched, inherited, holders, .. } = &mut *table;
            let held = held.remove(&id);
            let leases = held.as_ref().map_or(0, BTreeMap::len);
            let over = held.map(|leases| inherited.end(id, leases)).unwrap_or_default();
            let of_earlier = earlier.remove(&id) && !inherited.end_of_earlier(id);
            unwatched.remove(&id);
            let outlived = inherited.processes().contains(&id);
            if let Err(error) = holders.retain(|other| other != id || outlived) {
                tracing::warn!(pid = id.pid, %error, "it stays on record as a holder, which is tried again");
            }
            (leases, over, of_earlier && table.nothing_of_earlier())
        };
        let reservations: Vec<Reservation> = self
            .store
            .view()
            .reservations()
            .into_iter()
            .filter(|reservation| reservation.owner.host == self.host && process_of(&reservation.owner) == id)
            .collect();
        if leases > 0 || !reservations.is_empty() {
            tracing::debug!(
                pid = id.pid,
                leases,
                inherited = leases - over.len(),
                reservations = reservations.len(),
                "process ended"
            );
        }
        self.release_all(over);
        for reservation in reservations {
            match self.store.abort(reservation.id) {
                // Its last request, a commit, was still under way: that ends the reservation, one way or the other.
                Ok(()) | Err(StoreError::NoReservation { .. } | StoreError::ReservationBusy { .. }) => {}
                Err(error) => {
                    tracing::error!(pid = id.pid, reservation = reservation.id, %error, "its reservation could not be ended");
                }
            }
        }
        if last_of_earlier {
            self.lift_quarantine();
        }
    }

    fn release_all(&self, over: Vec<Lease>) {
        for lease in over {
            self.give_back(lease.on.uid, &lease.on.version);
        }
    }

    fn give_back(&self, uid: u32, version: &Version) {
        if let Err(error) = self.store.release_as(Some(uid), version) {
            tracing::error!(frame = %version.name, %error, "a lease could not be ended");
        }
    }

    fn lift_quarantine(&self) {
        if let Err(error) = self.store.lift_quarantine() {
            tracing::error!(%error, "what an earlier agent's clients mapped could not be freed");
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No invariant spans a panic: each change to the table is one insert or remove.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// True if nobody may map any more what an earlier agent granted.
    fn nothing_of_earlier(&self) -> bool {
        self.earlier.is_empty() && self.inherited.nothing_of_earlier() && self.holders.elsewhere() == 0
    }

    /// Takes processes off the record that need not be there, and writes it again if somebody has removed it.
    fn keep_record(&mut self, store: &Store) {
        let Self { held, earlier, reserved, holders, inherited, record_fault, .. } = self;
        let reservations = store.view().reservations();
        let now = Instant::now();
        *reserved =
            reservations.iter().map(|taken| (taken.id, *reserved.get(&taken.id).unwrap_or(&now))).collect();
        let writers: HashSet<ProcessId> = reservations.iter().map(|taken| process_of(&taken.owner)).collect();
        let holds = |id| held.get(&id).is_some_and(|leases| !leases.is_empty());
        let outlived = inherited.processes();
        let needed =
            |id| holds(id) || writers.contains(&id) || earlier.contains(&id) || outlived.contains(&id);
        let record = holders.path().display().to_string();
        let kept = holders.restore().and_then(|restored| holders.retain(needed).map(|()| restored));
        if let Ok(true) = kept {
            tracing::warn!(
                record,
                "the record of who maps the region was removed or replaced: it is written anew"
            );
        }
        // Said once for each fault: this is tried again every second.
        let fault = kept.err().map(|error| error.to_string());
        if let Some(error) = &fault
            && *record_fault != fault
        {
            tracing::warn!(record, error, "the record of who maps the region cannot be written");
        }
        *record_fault = fault;
    }

    /// The number of a new lease, of a process that is registered.
    fn grant(&mut self, process: &Process, lease: Lease) -> u64 {
        let id = self.next_lease;
        self.next_lease += 1;
        if let Some(leases) = self.held.get_mut(&process.id()) {
            leases.insert(id, lease);
        }
        id
    }
}

fn process_of(owner: &Owner) -> ProcessId {
    ProcessId { pid: owner.pid, start_time: owner.start_time }
}

#[cfg(test)]
mod tests;
