use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use farrow_region::FileMedia;
use farrow_store::{FormatOptions, Owner, StoreError};

use super::*;

const HOST: Uuid = Uuid::from_u128(1);
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
        let (offset, _) = self.region.store.media_ranges(&reservation.extents).unwrap()[0];
        self.region.store.media().write_at(offset, &bytes).unwrap();
        (reservation, len)
    }

    fn publish(&self, name: &str) -> Result<Arc<Version>, AgentError> {
        let (reservation, len) = self.reserve();
        self.region.commit(&[(reservation, len)], FrameName::parse(name).unwrap(), Onto::Nothing)
    }

    fn rows(&self, version: &Version) -> Result<usize, AgentError> {
        Ok(self.region.readers(version)?[0].batch(0)?.num_rows())
    }

    /// Loses the page of a reservation or version that its extent begins with.
    fn lose(&self, extents: &[Extent]) -> u64 {
        let offset = usize::try_from(extents[0].offset).unwrap();
        self.region.pool(extents[0].pool).unwrap().lose(offset).unwrap();
        self.region.store.media_ranges(extents).unwrap()[0].0
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
    assert_eq!(
        lost(made.region.commit(&[(reservation.clone(), len)], name.clone(), Onto::Nothing).unwrap_err()),
        place
    );
    assert!(matches!(made.region.store.get(&name, None), Err(StoreError::FrameNotFound { .. })));
    assert_eq!(made.region.store.reservations().len(), 1, "it can be aborted");
}

#[test]
fn a_loss_in_the_catalog_ends_the_agent() {
    let made = made();
    let version = made.publish("before").unwrap();
    made.region.check().unwrap();
    let log = farrow_store::read_log(&**made.region.store.media()).unwrap();
    let files = log.namespace.unwrap();
    let catalog = files.files().find(|file| file.path.as_str() == "farrow/catalog").unwrap();
    let (place, _) = catalog.runs().next().unwrap();
    let Medium::Whole { media, .. } = &made.region.medium else { panic!("a file was opened") };
    media.lose(place).unwrap();
    assert_eq!(lost(made.region.check().unwrap_err()), place);
    // Until it ends it changes nothing, and answers nothing that rests on the catalog.
    assert_eq!(lost(made.region.store.reserve(OWNER, 1).unwrap_err().into()), place);
    let stopped = made.region.store.get(&version.name, None);
    assert!(matches!(stopped, Err(StoreError::Stopped)), "{stopped:?}");
}
