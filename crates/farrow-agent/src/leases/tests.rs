use farrow_region::FileMedia;
use farrow_store::{FormatOptions, NewSegment, NewVersion, Validation};

use super::*;
use crate::family_pages::FamilyPages;

const HOST: Uuid = Uuid::from_u128(1);
/// A user who has no processes here.
const OTHER: u32 = 4711;

/// Processes that may hold something.
const PROCESSES: u64 = 8;

pub(super) struct Made {
    pub(super) leases: Arc<Leases>,
    store: Arc<Store>,
    limits: watch::Sender<Limits>,
    pub(super) process: Arc<Process>,
    _directory: tempfile::TempDir,
}

/// A region with the frame `a`, of which there may be so many leases.
pub(super) fn made(leases: usize) -> Made {
    let directory = tempfile::tempdir().unwrap();
    let media = FileMedia::create(directory.path().join("region"), 32 << 20, false).unwrap();
    Store::format(&media, &FormatOptions::new(HOST)).unwrap();
    let store = Arc::new(Store::open(Arc::new(media), HOST).unwrap());
    let holders = Holders::open(&directory.path().join("holders")).unwrap();
    let inherited = Inherited::new(FamilyPages::open(&directory.path().join("pages"), 1).unwrap());
    let limits = watch::Sender::new(Limits { leases, ..Limits::default() });
    let leases =
        Leases::take_up(store.clone(), HOST, holders, inherited, limits.subscribe(), PROCESSES).unwrap();
    let process = Arc::new(Process::this().unwrap());
    let made = Made { leases, store, limits, process, _directory: directory };
    made.publish();
    made
}

fn a() -> FrameName {
    FrameName::parse("a").unwrap()
}

impl Made {
    fn publish(&self) {
        let reservation = self.store.reserve(self.leases.owner(&self.process), 4096).unwrap();
        let segment = NewSegment {
            reservation: reservation.id,
            len: 4096,
            rows: 1,
            batches: 1,
            metadata_digest: 0,
            checksums: Vec::new(),
            validation: Validation::None,
        };
        let (schema_fingerprint, committed_at_micros) = (0, 0);
        let version =
            NewVersion { name: a(), schema_fingerprint, committed_at_micros, segments: vec![segment] };
        self.store.commit(version).unwrap();
    }

    fn others(&self) -> Arc<Process> {
        Arc::new(Process::reopen(self.process.id(), OTHER).unwrap().unwrap())
    }

    pub(super) fn grant(&self, process: &Arc<Process>) -> Result<u64, AgentError> {
        self.leases.grant(process, &a(), None).map(|(lease, _)| lease)
    }

    /// As many leases as the process gets, and the error behind them.
    fn grant_all_there_are(&self, process: &Arc<Process>) -> (Vec<u64>, String) {
        let mut granted = Vec::new();
        loop {
            match self.grant(process) {
                Ok(lease) => granted.push(lease),
                Err(error) => return (granted, error.to_string()),
            }
        }
    }

    pub(super) fn release(&self, ids: &[u64]) -> u64 {
        self.leases.release(self.process.id(), ids).unwrap()
    }
}

#[test]
fn one_user_has_a_half_of_all_leases_and_others_find_theirs() {
    let made = made(8);
    let (own, told) = made.grant_all_there_are(&made.process);
    assert_eq!((own.len(), made.leases.count()), (4, 4));
    let uid = made.process.uid();
    for part in [
        &format!("user {uid} have 4 leases; all users have 4 of 8"),
        "limits.leases",
        "release frames",
        "farrow leases",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let (others, told) = made.grant_all_there_are(&made.others());
    assert_eq!(others.len(), 2, "{told}");
    // A released lease makes room for its user; to release its number again makes none.
    assert_eq!(made.release(&own[..1]), 1);
    assert_eq!((made.release(&own[..1]), made.leases.count()), (0, 5));
    assert_eq!(
        made.grant_all_there_are(&made.process).0.len(),
        0,
        "the other one has 2, so 3 are left to this one"
    );
    assert_eq!(made.release(&own), 3);
    assert_eq!((made.leases.count(), made.grant_all_there_are(&made.process).0.len()), (2, 3));
}

#[test]
fn what_is_not_granted_counts_for_nothing() {
    let made = made(4);
    let missing = FrameName::parse("b").unwrap();
    for _ in 0..8 {
        made.leases.grant(&made.process, &missing, None).unwrap_err();
    }
    assert_eq!(made.leases.count(), 0);
    let (granted, _) = made.grant_all_there_are(&made.process);
    assert_eq!(granted.len(), 2);
    // At the limit as well, one that is not there is told to be missing, and one that is there is not held.
    let error = made.leases.grant(&made.process, &missing, None).unwrap_err();
    assert!(matches!(error, AgentError::Store(StoreError::FrameNotFound { .. })), "{error}");
    made.store.drop_frame(&a(), None).unwrap();
    made.release(&granted);
    assert_eq!((made.leases.count(), made.store.view().usage().held), (0, 0));
}

#[test]
fn of_many_names_those_are_granted_that_fit_and_nothing_is_held_for_the_others() {
    let made = made(8);
    let missing = FrameRef::parse("b").unwrap();
    let wanted = FrameRef::parse("a").unwrap();
    let frames: Vec<FrameRef> =
        std::iter::repeat_n(missing, 5).chain(std::iter::repeat_n(wanted, 6)).collect();
    let (answers, _) = made.leases.grant_all(&made.process, &frames).unwrap();
    let granted: Vec<u64> = answers.iter().flatten().map(|(lease, _)| *lease).collect();
    assert_eq!(granted.len(), 4, "those that are not there take no place");
    let refused: Vec<_> = answers.iter().map(|answer| answer.as_ref().map(drop)).collect();
    assert!(refused[5..9].iter().all(Result::is_ok));
    for refused in &refused[9..] {
        assert!(
            matches!(refused, Err(AgentError::ManyLeases { has: 4, all: 4, limit: 8, .. })),
            "{refused:?}"
        );
    }
    made.store.drop_frame(&a(), None).unwrap();
    assert!(made.store.view().usage().held > 0);
    made.release(&granted);
    assert_eq!((made.leases.count(), made.store.view().usage().held), (0, 0));
}

#[test]
fn the_limit_that_holds_is_the_latest_one() {
    let made = made(2);
    assert_eq!(made.grant_all_there_are(&made.process).0.len(), 1);
    made.limits.send_modify(|limits| limits.leases = 10);
    let (granted, _) = made.grant_all_there_are(&made.process);
    assert_eq!(granted.len(), 4);
    made.limits.send_modify(|limits| limits.leases = 1);
    assert_eq!(
        (made.grant_all_there_are(&made.process).0.len(), made.leases.count()),
        (0, 5),
        "nobody loses one"
    );
    made.release(&granted);
    assert_eq!(made.grant_all_there_are(&made.process).0.len(), 0, "there is still one");
}

#[test]
fn a_lease_counts_as_long_as_children_may_have_it() {
    let made = made(4);
    let page = made.leases.page(&made.process).unwrap();
    let lease = made.grant(&made.process).unwrap();
    made.leases.mark_inherited(made.process.id(), page.1, lease).unwrap();
    made.release(&[lease]);
    assert_eq!(made.leases.count(), 1, "a child has it");
    let (granted, _) = made.grant_all_there_are(&made.process);
    assert_eq!(granted.len(), 1);
    // The process ends, as far as its leases are concerned.
    made.leases.end(made.process.id());
    assert_eq!(made.leases.count(), 2, "it may have forked last");
    made.leases.tidy();
    assert_eq!(made.leases.count(), 2);
    made.is_over(page);
    assert_eq!(made.leases.count(), 0);
}

#[test]
fn leases_count_by_version_and_user_as_long_as_they_are_listed() {
    let made = made(100);
    made.publish();
    let (process, others) = (&made.process, made.others());
    let page = made.leases.page(process).unwrap();
    let on = |number| {
        let version = made.store.view().get(&a(), Some(number)).unwrap();
        let mut listed = BTreeMap::new();
        for lease in made.leases.list() {
            *listed.entry((lease.version.seq, lease.uid)).or_default() += 1;
        }
        assert_eq!(*made.leases.counts.by_version(), listed);
        let of = |whose: &dyn Fn(u32) -> bool| made.leases.on(&version, whose);
        (of(&|_| true), of(&|uid| uid == process.uid()), of(&|uid| uid == OTHER), of(&|_| false))
    };
    let grant = |process, number| made.leases.grant(process, &a(), Some(number)).unwrap().0;
    assert_eq!(on(1), (0, 0, 0, 0));
    let first = [grant(process, 1), grant(process, 1), grant(&others, 1)];
    let second = grant(process, 2);
    assert_eq!((on(1), on(2)), ((3, 2, 1, 0), (1, 1, 0, 0)));
    // One that is not granted counts for nobody.
    made.limits.send_modify(|limits| limits.leases = 1);
    made.leases.grant(process, &a(), Some(1)).unwrap_err();
    assert_eq!(on(1), (3, 2, 1, 0));
    made.limits.send_modify(|limits| limits.leases = 100);
    let frames = [FrameRef::parse("a@1").unwrap(), FrameRef::parse("a@7").unwrap()];
    made.leases.grant_all(&others, &frames).unwrap();
    assert_eq!(on(1), (4, 2, 2, 0));
    assert_eq!(made.release(&[first[0], first[0], 99]), 1);
    assert_eq!(on(1), (3, 1, 2, 0));
    // A child has it.
    made.leases.mark_inherited(process.id(), page.1, second).unwrap();
    made.release(&[first[1], second]);
    assert_eq!((on(1), on(2)), ((3, 1, 2, 0), (1, 1, 0, 0)));
    grant(process, 2);
    made.leases.end(process.id());
    assert_eq!((on(1), on(2)), ((3, 1, 2, 0), (2, 2, 0, 0)), "it may have forked last");
    made.is_over(page);
    assert_eq!((on(1), on(2)), ((0, 0, 0, 0), (0, 0, 0, 0)));
}

#[test]
fn all_leases_are_listed_by_number_some_at_a_time() {
    let made = made(10_000);
    let page = made.leases.page(&made.process).unwrap();
    let mut all = Vec::new();
    for _ in 0..700 {
        all.push(made.grant(&made.process).unwrap());
    }
    let inherited: Vec<u64> = all.iter().copied().step_by(3).collect();
    made.leases.mark_inherited(made.process.id(), page.1, u64::MAX).unwrap();
    made.release(&inherited);
    let mut listed = made.leases.list();
    let first = listed.next().unwrap();
    assert_eq!((first.id, first.process, first.inherited), (all[0], made.process.id(), true));
    // What goes meanwhile is left out, as far as it was not looked up; what comes is not waited for.
    let gone = all[699 - 1];
    assert!(!inherited.contains(&gone));
    made.leases.release(made.process.id(), &[gone]).unwrap();
    let new = made.grant(&made.process).unwrap();
    let rest: Vec<_> = listed.map(|lease| (lease.id, lease.inherited)).collect();
    let expected: Vec<_> = all[1..].iter().map(|id| (*id, inherited.contains(id) || *id == gone)).collect();
    assert_eq!(rest, expected);
    made.is_over(page);
    let left: Vec<u64> = made.leases.list().map(|lease| lease.id).collect();
    let expected: Vec<u64> =
        all.iter().copied().filter(|id| !inherited.contains(id) && *id != gone).chain([new]).collect();
    assert_eq!(left, expected);
    assert_eq!(made.leases.count(), left.len() as u64);
}

/// In `SECURITY.md` and `agent.toml`: what a lease takes, in a tree that is at least half full.
#[test]
fn a_lease_takes_so_many_bytes_whatever_is_said_of_it() {
    let entry = size_of::<u64>() + size_of::<Lease>();
    // The only one of its user on its version.
    let counted = size_of::<(u64, u32)>() + size_of::<u64>();
    assert!(entry <= 88 && 2 * (entry + counted) + 24 <= 250, "{entry}");
}

/// A process that runs until it is killed, as one of this user's.
fn running(uid: u32) -> (std::process::Child, Arc<Process>) {
    let child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let process = Process::open(child.id().try_into().unwrap(), uid).unwrap();
    (child, Arc::new(process))
}

#[test]
fn one_users_processes_leave_descriptors_for_others() {
    let made = made(100);
    let mut children = Vec::new();
    let told = loop {
        let (child, process) = running(OTHER);
        children.push(child);
        if let Err(error) = made.grant(&process) {
            break error.to_string();
        }
        made.grant(&process).unwrap();
    };
    // The test's own process has published, so it is one of the eight.
    assert!((3..=4).contains(&(children.len() - 1)), "{told}");
    for part in ["processes that have mapped", "of 8", "farrow leases", "LimitNOFILE"] {
        assert!(told.contains(part), "{told}");
    }
    let (child, process) = running(OTHER + 1);
    children.push(child);
    made.grant(&process).unwrap();

    children[0].kill().unwrap();
    children[0].wait().unwrap();
    let (child, process) = running(OTHER);
    children.push(child);
    // The kernel tells the agent of the end some time after it.
    let start = Instant::now();
    while let Err(error) = made.grant(&process) {
        assert!(
            matches!(error, AgentError::ManyProcesses { .. }) && start.elapsed().as_secs() < 60,
            "{error}"
        );
        std::thread::yield_now();
    }
    for mut child in children.drain(1..) {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
