//! Arrow files that other programs put into famfs.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Criteria, FlightDescriptor, FlightInfo};
use farrow_client::{ClientError, Reason};
use farrow_integration_tests::{Agent, Famfs, Region, arrow_file, batch, famfs, farrow};
use futures::TryStreamExt;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

type Flight = FlightServiceClient<Channel>;

/// A region with 32 MiB outside the pool.
pub(crate) fn region() -> (Region, Famfs) {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    let made = farrow(&["mkfs", "--size", "96M", "--reserve", "32M", path]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let famfs = Famfs::open(&region.path);
    (region, famfs)
}

async fn flight(agent: &Agent) -> Flight {
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    FlightServiceClient::new(endpoint.connect().await.unwrap())
}

fn path(name: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect())
}

/// Gets what a client gets that knows nothing of farrow.
async fn plain_rows(flight: &mut Flight, name: &str) -> Result<Vec<RecordBatch>, Status> {
    let info = flight.get_flight_info(path(name)).await?.into_inner();
    assert!(info.endpoint[0].app_metadata.is_empty());
    let messages = flight.do_get(info.endpoint[0].ticket.clone().unwrap()).await?.into_inner();
    let stream = FlightRecordBatchStream::new_from_flight_data(messages.map_err(FlightError::from));
    stream.try_collect().await.map_err(|error| match error {
        FlightError::Tonic(status) => *status,
        other => panic!("{other}"),
    })
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn an_arrow_file_is_listed_mapped_and_streamed() {
    let (region, famfs) = region();
    let stored = [batch(0, 30_000), batch(30_000, 5)];
    famfs.copy_in("in/orders.arrow", &arrow_file(&stored));
    famfs.copy_in("in/orders.csv", b"1,2");
    famfs.copy_in("in/a@b.arrow", &arrow_file(&stored));
    // Its entry may stand before those of farrow's own files.
    famfs.copy_in("first.arrow", &arrow_file(&stored[1..]));
    famfs.last_entry_first();
    region.assert_clean();
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("in/orders", rows.schema(), vec![rows]).await.unwrap();
    let usage = client.usage().await.unwrap();

    let listed = client.list("").await.unwrap();
    let names: Vec<_> = listed.iter().map(|info| (info.name.as_str(), info.foreign, info.rows)).collect();
    let expected =
        [("first.arrow", true, None), ("in/orders", false, Some(10)), ("in/orders.arrow", true, None)];
    assert_eq!(names, expected);
    assert_eq!(client.stat("in/orders.arrow").await.unwrap().rows, Some(30_005));

    for name in ["in/orders.arrow", "in/orders.arrow@1"] {
        let frame = client.get(name).await.unwrap();
        assert!(frame.zero_copy(), "{:?}", frame.why());
        assert_eq!((frame.name(), frame.version(), frame.rows()), ("in/orders.arrow", 1, 30_005));
        assert_eq!(frame.batches().map(Result::unwrap).collect::<Vec<_>>(), stored);
        assert!(client.leases().await.unwrap().is_empty(), "what is never freed needs no lease");
    }
    assert_eq!(client.get("first.arrow").await.unwrap().batch(0).unwrap(), stored[1]);
    let gone = client.get("in/orders.arrow@2").await.unwrap_err();
    assert_eq!(gone.reason(), Some(Reason::NotFound), "{gone}");

    let mut flight = flight(&agent).await;
    let streamed = plain_rows(&mut flight, "in/orders.arrow").await.unwrap();
    assert_eq!(streamed.iter().map(RecordBatch::num_rows).sum::<usize>(), 30_005);
    assert_eq!(streamed[0], stored[0].slice(0, streamed[0].num_rows()));
    let infos: Vec<FlightInfo> =
        flight.list_flights(Criteria::default()).await.unwrap().into_inner().try_collect().await.unwrap();
    let records: Vec<i64> = infos.iter().map(|info| info.total_records).collect();
    assert_eq!(records, [5, 10, 30_005]);
    assert_eq!(infos[2].clone().try_decode_schema().unwrap(), *stored[0].schema());
    let schema = flight.get_schema(path("in/orders.arrow")).await.unwrap().into_inner();
    assert_eq!(arrow_schema::Schema::try_from(schema).unwrap(), *stored[0].schema());

    assert_eq!(client.usage().await.unwrap(), usage);
    let checked = farrow(&["fsck", region.path.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(told.contains("in/a@b.arrow") && told.contains("2 famfs files served"), "{told}");
}

#[tokio::test]
async fn it_is_neither_replaced_nor_removed() {
    let (region, famfs) = region();
    let stored = batch(0, 100);
    famfs.copy_in("a.arrow", &arrow_file(std::slice::from_ref(&stored)));
    let agent = region.agent();
    let client = agent.client().await;
    let run = |args: &[&str]| farrow(&[args, &["--address", agent.socket()]].concat());

    let long = run(&["ls", "-l"]);
    let told = String::from_utf8_lossy(&long.stdout).into_owned();
    assert!(told.contains("a.arrow@1") && told.contains("famfs file"), "{told}");
    let file = region.beside("out.arrow");
    let file = file.to_str().unwrap();
    assert!(run(&["get", "a.arrow", "-o", file]).status.success());
    assert!(run(&["put", "copy", file]).status.success());
    assert_eq!(client.get("copy").await.unwrap().batch(0).unwrap(), stored);

    for args in [&["rm", "a.arrow"][..], &["rm", "a.arrow@1"], &["put", "a.arrow", file]] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(5), "{args:?}");
        assert!(said(&refused).contains("neither replace nor remove"), "{args:?}: {}", said(&refused));
    }
    let refused = run(&["verify", "a.arrow"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("no checksums of it were recorded"), "{}", said(&refused));
    let refused = client.drop("a.arrow").await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::ReadOnly));
    assert_eq!(client.get("a.arrow").await.unwrap().batch(0).unwrap(), stored);
    // A refused put leaves nothing behind.
    let start = std::time::Instant::now();
    while client.usage().await.unwrap().reserved > 0 {
        assert!(start.elapsed().as_secs() < 30, "refused puts left reservations");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }

    // A frame that was there first goes on, and hides a file that comes later.
    client.put("b.arrow", stored.schema(), vec![stored.clone()]).await.unwrap();
    let other = batch(7, 7);
    famfs.copy_in("b.arrow", &arrow_file(std::slice::from_ref(&other)));
    assert_eq!(client.get("b.arrow").await.unwrap().batch(0).unwrap(), stored);
    assert_eq!(client.list("b*").await.unwrap().len(), 1);
    client.drop("b.arrow").await.unwrap();
    // Then it is served, by a number that was no other rows'.
    for name in ["b.arrow", "b.arrow@2"] {
        let frame = client.get(name).await.unwrap();
        assert_eq!((frame.version(), frame.batch(0).unwrap()), (2, other.clone()));
    }
    assert_eq!(client.stat("b.arrow").await.unwrap().version, 2);
    assert_eq!(client.versions("b.arrow").await.unwrap()[0].info.version, 2);
    let gone = client.get("b.arrow@1").await.unwrap_err();
    assert_eq!(gone.reason(), Some(Reason::NotFound), "{gone}");
}

#[tokio::test]
async fn what_comes_while_the_agent_runs_is_found_and_refused_until_it_is_whole() {
    let (region, famfs) = region();
    let agent = region.agent();
    let client = agent.client().await;
    let mut flight = flight(&agent).await;
    assert_eq!(client.get("late.arrow").await.unwrap_err().reason(), Some(Reason::NotFound));

    let stored = batch(0, 5000);
    let bytes = arrow_file(std::slice::from_ref(&stored));
    let at = famfs.name_only("late.arrow", bytes.len() as u64);
    let info = &client.list("late*").await.unwrap()[0];
    assert_eq!((info.bytes, info.rows, info.foreign), (bytes.len() as u64, None, true));
    // As its bytes come in from the front.
    for len in [0, 8, 100, bytes.len() / 2, bytes.len() - 11, bytes.len() - 1] {
        famfs.write(at, &bytes[..len]);
        let error = client.get("late.arrow").await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::InvalidData), "{len}: {error}");
        assert!(error.to_string().contains("before its bytes are there"), "{error}");
        let status = plain_rows(&mut flight, "late.arrow").await.unwrap_err();
        assert_eq!(status.metadata().get("x-farrow-reason").unwrap(), "invalid-data");
        assert_eq!(client.stat("late.arrow").await.unwrap().rows, None);
        let listed: Vec<FlightInfo> =
            flight.list_flights(Criteria::default()).await.unwrap().into_inner().try_collect().await.unwrap();
        assert_eq!((listed.len(), listed[0].total_records), (1, -1));
    }
    famfs.write(at, &bytes);
    assert_eq!(client.get("late.arrow").await.unwrap().batch(0).unwrap(), stored);
    assert_eq!(client.list("").await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_interleaved_file_is_mapped_side_by_side() {
    let (region, famfs) = region();
    let stored = batch(0, 400_000);
    let bytes = arrow_file(std::slice::from_ref(&stored));
    assert!(bytes.len() > 4 << 20, "more chunks than strips");
    famfs.interleave("woven.arrow", &bytes, 2);
    let agent = region.agent();
    let frame = agent.client().await.get("woven.arrow").await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(frame.batch(0).unwrap(), stored);
    let streamed = plain_rows(&mut flight(&agent).await, "woven.arrow").await.unwrap();
    assert_eq!(streamed.iter().map(RecordBatch::num_rows).sum::<usize>(), 400_000);
}

#[tokio::test]
async fn hostile_bytes_are_an_error_for_everybody_and_the_agent_serves_on() {
    let (region, famfs) = region();
    let stored = batch(0, 40);
    let good = arrow_file(std::slice::from_ref(&stored));
    let at = famfs.copy_in("a.arrow", &good);
    let agent = region.agent();
    let client = agent.client().await;
    let mut flight = flight(&agent).await;
    let (mut served, mut refused) = (0, 0);
    for position in (0..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[position] ^= if position % 2 == 0 { 0xff } else { 0x01 };
        famfs.write(at, &bytes);
        let got = match client.get("a.arrow").await {
            Ok(frame) => frame.batches().collect::<Result<Vec<_>, _>>(),
            Err(error) => Err(error),
        };
        let streamed = plain_rows(&mut flight, "a.arrow").await;
        assert_eq!(got.is_ok(), streamed.is_ok(), "{position}: {:?}, but {:?}", got.err(), streamed.err());
        match got {
            Ok(batches) => {
                assert_eq!(batches, streamed.unwrap());
                served += 1;
            }
            Err(ClientError::Ipc(_)) => refused += 1,
            Err(error) => {
                assert_eq!(error.reason(), Some(Reason::InvalidData), "{error}");
                refused += 1;
            }
        }
    }
    assert!(served > 10 && refused > 10, "{served} served, {refused} refused");
    famfs.write(at, &good);
    assert_eq!(client.get("a.arrow").await.unwrap().batch(0).unwrap(), stored);
    drop((client, agent));
    region.assert_clean();
}

/// There each file is one to the agent and its clients as well, exactly as long as its bytes.
#[tokio::test]
async fn on_a_mount_a_file_is_served_by_its_own_path() {
    let region = Region::mounted_empty(24);
    let made = region.mkfs(&["--reserve", "8M"]);
    assert!(made.status.success(), "{}", said(&made));
    let agent = region.agent();
    let rows = [batch(0, 1000), batch(1000, 20)];
    for (name, batches) in [("short.arrow", &rows[1..]), ("long.arrow", &rows[..])] {
        let bytes = arrow_file(batches);
        let place = creat(&region, name, bytes.len());
        // Named, and not written yet.
        let client = agent.client().await;
        assert!(client.get(name).await.is_err());
        std::fs::write(&place, &bytes).unwrap();
        assert_eq!(std::fs::metadata(&place).unwrap().len(), bytes.len() as u64);

        let frame = client.get(name).await.unwrap();
        assert!(frame.zero_copy(), "{:?}", frame.why());
        let found: Vec<_> = (0..batches.len()).map(|index| frame.batch(index).unwrap()).collect();
        assert_eq!(found, batches);
        let streamed = plain_rows(&mut flight(&agent).await, name).await.unwrap();
        assert_eq!(streamed.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, frame.rows());
    }
}

/// Names a file on a mount, as famfs's tools do before they write it.
fn creat(region: &Region, name: &str, len: usize) -> PathBuf {
    let (place, len) = (region.path.join(name), len.to_string());
    let args = ["creat", "-C", "0", "-N", "0", "-B", "0", "-m", "0600", "-s", &len];
    let creat = Command::new(famfs()).args(args).arg(&place).output().unwrap();
    assert!(creat.status.success(), "{}", said(&creat));
    place
}

/// Where the bytes of a file that is being written were an Arrow file before, nothing of theirs tells the one from the
/// other. The lock on the log does.
#[tokio::test]
async fn on_a_mount_a_new_file_is_held_back_while_the_log_is_locked() {
    let region = Region::mounted_empty(24);
    assert!(region.mkfs(&["--reserve", "8M"]).status.success());
    let agent = region.agent();
    let client = agent.client().await;
    let mut flight = flight(&agent).await;
    let (old, new) = (batch(1000, 1000), batch(7000, 1000));
    let bytes = |rows: &RecordBatch| arrow_file(std::slice::from_ref(rows));
    let before = creat(&region, "before.arrow", bytes(&old).len());
    std::fs::write(before, bytes(&old)).unwrap();
    assert_eq!(client.get("before.arrow").await.unwrap().batch(0).unwrap(), old);

    // In the order of `famfs cp`, but for the lock, which the stand-in gives up: nobody has asked for it yet.
    let place = creat(&region, "new.arrow", bytes(&new).len());
    assert_eq!(bytes(&old).len(), bytes(&new).len());
    std::fs::write(&place, bytes(&old)).unwrap();
    let log = File::open(region.path.join(".meta/.log")).unwrap();
    log.lock().unwrap();
    for _ in 0..3 {
        let error = client.get("new.arrow").await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::InvalidData), "{error}");
        let told = error.to_string();
        let pid = std::process::id().to_string();
        assert!(told.contains("has the famfs log locked") && told.contains(&pid), "{told}");
        let status = plain_rows(&mut flight, "new.arrow").await.unwrap_err();
        assert_eq!(status.metadata().get("x-farrow-reason").unwrap(), "invalid-data");
        let named = &client.list("new*").await.unwrap()[0];
        assert_eq!((named.name.as_str(), named.rows, named.foreign), ("new.arrow", None, true));
        assert_eq!(client.stat("new.arrow").await.unwrap().rows, None);
        // What was there before the lock is not held back.
        assert_eq!(client.get("before.arrow").await.unwrap().batch(0).unwrap(), old);
    }
    std::fs::write(&place, bytes(&new)).unwrap();
    log.unlock().unwrap();
    assert_eq!(client.get("new.arrow").await.unwrap().batch(0).unwrap(), new);
    // It was whole once: whatever is being written now is another file.
    log.lock().unwrap();
    assert_eq!(client.get("new.arrow").await.unwrap().batch(0).unwrap(), new);
    drop((client, flight, agent));

    // An agent that starts meanwhile cannot tell which files are new.
    let agent = region.agent();
    let client = agent.client().await;
    assert_eq!(client.get("before.arrow").await.unwrap_err().reason(), Some(Reason::InvalidData));
    log.unlock().unwrap();
    assert_eq!(client.get("before.arrow").await.unwrap().batch(0).unwrap(), old);
}

/// `famfs clone` makes a second file of the same memory.
#[tokio::test]
async fn a_clone_is_passed_over_and_what_follows_it_is_served() {
    let (region, famfs) = region();
    let stored = batch(0, 100);
    let bytes = arrow_file(std::slice::from_ref(&stored));
    famfs.copy_in("a.arrow", &bytes);
    let agent = region.agent();
    let client = agent.client().await;
    famfs.clone_of("a.arrow", "clone.arrow");
    famfs.copy_in("later.arrow", &bytes);
    assert_eq!(client.get("later.arrow").await.unwrap().batch(0).unwrap(), stored);
    assert_eq!(client.get("a.arrow").await.unwrap().batch(0).unwrap(), stored);
    assert_eq!(client.get("clone.arrow").await.unwrap_err().reason(), Some(Reason::NotFound));
    let told = |args: &[&str]| {
        let output = farrow(&[args, &[region.path.to_str().unwrap()]].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, fsck) = told(&["fsck"]);
    assert_eq!(code, Some(1), "{fsck}");
    assert!(
        fsck.contains("clone.arrow") && fsck.contains("of \"a.arrow\"") && fsck.contains("1 problem"),
        "{fsck}"
    );
    assert!(fsck.contains("2 famfs files served"), "{fsck}");
    let (_, log) = told(&["log"]);
    assert!(log.contains("later.arrow") && log.contains("overlaps"), "{log}");
}
