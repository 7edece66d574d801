//! A process that writes into its reservation while the agent commits it: what is published may be anything that the
//! process wrote, the agent lives, and what it streams is in the region.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray as _;
use arrow_array::{
    Array as _, ArrayRef, BinaryArray, BinaryViewArray, DictionaryArray, Int32Array, NullArray, RecordBatch,
    StructArray, UnionArray,
};
use arrow_buffer::NullBuffer;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_schema::{DataType, Field, Fields, UnionFields};
use arrow_select::concat::concat;
use farrow_integration_tests::{Agent, Region};
use farrow_proto::{Action, v1};
use futures::TryStreamExt as _;
use tonic::{Code, Status};

use crate::residue::{ask, reserve};
use crate::written_after_commit::{Flight, ROWS, Segment, batch, columns, messages, published, ticket};

/// Rounds of commits in one test.
const COMMITS: usize = 60;

/// The outcomes of the commits.
#[derive(Debug, Default)]
struct Outcomes {
    refused: usize,
    streamed: usize,
    damaged: usize,
}

/// Changes words of a segment, and puts them back, until the agent has committed it; `COMMITS` times.
async fn commit_while_written(
    region: &Region,
    words: &'static [u8],
    (agent, mut flight, original): (Agent, Flight, Segment),
    check: impl Fn(Vec<FlightData>),
) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let len = original.bytes.len() as u64;
    for round in 0..COMMITS {
        let reservation = reserve(&agent, None, len).await;
        let [extent] = &reservation.extents[..] else { panic!("{reservation:?}") };
        let at = reservation.pools[0].ranges[0].offset + extent.offset;
        let file = std::fs::File::options().read(true).write(true).open(&region.path).unwrap();
        let segment = Segment { file, at, bytes: original.bytes.clone() };
        segment.restore(0, segment.bytes.len());
        let stop = Arc::new(AtomicBool::new(false));
        let writer = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut random = fastrand::Rng::with_seed(round as u64);
                while !stop.load(Ordering::Relaxed) {
                    let at = random.usize(..segment.bytes.len() / 8) * 8;
                    let word: Vec<u8> =
                        (0..random.usize(1..=8)).map(|_| words[random.usize(..words.len())]).collect();
                    segment.put(at, &word);
                    segment.restore(at, 8);
                }
            }
        });
        let request = v1::CommitRequest {
            reservation: reservation.id,
            len,
            name: "b".to_owned(),
            ..Default::default()
        };
        let committed = ask::<v1::FrameInfo>(&agent, None, Action::Commit, &request).await;
        if let Err(status) = committed {
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            let request = v1::AbortRequest { reservation: reservation.id };
            ask::<v1::ReleaseResult>(&agent, None, Action::Abort, &request).await.unwrap();
            outcomes.refused += 1;
        } else {
            for _ in 0..2 {
                match stream(&mut flight).await {
                    Ok(messages) => {
                        check(messages);
                        outcomes.streamed += 1;
                    }
                    Err(status) => {
                        assert_eq!(status.code(), Code::DataLoss, "{status:?}");
                        assert_eq!(
                            status.metadata().get("x-farrow-reason").unwrap(),
                            "corrupt",
                            "{status:?}"
                        );
                        outcomes.damaged += 1;
                    }
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
    outcomes
}

async fn stream(flight: &mut Flight) -> Result<Vec<FlightData>, Status> {
    let ticket = ticket(flight, "b").await?;
    messages(flight, &ticket).await
}

fn decoded(messages: Vec<FlightData>) -> Vec<RecordBatch> {
    let stream = futures::stream::iter(messages.into_iter().map(Ok));
    let batches = FlightRecordBatchStream::new_from_flight_data(stream).try_collect();
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(batches)).unwrap()
}

fn values_of(column: &ArrayRef) -> Vec<Vec<u8>> {
    let owned =
        |values: &mut dyn Iterator<Item = Option<&[u8]>>| values.flatten().map(<[u8]>::to_vec).collect();
    match column.data_type() {
        DataType::Binary => owned(&mut column.as_binary::<i32>().iter()),
        DataType::BinaryView => owned(&mut column.as_binary_view().iter()),
        _ => owned(&mut column.as_any_dictionary().values().as_binary::<i32>().iter()),
    }
}

fn repeated(columns: Vec<(&'static str, ArrayRef)>, times: usize) -> RecordBatch {
    let repeat = |column: ArrayRef| concat(&vec![column.as_ref(); times]).unwrap();
    batch(columns.into_iter().map(|(name, column)| (name, repeat(column))).collect())
}

/// Structs whose fields have no nulls but where they have, by what the fields refer to.
fn structs(columns: &[(&'static str, ArrayRef)]) -> ArrayRef {
    let named = ["dense union", "sparse union", "runs", "dictionary of nulls"].map(|name| {
        let column = columns.iter().find(|(found, _)| *found == name).map(|(_, column)| Arc::clone(column));
        (name, column.unwrap_or_else(dictionary_of_nulls))
    });
    let nulls = named
        .iter()
        .fold(None, |all, (_, column)| NullBuffer::union(all.as_ref(), column.logical_nulls().as_ref()));
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), false);
    let fields: Fields = named.iter().map(field).collect();
    Arc::new(StructArray::new(fields, named.map(|(_, column)| column).into(), nulls))
}

fn dictionary_of_nulls() -> ArrayRef {
    let words: ArrayRef = Arc::new(BinaryArray::from_iter([Some(b"a"), None, Some(b"b")]));
    Arc::new(DictionaryArray::new((0..ROWS).map(|row| row % 3).collect::<Int32Array>(), words))
}

/// Metadata, offsets, views, type ids, keys, run ends, bitmaps, values: of each layout.
#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_may_be_written_while_it_is_committed() {
    let mut refused = 0;
    let mut columns = columns();
    columns.push(("structs", structs(&columns)));
    for (name, column) in columns {
        let region = Region::new("64MiB");
        let rows = repeated(vec![(name, column)], 40);
        let published = published(&region, rows).await;
        let most = 4 * published.2.bytes.len();
        let words = &[0, 1, 2, 3, 4, 8, 0x7f, 0x80, 0xf0, 0xff];
        let outcomes = commit_while_written(&region, words, published, |messages| {
            let sent: usize = messages.iter().map(|message| message.data_body.len()).sum();
            assert!(sent < most, "{name}: {sent} bytes");
        })
        .await;
        assert!(outcomes.streamed > 0, "{name}: {outcomes:?}");
        refused += outcomes.refused;
    }
    assert!(refused > 0, "none was changed before it was looked at");
}

/// So many that between two looks at a type id there is time to change it.
#[tokio::test(flavor = "multi_thread")]
async fn many_type_ids_may_be_written_while_they_are_committed() {
    const COUNT: i32 = 100_000;
    let children: Vec<ArrayRef> =
        vec![Arc::new(NullArray::new(100_000)), Arc::new(Int32Array::from_iter_values(0..2))];
    let fields = [Field::new("nothing", DataType::Null, true), Field::new("number", DataType::Int32, true)];
    let fields = UnionFields::try_new([3, 8], fields).unwrap();
    let ids = (0..COUNT).map(|row| if row == 0 { 8 } else { 3 }).collect::<Vec<i8>>();
    let offsets = (0..COUNT).map(|row| row.max(1)).collect::<Vec<i32>>();
    let union = UnionArray::try_new(fields, ids.into(), Some(offsets.into()), children).unwrap();
    let region = Region::new("64MiB");
    let published = published(&region, batch(vec![("union", Arc::new(union))])).await;
    let outcomes = commit_while_written(&region, &[0, 1, 3, 8, 0x7f, 0xff], published, drop).await;
    assert!(outcomes.refused > 0, "{outcomes:?}");
}

/// The values of what is streamed have no byte that is not in the frame or was written to it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_during_a_commit_is_streamed_from_the_region() {
    let texts: Vec<Vec<u8>> = (0..400_usize).map(|row| vec![b"abc"[row % 3]; 20 + row % 7]).collect();
    let values: ArrayRef = Arc::new(BinaryArray::from_iter_values(&texts));
    let keys = Int32Array::from_iter_values((0..400).map(|row| row * 7 % 400));
    let region = Region::new("64MiB");
    let rows = batch(vec![
        ("bytes", Arc::clone(&values)),
        ("views", Arc::new(BinaryViewArray::from_iter_values(&texts))),
        ("dictionary", Arc::new(DictionaryArray::new(keys, values))),
    ]);
    let published = published(&region, rows).await;
    // Offsets and lengths that lead elsewhere, and are no letters.
    let words = &[0, 1, 2, 3, 7, 0x10, 0x7f, 0xff];
    let allowed: HashSet<u8> = words.iter().copied().chain(*b"abc").collect();
    let outcomes = commit_while_written(&region, words, published, |messages| {
        for batch in decoded(messages) {
            let values = batch.columns().iter().flat_map(values_of);
            let strange = values.flatten().find(|byte| !allowed.contains(byte));
            assert_eq!(strange, None, "a byte that nobody wrote");
        }
    })
    .await;
    assert!(outcomes.streamed > 0, "{outcomes:?}");
}
