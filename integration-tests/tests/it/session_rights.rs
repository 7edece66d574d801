//! A session is bound by the rules as they are at each of its requests, and at each event.

use farrow_integration_tests::Region;
use farrow_proto::v1;
use farrow_proto::v1::map_result::Result as Mapped;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::v1::watch::What;

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
