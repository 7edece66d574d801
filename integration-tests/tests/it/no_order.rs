//! Rows that refer to their values in no order: what they take in the region, and on the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, ArrayRef, Int64Array, ListViewArray, RecordBatch};
use arrow_schema::Field;
use arrow_select::concat::concat_batches;
use farrow_client::{Client, Mode};
use farrow_integration_tests::Region;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::do_put::ANYONE;

const MIB: u64 = 1 << 20;
const ROWS: i32 = 10_000;

/// List views of 1 KiB each, 10 MiB in all.
fn list_views() -> RecordBatch {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::from(ROWS) * 128));
    let starts = (0..ROWS).map(|row| row * 7919 % ROWS * 128).collect();
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let sizes = vec![128; ROWS as usize].into();
    let column: ArrayRef = Arc::new(ListViewArray::new(field, starts, sizes, values, None));
    RecordBatch::try_from_iter([("rows", column)]).unwrap()
}

fn slices(rows: &RecordBatch) -> Vec<RecordBatch> {
    let each = rows.num_rows().div_ceil(30);
    let starts = (0..rows.num_rows()).step_by(each);
    starts.map(|start| rows.slice(start, each.min(rows.num_rows() - start))).collect()
}

/// Forwards connections to `address`; returns where it listens, and what it counts of the bytes that clients send.
async fn counting(address: String) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (local, sent) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut agent = TcpStream::connect(address.strip_prefix("http://").unwrap()).await.unwrap();
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                if let Ok((sent, _)) = copy_bidirectional(&mut client, &mut agent).await {
                    counted.fetch_add(sent, Ordering::SeqCst);
                }
            });
        }
    });
    (local, sent)
}

#[tokio::test]
async fn rows_in_no_order_are_written_and_sent_once() {
    let region = Region::new("400MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0", "--config", &region.config(ANYONE)]);
    let client = agent.client().await;
    let rows = list_views();
    let (address, sent) = counting(agent.tcp()).await;
    let far = Client::connect(address.parse().unwrap()).await.unwrap();
    for (name, put, batches) in [
        ("whole", &client, vec![rows.clone()]),
        ("slices", &client, slices(&rows)),
        ("far", &far, vec![rows.clone()]),
        ("far/slices", &far, slices(&rows)),
    ] {
        let mut writer = put.writer(name, rows.schema(), Mode::Replace).unwrap();
        for batch in batches {
            writer.write(batch).await.unwrap();
        }
        let info = writer.finish().await.unwrap();
        assert!(info.bytes < 14 * MIB, "{name}: {} bytes", info.bytes);
        let frame = client.get(name).await.unwrap();
        let batches: Vec<_> = frame.batches().map(Result::unwrap).collect();
        assert_eq!(concat_batches(&rows.schema(), &batches).unwrap(), rows, "{name}");
    }
    let mut writer = client.writer("two", rows.schema(), Mode::Replace).unwrap();
    writer.write(rows.slice(4000, 2)).await.unwrap();
    assert!(writer.finish().await.unwrap().bytes < 8 << 10);
    // The count is complete once the connection has ended.
    drop(far);
    let sent = crate::leases::until("the connection ends", async || {
        Some(sent.load(Ordering::SeqCst)).filter(|sent| *sent > 0)
    })
    .await;
    assert!(sent < 28 * MIB, "{sent} bytes sent of two times 10 MiB");
}
