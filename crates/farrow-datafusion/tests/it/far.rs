//! Frames of an agent that is reached over TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_59::array::cast::AsArray;
use arrow_59::array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::prelude::{SessionConfig, SessionContext};
use farrow_client::Client;
use farrow_datafusion::{FrameSchema, FrameTable};
use farrow_integration_tests::{Agent, Region};

use crate::{rows, text};

const COLUMNS: i64 = 20;
const ROWS: i64 = 70_000;

/// A way to an agent that counts what comes from it.
struct Way {
    address: String,
    received: Arc<AtomicUsize>,
    /// The connection breaks once so many bytes have come, and never again.
    breaks_after: Arc<AtomicUsize>,
}

impl Way {
    fn to(agent: &Agent) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(AtomicUsize::new(0));
        let breaks_after = Arc::new(AtomicUsize::new(usize::MAX));
        let (count, limit) = (received.clone(), breaks_after.clone());
        let agent = agent.tcp().strip_prefix("http://").unwrap().to_owned();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(&agent).unwrap());
                let (count, limit) = (count.clone(), limit.clone());
                let there = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || copied(there.0, there.1, |_| true));
                std::thread::spawn(move || {
                    copied(far, near, |bytes| {
                        let all = count.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        let whole = all < limit.load(Ordering::SeqCst);
                        if !whole {
                            limit.store(usize::MAX, Ordering::SeqCst);
                        }
                        whole
                    });
                });
            }
        });
        Self { address, received, breaks_after }
    }

    /// Bytes that came since it was asked last.
    fn received(&self) -> usize {
        self.received.swap(0, Ordering::SeqCst)
    }
}

/// Passes bytes on until an end or until it is told to stop, which is the end of both connections.
fn copied(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(usize) -> bool) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        if !goes_on(len) || to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    for connection in [from, to] {
        let _ = connection.shutdown(Shutdown::Both);
    }
}

/// An agent with a frame of twenty columns of numbers in three segments, 11 MB; and a client that cannot map it.
async fn far() -> (Region, Agent, Way, Client) {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let near = agent.client().await;
    for part in 0..3 {
        let (start, end) = (ROWS * part / 3, ROWS * (part + 1) / 3);
        let column = |column: i64| -> ArrayRef {
            Arc::new((start..end).map(|row| row * COLUMNS + column).collect::<Int64Array>())
        };
        let columns = (0..COLUMNS).map(|number| (format!("c{number}"), column(number)));
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        near.append("wide", rows.schema(), vec![rows]).await.unwrap();
    }
    let way = Way::to(&agent);
    let client = Client::connect(way.address.parse().unwrap()).await.unwrap();
    (region, agent, way, client)
}

fn threads(threads: usize) -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads))
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_only_what_a_query_needs_is_streamed() {
    let (_region, _agent, way, client) = far().await;
    let frames = Arc::new(FrameSchema::open(client.clone(), "").await.unwrap());
    for partitions in [1, 3, 20] {
        let session = threads(partitions);
        session.catalog("datafusion").unwrap().register_schema("farrow", frames.clone()).unwrap();
        let table = FrameTable::open(&client, "wide@3").await.unwrap();
        assert_eq!((table.name(), table.version(), table.zero_copy()), ("wide", 3, false));
        session.register_table("t", Arc::new(table)).unwrap();
        way.received();
        // Schema and count come with the answer of GetFlightInfo.
        let column = 8 * usize::try_from(ROWS).unwrap();
        for (statement, expected, bytes) in [
            (
                "SELECT sum(c7) FROM t",
                ROWS * (ROWS - 1) / 2 * COLUMNS + 7 * ROWS,
                column..column + column / 4,
            ),
            ("SELECT sum(c7 - c3) FROM farrow.wide", 4 * ROWS, 2 * column..2 * column + column / 2),
            ("SELECT count(*) FROM farrow.wide", ROWS, 0..20_000),
            ("SELECT count(*) FROM t WHERE c0 < 400", 400 / COLUMNS, column..column + column / 4),
            ("SELECT sum(c1) FROM (SELECT c1 FROM t LIMIT 10)", 45 * COLUMNS + 10, 0..20_000),
            (
                "SELECT sum(c1) FROM (SELECT c1 FROM t LIMIT 10000)",
                9_999 * 5_000 * COLUMNS + 10_000,
                80_000..120_000,
            ),
        ] {
            let found = rows(&session, statement).await;
            assert_eq!(found[0].column(0).as_primitive::<Int64Type>().value(0), expected, "{statement}");
            let received = way.received();
            assert!(
                bytes.contains(&received),
                "{statement}, {partitions} threads: {received} bytes, not {bytes:?}"
            );
        }
        let plan = text(&session, "EXPLAIN SELECT c7 FROM t").await;
        let streams = partitions.min(8);
        assert!(plan.contains(&format!("mapped=false, partitions={streams}, projection=[c7]")), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_goes_on_behind_the_last_row() {
    let (_region, _agent, way, client) = far().await;
    let session = threads(1);
    session.register_table("t", Arc::new(FrameTable::open(&client, "wide").await.unwrap())).unwrap();
    way.received();
    let limit = 4 << 20;
    way.breaks_after.store(limit, Ordering::SeqCst);
    let found = rows(&session, "SELECT * FROM t").await;
    let numbers =
        found.iter().flat_map(|batch| batch.column(1).as_primitive::<Int64Type>().values().to_vec());
    assert!(numbers.eq((0..ROWS).map(|row| row * COLUMNS + 1)), "every row once, in order");
    assert_eq!(way.breaks_after.load(Ordering::SeqCst), usize::MAX, "it broke");
    let (received, all) = (way.received(), usize::try_from(8 * COLUMNS * ROWS).unwrap());
    assert!((all..all + limit).contains(&received), "{received} bytes: it did not begin anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_a_version_that_was_dropped_says_so() {
    let (_region, agent, _way, client) = far().await;
    let session = threads(2);
    session.register_table("t", Arc::new(FrameTable::open(&client, "wide@1").await.unwrap())).unwrap();
    agent.client().await.drop("wide@1").await.unwrap();
    let scanned = session.sql("SELECT sum(c1) FROM t").await.unwrap().collect().await;
    let error = scanned.unwrap_err().to_string();
    assert!(error.contains("version `wide@1` is gone: it was dropped"), "{error}");
}
