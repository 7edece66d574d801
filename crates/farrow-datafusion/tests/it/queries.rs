//! Statements, and how they are planned.

use std::sync::Arc;

use arrow_59::array::{Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use farrow_client::{Address, Client};

use crate::{agent, publish, session, text};

const ROWS: i64 = 20_000;

/// The same rows on the heap, in DataFusion's own table.
fn on_the_heap() -> SessionContext {
    let numbers: Int64Array = (0..ROWS).collect();
    let texts: StringArray = (0..ROWS).map(|number| Some(format!("row {number}"))).collect();
    let columns: [(&str, arrow_59::array::ArrayRef); 2] =
        [("number", Arc::new(numbers)), ("text", Arc::new(texts))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let session = SessionContext::new();
    session
        .register_table("t", Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap()))
        .unwrap();
    session
}

#[tokio::test]
async fn statements_find_what_they_find_on_the_heap() {
    let (region, agent, client) = agent().await;
    let mapped = session(publish(&client, "t", ROWS, 3).await, 3);
    drop(agent);
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let far = Client::connect(Address::find(Some(&agent.tcp())).unwrap()).await.unwrap();
    let streamed = far.get("t").await.unwrap();
    assert!(!streamed.zero_copy());
    let (streamed, heap) = (session(streamed, 2), on_the_heap());
    for statement in [
        "SELECT count(*), sum(number), min(text), max(text) FROM t",
        "SELECT number % 10 AS digit, count(*), avg(number) FROM t GROUP BY digit ORDER BY digit",
        "SELECT text, number FROM t WHERE text LIKE '%99%' AND number > 5000 ORDER BY number DESC",
        "SELECT count(*) FROM t AS one JOIN t AS other ON one.number = other.number + 1 WHERE other.text < 'row 2'",
        "SELECT number FROM t ORDER BY text LIMIT 7 OFFSET 3",
        "SELECT count(DISTINCT length(text)) FROM t",
        "SELECT number, sum(number) OVER (ORDER BY number) FROM t ORDER BY number LIMIT 5",
    ] {
        let expected = text(&heap, statement).await;
        assert_eq!(text(&mapped, statement).await, expected, "{statement}");
        assert_eq!(text(&streamed, statement).await, expected, "{statement}");
    }
}

#[tokio::test]
async fn plans_take_no_more_than_they_need() {
    let (_region, _agent, client) = agent().await;
    let session = session(publish(&client, "t", ROWS, 3).await, 2);
    let plan = async |statement: &str| text(&session, &format!("EXPLAIN {statement}")).await;

    let found = plan("SELECT text FROM t WHERE text LIKE '%9'").await;
    assert!(found.contains("frame=t@3, mapped=true, partitions=2, projection=[text]"), "{found}");
    assert!(found.contains("FilterExec"), "filters are DataFusion's: {found}");
    let found = plan("SELECT number FROM t LIMIT 5").await;
    assert!(found.contains("partitions=1, projection=[number], fetch=5"), "{found}");
    let found = plan("SELECT count(*) FROM t").await;
    assert!(!found.contains("FrameScan"), "the count is known: {found}");
    let found = plan("SELECT 1 FROM t").await;
    assert!(found.contains("projection=[]"), "{found}");
    assert_eq!(
        text(&session, "SELECT count(*) FROM (SELECT 1 FROM t) WHERE random() < 2").await,
        text(&on_the_heap(), "SELECT count(*) FROM t").await
    );
}

#[tokio::test]
async fn the_optimizer_knows_how_much_there_is() {
    let (_region, _agent, client) = agent().await;
    let session = session(publish(&client, "t", ROWS, 3).await, 2);
    session.sql("SET datafusion.explain.show_statistics = true").await.unwrap();
    let numbers = text(&session, "EXPLAIN SELECT number FROM t").await;
    assert!(numbers.contains("Rows=Exact(20000), Bytes=Exact(160000)"), "{numbers}");
    let texts = text(&session, "EXPLAIN SELECT text FROM t").await;
    assert!(texts.contains("Rows=Exact(20000), Bytes=Absent"), "{texts}");
    let few = text(&session, "EXPLAIN SELECT number FROM t LIMIT 10").await;
    assert!(few.contains("Rows=Exact(10)"), "{few}");
}
