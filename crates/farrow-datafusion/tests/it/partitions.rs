//! Scans in parallel.

use arrow_59::array::cast::AsArray;
use arrow_59::array::types::Int64Type;
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::collect_partitioned;
use datafusion::prelude::{SessionConfig, SessionContext};
use farrow_datafusion::FrameTable;

use crate::{agent, publish};

#[tokio::test]
async fn every_row_is_in_one_partition() {
    let (_region, _agent, client) = agent().await;
    for batches in [1, 2, 3, 7] {
        let name = format!("in/{batches}");
        let table = FrameTable::try_new(publish(&client, &name, 1001, batches).await).unwrap();
        for partitions in 1..=5 {
            let config = SessionConfig::new().with_target_partitions(partitions).with_batch_size(100);
            let session = SessionContext::new_with_config(config);
            let scan = table.scan(&session.state(), Some(&vec![0]), &[], None).await.unwrap();
            let found = collect_partitioned(scan, session.task_ctx()).await.unwrap();
            assert_eq!(found.len(), partitions);

            let sizes =
                found.iter().map(|partition| partition.iter().map(|batch| batch.num_rows()).sum::<usize>());
            let sizes: Vec<usize> = sizes.collect();
            let even = 1001 / partitions;
            assert!(sizes.iter().all(|rows| rows.abs_diff(even) <= 2), "{batches} batches: {sizes:?}");
            let all = found.iter().flatten();
            assert!(all.clone().all(|batch| (1..=100).contains(&batch.num_rows())));
            let numbers = all.flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
            assert!(numbers.eq(0..1001), "{batches} batches in {partitions} partitions");
        }
    }
}

#[tokio::test]
async fn few_rows_are_one_partition() {
    let (_region, _agent, client) = agent().await;
    let table = FrameTable::try_new(publish(&client, "few", 100_000, 3).await).unwrap();
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(4));
    for (limit, partitions) in [(None, 4), (Some(10_000), 2), (Some(10), 1), (Some(0), 1)] {
        let scan = table.scan(&session.state(), None, &[], limit).await.unwrap();
        assert_eq!(scan.properties().partitioning.partition_count(), partitions, "{limit:?}");
        let found = collect_partitioned(scan, session.task_ctx()).await.unwrap();
        let rows: usize = found.iter().flatten().map(|batch| batch.num_rows()).sum();
        assert!(
            rows >= limit.unwrap_or(100_000) && rows <= limit.map_or(100_000, |limit| limit * partitions)
        );
    }
}
