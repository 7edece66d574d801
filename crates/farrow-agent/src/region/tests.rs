use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use farrow_ipc::{MessageSizes, StreamSchema};
use farrow_region::FileMedia;
use farrow_store::{CommitOptions, FormatOptions, Owner, Quota, Reservation, StoreError};

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::awaited::Waits;

const HOST: Uuid = Uuid::from_u128(1);
/// As a put is committed.
const REPLACES: CommitOptions = CommitOptions { append: false, keep: None, if_version: None };
const OWNER: Owner = Owner { host: HOST, uid: 0, pid: 1, start_time: 0 };

struct Made {
    region: Region,
    _directory: tempfile::TempDir,
}

fn made() -> Made {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("region");
    let media = FileMedia::create(&path, 32 << 20, false).unwrap();
    Store::format(&media, &FormatOptions::new(HOST)).unwrap();
    drop(media);
    Made { region: Region::open(&path, HOST, CommitCheck::Values).unwrap(), _directory: directory }
}

impl Made {
    fn reserve(&self) -> (Reservation, u64) {
        let numbers: ArrayRef = Arc::new((0..1000).collect::<Int64Array>());
        let batch = RecordBatch::try_from_iter([("number", numbers)]).unwrap();
        let mut bytes = Vec::new();
        let len = farrow_ipc::write(&batch.schema(), &[batch], &mut bytes).unwrap();
        let reservation = self.region.store.reserve(OWNER, len).unwrap();
        let (offset, _) = self.region.store.view().media_ranges(&reservation.extents).unwrap()[0];
        self.region.store.view().media().write_at(offset, &bytes).unwrap();
        (reservation, len)
    }

    fn publish(&self, name: &str) -> Result<Arc<Version>, AgentError> {
        let (reservation, len) = self.reserve();
        let (_waits, caller) = Waits::new();
        self.region.commit(&[(reservation, len)], FrameName::parse(name).unwrap(), REPLACES, &caller)
    }

    fn rows(&self, version: &Version) -> Result<usize, AgentError> {
        let mut segment = self.region.segment(version, 0)?;
        let mut stream = StreamSchema::new(segment.schema())?;
        let sizes = MessageSizes { about: 1 << 20, most: 1 << 20 };
        let message =
            segment.next(&mut stream, sizes).map_err(|error| self.region.damaged(version, 0, error))?;
        Ok(message.map_or(0, |message| message.arrow_data.len() / 8))
    }

    /// Loses the page of a reservation or version that its extent begins with.
    fn lose(&self, extents: &[Extent]) -> u64 {
        let offset = usize::try_from(extents[0].offset).unwrap();
        self.region.pool(extents[0].pool).unwrap().lose(offset).unwrap();
        self.region.store.view().media_ranges(extents).unwrap()[0].0
    }
}

fn lost(error: AgentError) -> u64 {
    match error {
        AgentError::Region(RegionError::Lost { offset, .. })
        | AgentError::Store(StoreError::Media(RegionError::Lost { offset, .. })) => offset,
        other => panic!("{other}"),
    }
}

#[test]
fn a_loss_within_a_frame_is_that_frames() {
    let made = made();
    let (first, second) = (made.publish("first").unwrap(), made.publish("second").unwrap());
    assert!(made.region.lost().is_none());
    let place = made.lose(&first.segments[0].extents);
    assert_eq!(lost(made.rows(&first).unwrap_err()), place);
    assert_eq!(lost(made.region.schema(&first).unwrap_err()), place);
    assert_eq!(made.rows(&second).unwrap(), 1000);
    made.publish("third").unwrap();
    made.region.check().unwrap();
    assert_eq!(lost(made.region.lost().unwrap().into()), place, "and it is told");
}

#[test]
fn what_was_lost_is_not_published() {
    let made = made();
    let (reservation, len) = made.reserve();
    let place = made.lose(&reservation.extents);
    let name = FrameName::parse("a").unwrap();
    let (_waits, caller) = Waits::new();
    let committed = made.region.commit(&[(reservation.clone(), len)], name.clone(), REPLACES, &caller);
    assert_eq!(lost(committed.unwrap_err()), place);
    assert!(matches!(made.region.store.view().get(&name, None), Err(StoreError::FrameNotFound { .. })));
    assert_eq!(made.region.store.view().reservations().len(), 1, "it can be aborted");
}

#[test]
fn nothing_is_validated_or_published_for_a_caller_that_is_gone() {
    let made = made();
    let (reservation, len) = made.reserve();
    let name = FrameName::parse("a").unwrap();
    let (waits, caller) = Waits::new();
    drop(waits);
    let ended = made.region.commit(&[(reservation.clone(), len)], name.clone(), REPLACES, &caller);
    assert!(matches!(ended, Err(AgentError::Ipc(IpcError::Ended))), "{ended:?}");
    assert!(matches!(made.region.store.view().get(&name, None), Err(StoreError::FrameNotFound { .. })));
    // Another one may commit it.
    let (_waits, caller) = Waits::new();
    made.region.commit(&[(reservation, len)], name, REPLACES, &caller).unwrap();
}

#[test]
fn a_loss_in_the_catalog_ends_the_agent() {
    let made = made();
    let version = made.publish("before").unwrap();
    made.region.check().unwrap();
    let log = farrow_store::read_log(&**made.region.store.view().media()).unwrap();
    let files = log.namespace.unwrap();
    let catalog = files.files().find(|file| file.path.as_str() == "farrow/catalog").unwrap();
    let (place, _) = catalog.runs().next().unwrap();
    let Medium::Whole { media, .. } = &made.region.medium else { panic!("a file was opened") };
    media.lose(place).unwrap();
    assert_eq!(lost(made.region.check().unwrap_err()), place);
    // Until it ends it changes nothing, and answers nothing that rests on the catalog.
    assert_eq!(lost(made.region.store.reserve(OWNER, 1).unwrap_err().into()), place);
    let stopped = made.region.store.view().get(&version.name, None);
    assert!(matches!(stopped, Err(StoreError::Stopped)), "{stopped:?}");
}

fn writer(uid: u32) -> Option<crate::caller::Writer> {
    Some(crate::caller::Writer { uid, token: None })
}

fn wanted(uid: u32, len: u64) -> Wanted {
    Wanted { owner: Owner { uid, ..OWNER }, writer: writer(uid), len, quota: Quota::default() }
}

const AGENT: Owner = Owner { host: HOST, uid: 7, pid: 99, start_time: 9 };

fn is_zero(region: &Region, extents: &[Extent]) -> bool {
    region.store.view().media_ranges(extents).unwrap().into_iter().all(|(offset, len)| {
        let mut bytes = vec![1; usize::try_from(len).unwrap()];
        region.store.view().media().read_at(offset, &mut bytes).unwrap();
        bytes.iter().all(|&byte| byte == 0)
    })
}

fn fill(region: &Region, extents: &[Extent]) {
    for (offset, len) in region.store.view().media_ranges(extents).unwrap() {
        region.store.view().media().write_at(offset, &vec![0xaa; usize::try_from(len).unwrap()]).unwrap();
    }
}

#[test]
fn space_of_another_writer_is_zeroed_and_ones_own_is_not() {
    let Made { region, _directory } = made();
    let go_on = AtomicBool::new(false);
    let reserve = |uid| region.reserve(&wanted(uid, 3 << 20), AGENT, &go_on).unwrap();
    let first = reserve(1);
    assert!(is_zero(&region, &first.extents), "nobody knew what was there");
    fill(&region, &first.extents);
    region.store.abort(first.id).unwrap();
    let again = reserve(1);
    assert_eq!(again.extents, first.extents);
    assert!(!is_zero(&region, &again.extents), "its own bytes cost nothing");
    region.store.abort(again.id).unwrap();
    let other = reserve(2);
    assert_eq!((&other.extents, other.owner.uid, other.owner.pid), (&first.extents, 2, OWNER.pid));
    assert!(is_zero(&region, &other.extents));
}

#[test]
fn space_that_is_being_zeroed_is_the_agents_and_ends_with_its_caller() {
    let Made { region, _directory } = made();
    let given_up = AtomicBool::new(false);
    let turn = region.residue.turn();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| region.reserve(&wanted(1, 3 << 20), AGENT, &given_up));
        let taken = loop {
            if let Some(taken) = region.store.view().reservations().pop() {
                break taken;
            }
            std::thread::yield_now();
        };
        assert_eq!(taken.owner, Owner { uid: 1, ..AGENT }, "whoever guesses its number cannot commit it");
        given_up.store(true, Ordering::Relaxed);
        drop(turn);
        let refused = asked.join().unwrap();
        assert!(matches!(refused, Err(AgentError::GivenUp)), "{refused:?}");
    });
    assert!(region.store.view().reservations().is_empty());
}

#[test]
fn free_space_is_scrubbed_until_nobody_has_to_wait_for_it() {
    let Made { region, _directory } = made();
    let all = region.store.view().free_from((0, 0)).unwrap();
    fill(&region, &[all]);
    let taken = region.store.reserve(OWNER, 5 << 20).unwrap();
    let region = Arc::new(region);
    let mut scrubber = Scrubber::new(&region);
    while scrubber.scrub(&region) {}
    assert!(!is_zero(&region, &taken.extents), "it has a writer");
    let free = region.store.view().free_from((0, 0)).unwrap();
    assert!(is_zero(&region, &[free]));
    assert_eq!(region.residue.first_other(&[free], None), None);
}

/// `mkfs.famfs -k` takes the superblock away; what lies in the pools may be others' files from then on.
#[test]
fn nothing_is_scrubbed_of_another_file_system() {
    let Made { region, _directory } = made();
    let all = region.store.view().free_from((0, 0)).unwrap();
    fill(&region, &[all]);
    region.store.view().media().write_at(0, &[0; 8]).unwrap();
    let before = region.store.view().media_ranges(&[all]).unwrap();
    let region = Arc::new(region);
    let mut scrubber = Scrubber::new(&region);
    while scrubber.scrub(&region) {}
    for (offset, len) in before {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        region.store.view().media().read_at(offset, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0xaa), "something was written at {offset:#x}");
    }
    let refused = region.reserve(&wanted(1, 4096), AGENT, &AtomicBool::new(false));
    assert!(matches!(refused, Err(AgentError::Store(StoreError::Replaced { .. }))), "{refused:?}");
}

#[test]
fn free_space_of_another_master_is_not_scrubbed() {
    let Made { region, _directory } = made();
    let region = Arc::new(region);
    let mut scrubber = Scrubber::new(&region);
    let next = Store::open(region.store.view().media().clone(), HOST).unwrap();
    let theirs = next.reserve(OWNER, 3 << 20).unwrap();
    fill(&region, &theirs.extents);
    while scrubber.scrub(&region) {}
    assert!(!is_zero(&region, &theirs.extents));
}
