//! The versions of a frame: who holds what of them, and who publishes onto which.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_flight::FlightDescriptor;
use arrow_flight::encode::FlightDataEncoderBuilder;
use farrow_client::{ClientError, Info, Mode, PutOptions, Reason, Retention, VersionInfo};
use farrow_integration_tests::{Holder, Region, User, batch, farrow};
use farrow_proto::{Action, IF_VERSION_HEADER, KEEP_HEADER, v1};
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::{Request, Status};

use crate::bad_input::reason;
use crate::limits::{Flight, flight};
use crate::rights::{ONLY_ETL, TOKEN, connect, put, results, token_file};

/// A DoPut of a few rows with these headers, whose client does not end it until it is answered if it is `open`.
async fn do_put(
    flight: &mut Flight,
    name: &str,
    headers: &[(&'static str, &'static str)],
    open: bool,
) -> Result<v1::FrameInfo, Status> {
    do_put_of(batch(0, 10), flight, name, headers, open).await
}

pub(crate) async fn do_put_of(
    rows: RecordBatch,
    flight: &mut Flight,
    name: &str,
    headers: &[(&'static str, &'static str)],
    open: bool,
) -> Result<v1::FrameInfo, Status> {
    let path = FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect());
    let encoder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(path));
    let rows = futures::stream::iter([Ok(rows)]);
    let messages: Vec<_> = encoder.build(rows).try_collect().await.unwrap();
    let rest = futures::stream::pending().take(usize::from(open));
    let mut request = Request::new(futures::stream::iter(messages).chain(rest));
    for (header, value) in headers {
        request.metadata_mut().insert(*header, value.parse().unwrap());
    }
    let put = async { flight.do_put(request).await?.into_inner().try_collect::<Vec<_>>().await };
    let results = tokio::time::timeout(Duration::from_secs(30), put).await.expect("an answer")?;
    Ok(v1::FrameInfo::decode(results[0].app_metadata.clone()).unwrap())
}

#[tokio::test]
async fn leases_are_told_to_their_user_and_to_who_administers_the_frame() {
    let Some(other) = User::new(4722, "leases on versions of two users") else { return };
    let region = Region::new("64MiB");
    let rights = ONLY_ETL.replace("TOKEN_FILE", &token_file(&region, TOKEN))
        + "[[rights]]\nwho = [\"local\"]\nnames = [\"\"]\nmay = [\"read\"]\n\
           [[rights]]\nwho = [\"local\"]\nnames = [\"b\"]\nmay = [\"admin\"]\n";
    let agent = region.agent_with(&["--config", &region.config(&rights)]);
    region.let_everybody_in();
    let (etl, local) = (connect(agent.socket(), Some(TOKEN)).await, connect(agent.socket(), None).await);
    for name in ["a", "a", "b"] {
        etl.put(name, batch(0, 10).schema(), vec![batch(0, 10)]).await.unwrap();
    }
    let _theirs = ["a@1", "a@1", "a@2", "b"].map(|name| Holder::of_frame_as(&other, agent.socket(), name));
    let _own = ["a@1", "b"].map(|name| Holder::of_frame(agent.socket(), name));
    let told = async |client: &farrow_client::Client, name: &str| {
        let versions = client.versions(name).await.unwrap();
        versions.iter().map(|version| version.leases).collect::<Vec<_>>()
    };
    assert_eq!((told(&etl, "a").await, told(&etl, "b").await), (vec![3, 1], vec![2]));
    assert_eq!((told(&local, "a").await, told(&local, "b").await), (vec![1, 0], vec![2]));
}

#[tokio::test]
async fn versions_are_listed_with_what_each_holds() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    let missing = client.versions("sales/a").await.unwrap_err();
    assert_eq!(missing.reason(), Some(Reason::NotFound), "{missing}");
    let rows = batch(0, 10_000);
    let mut infos = Vec::new();
    for append in [false, true, true, false] {
        let batches = vec![rows.clone()];
        infos.push(match append {
            false => client.put("sales/a", rows.schema(), batches).await.unwrap(),
            true => client.append("sales/a", rows.schema(), batches).await.unwrap(),
        });
    }
    client.retain("sales/a", Retention::last(9)).await.unwrap();
    let _holder = Holder::of_frame(agent.socket(), "sales/a@2");

    let versions = client.versions("sales/a").await.unwrap();
    let told: Vec<_> = versions.iter().map(|version| (version.info.version, version.leases)).collect();
    assert_eq!(told, [(1, 0), (2, 1), (3, 0), (4, 0)]);
    assert_eq!(versions.iter().map(|version| version.info.bytes).collect::<Vec<_>>(), {
        infos.iter().map(|info| info.bytes).collect::<Vec<_>>()
    });
    let uid = rustix::process::geteuid().as_raw();
    assert!(versions.iter().all(|version| (version.uid, version.info.retention) == (uid, 9)));
    // What is shared is no version's own.
    let [first, second, third, fourth] = &versions[..] else { panic!("{versions:?}") };
    assert_eq!((first.own_bytes, second.own_bytes), (0, 0));
    assert!(third.own_bytes >= first.info.bytes && third.own_bytes < second.info.bytes, "{third:?}");
    assert_eq!(fourth.own_bytes, third.own_bytes);
    assert_eq!(client.drop("sales/a@4").await.unwrap().bytes_freed, fourth.own_bytes);

    // Over TCP a caller without name reads, and is told of nobody's leases.
    let far = farrow_client::Client::connect(agent.tcp().parse().unwrap()).await.unwrap();
    let seen: Vec<VersionInfo> = far.versions("sales/a").await.unwrap();
    assert_eq!(seen.iter().map(|version| version.leases).collect::<Vec<_>>(), [0, 0, 0]);

    let mut flight = flight(agent.socket()).await;
    let mut pages = Vec::new();
    loop {
        let after = pages.last().and_then(|page: &Vec<u64>| page.last().copied()).unwrap_or(0);
        let request = v1::VersionsRequest { name: "sales/a".into(), after, limit: 2 };
        let page = results(&mut flight, Action::Versions, request.encode_to_vec()).await.unwrap();
        if page.is_empty() {
            break;
        }
        let number = |body| v1::VersionInfo::decode(body).unwrap().info.unwrap().version;
        pages.push(page.into_iter().map(|result| number(result.body)).collect());
    }
    assert_eq!(pages, [vec![1, 2], vec![3]]);

    let run = |args: &[&str]| {
        let output = farrow(&[&["versions", "--address", agent.socket()], args].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, table, note) = run(&["sales/a"]);
    assert_eq!((code, note.as_str()), (Some(0), "sales/a keeps the last 9 versions\n"));
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["version", "rows", "bytes", "own_bytes", "committed", "uid", "leases"]);
    assert_eq!((lines.len(), &lines[1][..2]), (4, &["@1", "10000"][..]));
    assert_eq!(lines[2].last(), Some(&"1"));
    let (_, json, _) = run(&["sales/a", "--json"]);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!((&last["version"], &last["retention"], &last["leases"]), (&3.into(), &9.into(), &0.into()));
    assert_eq!(last["own_bytes"], third.own_bytes);
    assert_eq!(run(&["none"]).0, Some(3));
    assert_eq!(run(&["sales/a@1"]).0, Some(2), "a name without version");
}

/// In place and streamed, replacing and appending, all at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_writers_onto_one_version_exactly_one_succeeds() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    for latest in 0..6 {
        let in_place = |mode| {
            let client = client.clone();
            tokio::spawn(async move {
                let (rows, options) = (batch(0, 1000), PutOptions::from(mode).if_version(latest));
                let put = client.put_with("contended", rows.schema(), vec![rows], options).await;
                put.map(|info: Info| info.version).map_err(|error: ClientError| error.reason().unwrap())
            })
        };
        let streamed = || {
            let socket = agent.socket().to_owned();
            tokio::spawn(async move {
                let number: &'static str = latest.to_string().leak();
                let headers = [(IF_VERSION_HEADER, number)];
                let put = do_put(&mut flight(&socket).await, "contended", &headers, false).await;
                put.map(|info| info.version).map_err(|status| Reason::parse(reason(&status)).unwrap())
            })
        };
        let modes = [Mode::Replace, Mode::Append, Mode::Replace];
        let tasks: Vec<_> = modes.into_iter().flat_map(|mode| [in_place(mode), streamed()]).collect();
        let mut published = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(number) => {
                    assert_eq!(number, latest + 1);
                    published += 1;
                }
                Err(reason) => assert_eq!(reason, Reason::VersionConflict),
            }
        }
        assert_eq!(published, 1, "onto version {latest}");
    }
    assert_eq!(client.versions("contended").await.unwrap().len(), 6);
    assert_eq!(client.usage().await.unwrap().reserved, 0, "who lost leaves nothing");
}

#[tokio::test]
async fn a_conflict_is_told_before_the_rows_are_there() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(&client, "a").await;
    let mut flight = flight(agent.socket()).await;
    let request = v1::ReserveRequest { len: 4096, name: "a".into(), if_version: Some(7) };
    let refused = results(&mut flight, Action::Reserve, request.encode_to_vec()).await.unwrap_err();
    assert_eq!((reason(&refused), refused.code()), ("version-conflict", tonic::Code::Aborted));
    assert!(refused.message().contains("@1") && refused.message().contains("@7"), "{refused}");
    for (value, expected) in [("7", "version-conflict"), ("-1", "invalid-data"), ("new", "invalid-data")] {
        let refused = do_put(&mut flight, "a", &[(IF_VERSION_HEADER, value)], true).await.unwrap_err();
        assert_eq!(reason(&refused), expected, "{refused}");
    }
    let refused = do_put(&mut flight, "a", &[(KEEP_HEADER, "some")], true).await.unwrap_err();
    assert_eq!(reason(&refused), "invalid-data");
    assert!(refused.message().contains("x-farrow-keep: \"some\""), "{refused}");
    let info =
        do_put(&mut flight, "a", &[(IF_VERSION_HEADER, "1"), (KEEP_HEADER, "1")], false).await.unwrap();
    assert_eq!((info.version, info.retention), (2, 1));
    assert_eq!(client.versions("a").await.unwrap().len(), 1);
}

/// A put that says what the frame keeps drops versions, by whichever door it comes.
#[tokio::test]
async fn to_say_what_a_frame_keeps_takes_the_right_to_drop() {
    let region = Region::new("64MiB");
    let publish = "[[rights]]\nwho = [\"local\"]\nnames = [\"mine/\"]\nmay = [\"read\", \"publish\"]\n";
    let config = region.config(&(ONLY_ETL.replace("TOKEN_FILE", &token_file(&region, TOKEN)) + publish));
    let agent = region.agent_with(&["--config", &config]);
    let (etl, publisher) = (connect(agent.socket(), Some(TOKEN)).await, connect(agent.socket(), None).await);
    let put_as = async |client: &farrow_client::Client, options| {
        let rows = batch(0, 10);
        client.put_with("mine/a", rows.schema(), vec![rows], options).await
    };
    let keeping = PutOptions::from(Mode::Replace).keep(1);
    let refused = put_as(&publisher, keeping).await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::Denied), "{refused}");
    assert!(refused.to_string().contains("may not drop"), "{refused}");
    let mut flight = flight(agent.socket()).await;
    let refused = do_put(&mut flight, "mine/a", &[(KEEP_HEADER, "0")], true).await.unwrap_err();
    assert_eq!(reason(&refused), "denied", "{refused}");
    assert_eq!(etl.stat("mine/a").await.unwrap_err().reason(), Some(Reason::NotFound));

    put_as(&publisher, PutOptions::from(Mode::Replace).if_version(0)).await.unwrap();
    assert_eq!(put_as(&etl, keeping).await.unwrap().retention, 1);
    assert_eq!(
        put_as(&publisher, Mode::Replace.into()).await.unwrap().version,
        3,
        "a retention that is there"
    );
    assert_eq!(publisher.versions("mine/a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_command_publishes_onto_a_version_and_says_what_is_kept() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let file = region.beside("rows.csv");
    std::fs::write(&file, "n\n1\n").unwrap();
    let run = |verb: &str, args: &[&str]| {
        let file = file.to_str().unwrap();
        let output = farrow(&[&[verb, "a", file, "--address", agent.socket()], args].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run("put", &["--if-version", "0", "--keep", "2"]).0, Some(0));
    let (code, told) = run("put", &["--if-version", "0"]);
    assert_eq!(code, Some(9), "{told}");
    assert!(told.starts_with("farrow: the latest version of `a` is @1, "), "{told}");
    for verb in ["append", "put"] {
        assert_eq!(run(verb, &[]).0, Some(0));
    }
    assert_eq!(run("append", &["--if-version", "3", "--keep", "1"]).0, Some(0));
    assert_eq!(run("append", &["--if-version", "3"]).0, Some(9));
    let listed = agent.client().await.versions("a").await.unwrap();
    assert_eq!(listed.iter().map(|version| version.info.version).collect::<Vec<_>>(), [4]);
    assert_eq!(run("put", &["--keep", "0"]).0, Some(2));
}
