//! A session is bound by the rules as they are at each of its requests, and at each event.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use farrow_client::{Client, Reason};
use farrow_integration_tests::{Agent, Region, arrow_file, batch, mebibytes, program, sum};
use farrow_proto::v1::map_result::Result as Mapped;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::v1::watch::What;
use farrow_proto::{Action, PUT_APPEND, PUT_HEADER, v1};
use futures::TryStreamExt;
use prost::Message;
use tonic::Status;

use crate::bad_input::{act, reserve_and_write};
use crate::limits::{Flight, flight};
use crate::rights::{ONLY_ETL, TOKEN, connect, put, token_file};
use crate::session::{Session, map};

/// Who has no token may use what is theirs.
const MINE: &str = "[[rights]]\nwho = [\"local\"]\nnames = [\"mine/\"]\nmay = [\"read\", \"publish\"]\n";

fn denied(answer: Answer) -> String {
    let Answer::Refusal(refusal) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal.reason, "denied", "{}", refusal.message);
    refusal.message
}

#[tokio::test]
async fn a_session_asks_the_rules_each_time() {
    let region = Region::new("64MiB");
    let everything = ONLY_ETL.replace("TOKEN_FILE", &token_file(&region, TOKEN));
    let config = region.config(&(everything.clone() + MINE));
    let agent = region.agent_with(&["--config", &config]);
    let etl = connect(agent.socket(), Some(TOKEN)).await;
    put(&etl, "mine/a").await;
    put(&etl, "other/b").await;
    let mut session = Session::open(&agent).await;

    let (_, answer) = session.ask(map(&["mine/a", "other/b", "other/c"])).await;
    let Answer::Mapped(v1::Mapped { results, .. }) = answer else { panic!("{answer:?}") };
    let results: Vec<Mapped> = results.into_iter().filter_map(|result| result.result).collect();
    let [Mapped::Map(map_a), Mapped::Refusal(there), Mapped::Refusal(missing)] = &results[..] else {
        panic!("{results:?}")
    };
    assert_eq!(map_a.name, "mine/a");
    assert_eq!((there.reason.as_str(), missing.reason.as_str()), ("denied", "denied"));
    assert_eq!(there.message.replace("other/b", "…"), missing.message.replace("other/c", "…"));

    let (_, answer) =
        session.ask(Request::Reserve(v1::ReserveRequest { len: 4096, ..Default::default() })).await;
    let Answer::Reservation(v1::Reservation { id: reservation, .. }) = answer else { panic!("{answer:?}") };
    let commit = v1::CommitRequest {
        reservation,
        name: "other/b".to_owned(),
        len: 1,
        append: true,
        ..Default::default()
    };
    denied(session.ask(Request::Commit(commit)).await.1);
    session.ask(Request::Abort(v1::AbortRequest { reservation })).await;

    let by_name = v1::Watch { what: Some(What::Name("other/b".to_owned())), from: None };
    denied(session.ask(Request::Watch(by_name)).await.1);
    let watch = session.watch(What::Prefix(String::new()), None).await;
    put(&etl, "other/b").await;
    put(&etl, "mine/d").await;
    assert_eq!(session.event().await, (watch, "mine/d@1".to_owned()), "others' frames are not told of");

    // The rule is taken away: neither requests nor events get through any more.
    let mut all = etl.watch("").await.unwrap();
    region.config(&everything);
    agent.reload();
    denied(session.ask(Request::Reserve(v1::ReserveRequest { len: 4096, ..Default::default() })).await.1);
    for _ in 0..20 {
        put(&etl, "mine/e").await;
        // Who may is told; an event for the session would come before the answer.
        all.next().await.unwrap();
        denied(session.ask(Request::Reserve(v1::ReserveRequest { len: 4096, ..Default::default() })).await.1);
    }
}

/// The frame `drop-box` of ten rows, which who has no token may publish, and not read.
async fn drop_box() -> (Region, Agent, Client) {
    let region = Region::new("64MiB");
    let publish = "[[rights]]\nwho = [\"local\"]\nnames = [\"drop-box\"]\nmay = [\"publish\"]\n";
    let config = region.config(&(ONLY_ETL.replace("TOKEN_FILE", &token_file(&region, TOKEN)) + publish));
    let agent = region.agent_with(&["--config", &config]);
    let etl = connect(agent.socket(), Some(TOKEN)).await;
    put(&etl, "drop-box").await;
    (region, agent, etl)
}

/// The answers to a DoPut that appends rows to `drop-box`.
async fn append_by_put(flight: &mut Flight, rows: RecordBatch) -> Result<Vec<PutResult>, Status> {
    let path = FlightDescriptor::new_path(vec!["drop-box".to_owned()]);
    let encoder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(path));
    let messages: Vec<FlightData> =
        encoder.build(futures::stream::iter([Ok(rows)])).try_collect().await.unwrap();
    let mut put = tonic::Request::new(futures::stream::iter(messages));
    put.metadata_mut().insert(PUT_HEADER, PUT_APPEND.parse().unwrap());
    flight.do_put(put).await?.into_inner().try_collect().await
}

/// By every door: a session, an action, a DoPut, the client, the command.
#[tokio::test]
async fn a_publisher_without_read_learns_no_sizes() {
    let (region, agent, etl) = drop_box().await;
    let rows = batch(10, 3);
    let file = arrow_file(std::slice::from_ref(&rows));
    let mut flight = flight(agent.socket()).await;
    let commit = |reservation| v1::CommitRequest {
        reservation,
        name: "drop-box".to_owned(),
        len: file.len() as u64,
        append: true,
        ..Default::default()
    };
    let mut told: Vec<v1::FrameInfo> = Vec::new();
    let reservation = reserve_and_write(&mut flight, &file).await.id;
    let committed = act(&mut flight, Action::Commit.as_str(), commit(reservation).encode_to_vec()).await;
    told.push(committed.unwrap());
    let reservation = reserve_and_write(&mut flight, &file).await.id;
    let mut session = Session::open(&agent).await;
    let (_, answer) = session.ask(Request::Commit(commit(reservation))).await;
    let Answer::Committed(info) = answer else { panic!("{answer:?}") };
    told.push(info);
    let put = append_by_put(&mut flight, rows.clone()).await.unwrap();
    told.push(v1::FrameInfo::decode(put[0].app_metadata.clone()).unwrap());
    for (version, info) in (2..).zip(told) {
        let name = "drop-box".to_owned();
        let expected =
            v1::FrameInfo { name, version, region_uuid: info.region_uuid.clone(), ..Default::default() };
        assert_eq!(info, expected);
    }

    let publisher = connect(agent.socket(), None).await;
    let info = publisher.append("drop-box", rows.schema(), vec![rows.clone()]).await.unwrap();
    assert_eq!((info.version, info.rows, info.bytes, info.segments), (5, None, 0, 0));
    let path = region.beside("rows.arrow");
    std::fs::write(&path, &file).unwrap();
    let mut command = std::process::Command::new(program("farrow"));
    command.args(["append", "drop-box", path.to_str().unwrap(), "--address", agent.socket()]);
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(
        said.contains("drop-box@6: published; its rows and bytes are told to those who may read it"),
        "{said}"
    );

    // Who may read it is told.
    let info = etl.append("drop-box", rows.schema(), vec![rows]).await.unwrap();
    assert_eq!((info.version, info.rows, info.segments), (7, Some(10 + 6 * 3), 7));
    assert!(info.bytes > 0 && info.committed_at_micros > 0);
}

/// By every door: a session, an action, a DoPut.
#[tokio::test]
async fn a_publisher_without_read_learns_no_schema() {
    let (_region, agent, _etl) = drop_box().await;

    // Its columns are `number` and `text`; what is appended has others.
    let rows: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let rows = RecordBatch::try_from_iter([("mine", rows)]).unwrap();
    let publisher = connect(agent.socket(), None).await;
    let by_session =
        publisher.append("drop-box", rows.schema(), vec![rows.clone()]).await.unwrap_err().to_string();

    let mut flight = flight(agent.socket()).await;
    let file = arrow_file(std::slice::from_ref(&rows));
    let reservation = reserve_and_write(&mut flight, &file).await.id;
    let (name, len) = ("drop-box".to_owned(), file.len() as u64);
    let commit = v1::CommitRequest { reservation, name, len, append: true, ..Default::default() };
    let refused = act::<v1::FrameInfo>(&mut flight, Action::Commit.as_str(), commit.encode_to_vec()).await;
    let by_action = refused.unwrap_err().message().to_owned();
    let mut session = Session::open(&agent).await;
    let Answer::Refusal(refusal) = session.ask(Request::Commit(commit)).await.1 else { panic!("no refusal") };

    let by_put = append_by_put(&mut flight, rows).await.unwrap_err().message().to_owned();

    for told in [by_session, by_action, refusal.message, by_put] {
        assert!(told.contains("another schema"), "{told}");
        assert!(!told.contains("number") && !told.contains("text") && !told.contains("Int64"), "{told}");
    }
}

#[tokio::test]
async fn rows_under_way_and_mapped_frames_go_on_under_rules_that_forbid_them() {
    let region = Region::new("256MiB");
    let rule =
        |who: &str| format!("[[rights]]\nwho = [{who:?}]\nnames = [\"\"]\nmay = [\"read\", \"publish\"]\n");
    let config = region.config(&rule("local"));
    let agent = region.agent_with(&["--config", &config]);
    let client = agent.client().await;
    let rows = mebibytes(0, 64);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let mapped = client.get("a").await.unwrap();
    assert!(mapped.zero_copy(), "{:?}", mapped.why());
    let stream = crate::limits::stuck(&agent, "a").await;

    region.config(&rule("user:7001"));
    agent.reload();
    let refused = client.get("a").await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::Denied), "{refused}");
    let messages: Vec<FlightData> = stream.try_collect().await.unwrap();
    let sent: usize = messages.iter().map(|message| message.data_body.len()).sum();
    assert!(sent >= 64 << 20, "{sent}");
    let last = i64::try_from(rows.num_rows()).unwrap() - 1;
    assert_eq!(sum(&mapped).unwrap(), last * (last + 1) / 2);
}
