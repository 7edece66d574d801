//! A process that writes into a frame after its commit: the agent streams what is there, or an error, and lives.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, LargeListArray, LargeListViewArray,
    LargeStringArray, ListArray, ListViewArray, MapArray, OffsetSizeTrait, RecordBatch, RunArray,
    StringArray, StringViewArray, StructArray, UnionArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use arrow_schema::{DataType, Field, Fields, UnionFields};
use arrow_select::concat::concat;
use farrow_integration_tests::{Agent, Region};
use futures::TryStreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

pub(crate) type Flight = FlightServiceClient<Channel>;

pub(crate) const ROWS: i32 = 24;

pub(crate) async fn connect(agent: &Agent) -> Flight {
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

pub(crate) async fn ticket(flight: &mut Flight, name: &str) -> Result<Ticket, Status> {
    let info = flight.get_flight_info(FlightDescriptor::new_path(vec![name.into()])).await?.into_inner();
    Ok(info.endpoint[0].ticket.clone().unwrap())
}

pub(crate) async fn messages(flight: &mut Flight, ticket: &Ticket) -> Result<Vec<FlightData>, Status> {
    flight.do_get(ticket.clone()).await?.into_inner().try_collect().await
}

/// A frame's bytes in the region's file.
pub(crate) struct Segment {
    pub(crate) file: File,
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Segment {
    /// The only one.
    fn find(region: &Region, len: i64) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(&region.path).unwrap();
        let mut page = [0; 6];
        let size = file.metadata().unwrap().len();
        let begins = |at: &u64| {
            file.read_exact_at(&mut page, *at).unwrap();
            &page == b"ARROW1"
        };
        let at = (0..size).step_by(4096).find(begins).unwrap();
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        file.read_exact_at(&mut bytes, at).unwrap();
        Self { file, at, bytes }
    }

    pub(crate) fn put(&self, at: usize, bytes: &[u8]) {
        self.file.write_all_at(bytes, self.at + at as u64).unwrap();
    }

    /// Puts back what the commit had there.
    pub(crate) fn restore(&self, at: usize, len: usize) {
        self.put(at, &self.bytes[at..at + len]);
    }
}

fn item(data_type: &DataType) -> Arc<Field> {
    Arc::new(Field::new_list_field(data_type.clone(), true))
}

/// A column of each layout that refers to something.
pub(crate) fn columns() -> Vec<(&'static str, ArrayRef)> {
    let texts: Vec<String> =
        (0..ROWS).map(|row| format!("a text too long to be in its view {row}")).collect();
    let numbers: ArrayRef =
        Arc::new(Int64Array::from_iter((0..i64::from(2 * ROWS)).map(|n| (n % 5 != 0).then_some(n))));
    let number = item(&DataType::Int64);
    let strings: ArrayRef = Arc::new(StringArray::from_iter_values(&texts));
    let offsets = || offsets_of::<i32>(2);
    let starts = |n: i32| (0..ROWS).map(|row| (row * 7 % ROWS) * n).collect::<Vec<_>>();
    let wide = |numbers: Vec<i32>| numbers.into_iter().map(i64::from).collect::<Vec<_>>();
    let entries = StructArray::new(
        Fields::from(vec![
            Field::new("keys", DataType::Int64, false),
            Field::new("values", DataType::Int64, true),
        ]),
        vec![Arc::new(Int64Array::from_iter_values(0..i64::from(2 * ROWS))), Arc::clone(&numbers)],
        None,
    );
    let entry = Arc::new(Field::new("entries", entries.data_type().clone(), false));
    let fields = UnionFields::try_new(
        [3, 8],
        [Field::new("number", DataType::Int64, true), Field::new("text", DataType::Utf8, true)],
    )
    .unwrap();
    let ids = || (0..ROWS).map(|row| if row % 2 == 0 { 3 } else { 8 }).collect::<Vec<i8>>();
    let sparse = vec![numbers.slice(0, texts.len()), Arc::clone(&strings)];
    let dense = vec![Arc::clone(&numbers), Arc::clone(&strings)];
    let ends = Int32Array::from_iter_values((1..=ROWS / 3).map(|run| run * 3));
    let words: DictionaryArray<Int32Type> = texts.iter().map(|text| Some(text.as_str())).collect();
    vec![
        ("number", numbers.slice(0, texts.len())),
        ("text", Arc::clone(&strings)),
        ("large text", Arc::new(LargeStringArray::from_iter_values(&texts))),
        ("view", Arc::new(StringViewArray::from_iter_values(&texts))),
        ("list", Arc::new(ListArray::new(Arc::clone(&number), offsets(), Arc::clone(&numbers), None))),
        (
            "large list",
            Arc::new(LargeListArray::new(Arc::clone(&number), offsets_of(2), Arc::clone(&numbers), None)),
        ),
        (
            "list view",
            Arc::new(ListViewArray::new(
                Arc::clone(&number),
                starts(2).into(),
                vec![2; texts.len()].into(),
                Arc::clone(&numbers),
                None,
            )),
        ),
        (
            "large list view",
            Arc::new(LargeListViewArray::new(
                number,
                wide(starts(2)).into(),
                vec![2; texts.len()].into(),
                Arc::clone(&numbers),
                None,
            )),
        ),
        ("map", Arc::new(MapArray::new(entry, offsets(), entries, None, false))),
        ("sparse union", Arc::new(UnionArray::try_new(fields.clone(), ids().into(), None, sparse).unwrap())),
        (
            "dense union",
            Arc::new(UnionArray::try_new(fields, ids().into(), Some((0..ROWS).collect()), dense).unwrap()),
        ),
        ("runs", Arc::new(RunArray::<Int32Type>::try_new(&ends, &numbers.slice(0, ends.len())).unwrap())),
        ("dictionary", Arc::new(words)),
    ]
}

fn offsets_of<O: OffsetSizeTrait>(each: usize) -> OffsetBuffer<O> {
    OffsetBuffer::from_repeated_length(each, usize::try_from(ROWS).unwrap())
}

pub(crate) fn batch(columns: Vec<(&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

pub(crate) async fn published(region: &Region, batch: RecordBatch) -> (Agent, Flight, Segment) {
    let mut agent = region.agent();
    agent.errs();
    agent.client().await.put("a", batch.schema(), vec![batch]).await.unwrap();
    let mut flight = connect(&agent).await;
    let info =
        flight.get_flight_info(FlightDescriptor::new_path(vec!["a".into()])).await.unwrap().into_inner();
    let segment = Segment::find(region, info.total_bytes);
    (agent, flight, segment)
}

fn assert_told(status: &Status) {
    assert_eq!(status.code(), Code::DataLoss, "{status:?}");
    assert_eq!(status.metadata().get("x-farrow-reason").unwrap(), "corrupt");
    assert!(status.message().starts_with("`a@1` was changed since its commit: segment 0, "), "{status:?}");
}

/// One word at a time, all of them: metadata, offsets, views, type ids, keys, run ends, bitmaps, values.
#[tokio::test(flavor = "multi_thread")]
async fn any_word_of_a_frame_may_be_anything() {
    let mut refused = Vec::new();
    for (name, column) in columns() {
        let region = Region::new("64MiB");
        let (agent, mut flight, segment) = published(&region, batch(vec![(name, column)])).await;
        let ticket = ticket(&mut flight, "a").await.unwrap();
        let whole = messages(&mut flight, &ticket).await.unwrap();
        let sent =
            |messages: &[FlightData]| messages.iter().map(|message| message.data_body.len()).sum::<usize>();
        let mut damaged = 0;
        for (number, at) in (0..segment.bytes.len() / 4 * 4).step_by(4).enumerate() {
            let word = [0xffff_ffff_u32, 0x7fff_fff0, 0x0001_0000, 0x8000_0000][number % 4];
            segment.put(at, &word.to_le_bytes());
            match messages(&mut flight, &ticket).await {
                Ok(messages) => {
                    assert!(sent(&messages) <= 2 * sent(&whole), "{name}: more than there is, word {at}");
                }
                Err(status) => {
                    assert_told(&status);
                    damaged += 1;
                }
            }
            segment.restore(at, 4);
        }
        assert!(messages(&mut flight, &ticket).await.unwrap() == whole, "{name}");
        assert!(!agent.log().contains("panicked"), "{name}: {}", agent.log());
        refused.push((name, damaged));
    }
    assert!(refused.iter().all(|(name, damaged)| *damaged > 40 || *name == "number"), "{refused:?}");
}

/// The bytes of the agent's own memory are in no message: a view that points past its buffer is an error.
#[tokio::test]
async fn a_view_that_points_past_its_buffer_is_told_with_its_place() {
    let region = Region::new("64MiB");
    let views = columns().into_iter().filter(|(name, _)| *name == "view").collect();
    let (agent, mut flight, segment) = published(&region, batch(views)).await;
    let ticket = ticket(&mut flight, "a").await.unwrap();
    // The first view: its length, its prefix, the buffer's index, the offset.
    let view = [&34_u32.to_le_bytes()[..], b"a te"].concat();
    let at =
        segment.bytes.windows(8).position(|bytes| bytes[1..4] == [0; 3] && bytes[4..] == view[4..]).unwrap();
    for (part, word) in [(12, 1_u32 << 20), (8, 77), (0, 0x4000_0000)] {
        segment.put(at + part, &word.to_le_bytes());
        let status = messages(&mut flight, &ticket).await.unwrap_err();
        assert_told(&status);
        let place = "segment 0, record batch 0: column 0 (\"view\"): end of a view ";
        assert!(status.message().contains(place), "{status:?}");
        segment.restore(at, 16);
    }
    messages(&mut flight, &ticket).await.unwrap();
    let log = agent.log();
    assert_eq!(log.matches("published bytes were changed").count(), 1, "once for a segment: {log}");
}

/// What is read twice may differ the second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_frame_may_be_written_while_it_is_streamed() {
    let region = Region::new("64MiB");
    let repeat = |column: ArrayRef| concat(&vec![column.as_ref(); 400]).unwrap();
    let columns = columns().into_iter().map(|(name, column)| (name, repeat(column))).collect();
    let (agent, mut flight, segment) = published(&region, batch(columns)).await;
    let ticket = ticket(&mut flight, "a").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut random = fastrand::Rng::with_seed(7);
            let mut written = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let places: Vec<_> = (0..8).map(|_| random.usize(..segment.bytes.len() / 8) * 8).collect();
                places
                    .iter()
                    .for_each(|at| segment.put(*at, &random.u64(..).to_le_bytes()[..random.usize(1..=8)]));
                places.iter().for_each(|at| segment.restore(*at, 8));
                written += 1;
            }
            written
        }
    });
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut flight, ticket) = (connect(&agent).await, ticket.clone());
        streams.spawn(async move {
            let mut told = 0;
            for _ in 0..60 {
                if let Err(status) = messages(&mut flight, &ticket).await {
                    assert_told(&status);
                    told += 1;
                }
            }
            told
        });
    }
    let told: u64 = streams.join_all().await.into_iter().sum();
    stop.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    messages(&mut flight, &ticket).await.unwrap();
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
    assert!(written > 0 && told > 0, "{written} rounds of writing, {told} streams were told");
}

/// Rows that are in no order where they lie are sent once: 8 MiB of list views, in messages of a mebibyte.
#[tokio::test]
async fn shuffled_list_views_are_sent_once() {
    let region = Region::new("64MiB");
    let rows = 1 << 17;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8 * i64::from(rows)));
    let starts: Vec<i32> = (0..rows).map(|row| row * 4099 % rows * 8).collect();
    let sizes = vec![8; starts.len()];
    let views = ListViewArray::new(item(&DataType::Int64), starts.into(), sizes.into(), numbers, None);
    let (_agent, mut flight, segment) = published(&region, batch(vec![("list view", Arc::new(views))])).await;
    let ticket = ticket(&mut flight, "a").await.unwrap();
    let messages = messages(&mut flight, &ticket).await.unwrap();
    let sent: usize = messages.iter().map(|message| message.data_body.len()).sum();
    assert!(sent < segment.bytes.len() + segment.bytes.len() / 4, "{sent} bytes for {}", segment.bytes.len());
    assert!(messages.iter().all(|message| message.data_body.len() <= 2 << 20));
}
