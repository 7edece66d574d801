//! An agent's frames as a schema.

use std::sync::Arc;

use datafusion::prelude::{SessionConfig, SessionContext};
use farrow_datafusion::FrameSchema;
use farrow_integration_tests::batch;

use crate::query::query;
use crate::{agent, publish, text};

#[tokio::test]
async fn frames_are_tables_by_their_names() {
    let (_region, _agent, client) = agent().await;
    publish(&client, "sales/orders", 10, 1).await;
    publish(&client, "other", 10, 1).await;
    let session = SessionContext::new_with_config(SessionConfig::new().with_information_schema(true));
    let sales = Arc::new(FrameSchema::open(client.clone(), "sales/").await.unwrap());
    session.catalog("datafusion").unwrap().register_schema("sales", sales.clone()).unwrap();
    let count =
        async |name: &str| text(&session, &format!("SELECT count(*) AS rows FROM sales.{name}")).await;
    let names =
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'sales' ORDER BY table_name";

    assert!(count("orders").await.contains("| 10 "));
    let rows = batch(0, 20);
    client.put("sales/orders", rows.schema(), vec![rows]).await.unwrap();
    publish(&client, "sales/2024/Returns", 30, 1).await;
    assert!(count("orders").await.contains("| 20 "), "the latest version, without being told");
    assert!(count("\"orders@1\"").await.contains("| 10 "));
    assert!(count("\"2024/Returns\"").await.contains("| 30 "));

    assert!(!text(&session, names).await.contains("Returns"), "the list is as old as it is");
    sales.refresh().await.unwrap();
    let listed = text(&session, names).await;
    assert!(
        listed.contains("| 2024/Returns |") && listed.contains("| orders ") && !listed.contains("other"),
        "{listed}"
    );

    for missing in ["missing", "\"orders@9\"", "\"not a name\"", "\"\""] {
        let statement = format!("SELECT * FROM sales.{missing}");
        let error = session.sql(&statement).await.unwrap_err().to_string();
        assert!(error.contains("not found"), "{missing}: {error}");
    }
}

#[tokio::test]
async fn the_example_runs() {
    let (_region, _agent, client) = agent().await;
    publish(&client, "sales/orders", 10, 1).await;
    let found = query(client, "SELECT sum(number) AS total FROM farrow.\"sales/orders\"").await.unwrap();
    assert!(found.contains("| total |") && found.contains("| 45    |"), "{found}");
}
