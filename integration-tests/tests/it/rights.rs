//! Users, groups and tokens against the agent's rules.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{
    Action as Call, Criteria, FlightDescriptor, FlightEndpoint, RenewFlightEndpointRequest, Ticket,
};
use farrow_client::{Address, Client, ClientError, Credentials, Reason, Retention};
use farrow_integration_tests::{
    Agent, Region, arrow_file, batch, copy_program, exchange, farrow, map_request, map_socket, program,
    pyarrow, skipped,
};
use farrow_proto::{Action, REASON_HEADER, encode_ticket, v1};
use futures::TryStreamExt as _;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

pub(crate) const TOKEN: &str = "a-token-of-the-integration-tests";

/// Rules that let nobody do anything but the bearer of a token.
pub(crate) const ONLY_ETL: &str = r#"
[[tokens]]
name = "etl"
file = "TOKEN_FILE"

[[rights]]
who = ["token:etl"]
names = [""]
may = ["read", "publish", "drop", "admin"]
"#;

pub(crate) fn token_file(region: &Region, token: &str) -> String {
    let path = region.beside("etl.token");
    std::fs::write(&path, format!("{token}\n")).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn only_etl(region: &Region) -> String {
    region.config(&ONLY_ETL.replace("TOKEN_FILE", &token_file(region, TOKEN)))
}

fn with_token(token: &str) -> Credentials {
    Credentials { token: Some(token.to_owned()), ..Credentials::default() }
}

pub(crate) async fn connect(address: &str, token: Option<&str>) -> Client {
    let credentials = token.map(with_token).unwrap_or_default();
    Client::connect_with(address.parse().unwrap(), &credentials).await.unwrap()
}

pub(crate) async fn put(client: &Client, name: &str) {
    let stored = batch(0, 10);
    client.put(name, stored.schema(), vec![stored]).await.unwrap();
}

fn reason(status: &Status) -> Option<&str> {
    status.metadata().get(REASON_HEADER)?.to_str().ok()
}

/// The `farrow` command as another user, which may use the agent's socket, but not the region's file.
struct As {
    program: String,
    socket: String,
    ids: [String; 3],
}

impl As {
    fn user(region: &Region, agent: &Agent, uid: u32, groups: &str) -> Self {
        region.let_everybody_in();
        // Where the program was built may be closed to others.
        let copy = region.beside("farrow");
        if !copy.exists() {
            copy_program(&program("farrow"), &copy);
        }
        let ids = [format!("--reuid={uid}"), format!("--regid={uid}"), format!("--groups={groups}")];
        Self { program: copy.to_str().unwrap().to_owned(), socket: agent.socket().to_owned(), ids }
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new("setpriv");
        command.args(&self.ids).arg(&self.program).args(args);
        command.env("FARROW_ADDRESS", &self.socket).output().expect("setpriv can be started")
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, args: &[&str], expected: &str) {
        let done = self.run(args);
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && told.contains(expected), "{args:?}: {told}");
    }
}

/// True if this test can become other users; if not, says so.
fn can_be_others(what: &str) -> bool {
    let can = rustix::process::geteuid().is_root()
        && Command::new("setpriv").arg("--version").output().is_ok_and(|told| told.status.success());
    if !can {
        skipped(&format!("{what}: not root, or no setpriv"));
    }
    can
}

#[tokio::test]
async fn users_and_groups_do_what_their_rules_say() {
    if !can_be_others("rights of other users") {
        return;
    }
    let region = Region::new("64MiB");
    let config = region.config(
        r#"
[[rights]]
who = ["user:root"]
names = [""]
may = ["read", "publish", "drop", "admin"]
[[rights]]
who = ["user:7001"]
names = ["sales/"]
may = ["read"]
[[rights]]
who = ["group:7005"]
names = ["hr/payroll"]
may = ["read", "drop"]
"#,
    );
    let agent = region.agent_with(&["--config", &config]);
    let root = agent.client().await;
    for name in ["sales/orders", "salesforce", "hr/payroll", "hr/payrolls", "hr/payroll/2024"] {
        put(&root, name).await;
    }
    let held = root.get("sales/orders").await.unwrap();

    let alice = As::user(&region, &agent, 7001, "7009");
    assert_eq!(alice.done(&["ls"]), "sales/orders\n");
    assert_eq!(alice.done(&["ls", "hr/"]), "");
    alice.done(&["get", "sales/orders", "-o", "/dev/null"]);
    let refusal = "user 7001 may not read \"hr/payroll\": it may read \"sales/\", and nothing else";
    alice.refused(&["get", "hr/payroll"], refusal);
    alice.refused(&["get", "hr/nothing"], &refusal.replace("payroll", "nothing"));
    alice.refused(&["verify", "salesforce"], "may not read");
    alice.refused(&["rm", "sales/orders"], "may not drop \"sales/orders\"");
    alice.refused(&["rm", "--prefix", "sales/"], "may not drop all frames below \"sales/\"");
    alice.refused(&["expire", "--older-than", "1s"], "may not drop every frame");
    alice.refused(&["retain", "sales/orders", "--last", "1"], "may not drop \"sales/orders\"");
    alice.refused(&["grow"], "may not admin every frame");
    assert_eq!(alice.done(&["leases", "--json"]), "", "the lease of another user");
    assert!(alice.done(&["df"]).contains("free"));

    let payroll = As::user(&region, &agent, 7001, "7009,7005");
    assert_eq!(payroll.done(&["ls"]), "hr/payroll\nhr/payroll/2024\nsales/orders\n");
    let text = "may not drop all frames whose names begin with \"hr/payroll\"";
    payroll.refused(&["rm", "--prefix", "hr/payroll*"], text);
    // As the rule has it, so does the request: not hr/payrolls.
    payroll.done(&["rm", "--prefix", "hr/payroll"]);
    let stranger = As::user(&region, &agent, 7002, "7009");
    assert_eq!(stranger.done(&["ls"]), "");
    stranger.refused(&["get", "sales/orders"], "user 7002 may not read \"sales/orders\": no rule names it");

    assert_eq!(root.leases().await.unwrap().len(), 1);
    assert!(agent.log().contains("refused"), "{}", agent.log());
    // Its rows were streamed: a descriptor of the region would have shown it all frames.
    assert!(held.zero_copy() && agent.log().contains("verb=\"the map socket\""), "{}", agent.log());
}

#[tokio::test]
async fn without_rules_other_users_use_the_socket_but_do_not_grow() {
    if !can_be_others("default rights of other users") {
        return;
    }
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    put(&agent.client().await, "a").await;
    let other = As::user(&region, &agent, 7001, "7009");
    assert_eq!(other.done(&["ls"]), "a\n");
    other.refused(&["grow"], "may not admin");
    other.done(&["rm", "a"]);

    put(&agent.client().await, "b").await;
    let far = connect(&agent.tcp(), None).await;
    assert_eq!(far.get("b").await.unwrap().rows(), 10);
    let refused = far.drop("b").await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::Denied), "{refused}");
    assert!(
        refused.to_string().contains("a caller without token or certificate from 127.0.0.1"),
        "{refused}"
    );
}

/// Space is reserved before it is said for which frame.
#[tokio::test]
async fn the_name_is_checked_at_the_commit_of_a_reservation() {
    let region = Region::new("64MiB");
    let rule = "[[rights]]\nwho = [\"local\"]\nnames = [\"a/\"]\nmay = [\"read\", \"publish\"]\n";
    let agent = region.agent_with(&["--config", &region.config(rule)]);
    let file = arrow_file(&[batch(0, 10)]);
    let client = agent.client().await;
    let mut flight = crate::limits::flight(agent.socket()).await;
    let reservation = crate::limits::reserve(&mut flight, file.len() as u64).await.unwrap();
    let commit = async |flight: &mut FlightServiceClient<Channel>, name: &str| {
        let request = v1::CommitRequest {
            reservation: reservation.id,
            name: name.to_owned(),
            len: file.len() as u64,
            ..Default::default()
        };
        results(flight, Action::Commit, request.encode_to_vec()).await
    };
    for name in ["b/x", "a", "ab/x"] {
        let refused = commit(&mut flight, name).await.unwrap_err();
        assert_eq!(reason(&refused), Some("denied"), "{name}: {refused}");
        assert!(refused.message().contains(&format!("may not publish \"{name}\"")), "{refused}");
        // As for what is published without a reservation of its own.
        let rows = batch(0, 10);
        let refused = client.put(name, rows.schema(), vec![rows]).await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::Denied), "{name}: {refused}");
    }
    // It is there still, and of zeros: no Arrow file.
    let invalid = commit(&mut flight, "a/x").await.unwrap_err();
    assert_eq!(reason(&invalid), Some("invalid-data"), "{invalid}");
    put(&client, "a/x").await;
}

#[tokio::test]
async fn refusals_and_permissions_are_lines_of_the_log_and_tokens_are_not() {
    let region = Region::new("64MiB");
    let config = only_etl(&region);
    let mut command = region.command(&["--config", &config]);
    command.env("RUST_LOG", "debug");
    let agent = region.start(command);
    let etl = connect(agent.socket(), Some(TOKEN)).await;
    put(&etl, "a/b").await;
    let nobody = agent.client().await;
    nobody.stat("a/b").await.unwrap_err();
    let wrong = "another-token-that-nobody-knows";
    connect(agent.socket(), Some(wrong)).await.stat("a/b").await.unwrap_err();
    let log = agent.log();
    let has = |parts: &[&str]| log.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["INFO", "refused", "caller=user 0", "verb=", "name=\"a/b\"", "right=read"]), "{log}");
    assert!(has(&["DEBUG", "allowed", "with token etl", "verb=", "a/b"]), "{log}");
    for secret in [TOKEN, wrong] {
        assert!(!log.contains(secret), "{log}");
    }
}

/// Each verb and action asks: who may nothing gets nothing from any of them, and cannot tell what is there.
#[tokio::test]
async fn who_may_nothing_is_refused_by_every_verb() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--config", &only_etl(&region), "--listen", "127.0.0.1:0"]);
    let etl = connect(agent.socket(), Some(TOKEN)).await;
    put(&etl, "a/there").await;
    etl.retain("a/there", Retention::last(5)).await.unwrap();
    etl.retain_prefix("", Retention::last(7)).await.unwrap();
    let info = etl.stat("a/there").await.unwrap();
    assert_eq!(info.version, 1);

    let over_unix = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    let channel = over_unix.connect().await.unwrap();
    let mut messages = Vec::new();
    for name in ["a/there", "a/gone1"] {
        let mut flight = FlightServiceClient::new(channel.clone());
        let descriptor = || FlightDescriptor::new_path(vec![name.to_owned()]);
        let ticket = encode_ticket(&v1::Ticket {
            region_uuid: region_uuid(&mut FlightServiceClient::new(channel.clone())).await,
            name: name.to_owned(),
            version: 1,
            commit: 0,
            selection: None,
        });
        let mut told = Vec::new();
        let mut refusals = vec![
            flight.get_flight_info(descriptor()).await.err().unwrap(),
            flight.get_schema(descriptor()).await.err().unwrap(),
            flight.do_get(Ticket::new(ticket.clone())).await.err().unwrap(),
        ];
        for action in Action::ALL {
            let body = match action {
                Action::Reserve => v1::ReserveRequest { len: 4096, ..Default::default() }.encode_to_vec(),
                Action::Commit => v1::CommitRequest {
                    reservation: 1,
                    name: name.to_owned(),
                    len: 1,
                    append: false,
                    ..Default::default()
                }
                .encode_to_vec(),
                Action::Drop => {
                    v1::DropRequest { name: name.to_owned(), ..Default::default() }.encode_to_vec()
                }
                Action::Retain => {
                    v1::RetainRequest { name: name.to_owned(), last: 1, ..Default::default() }.encode_to_vec()
                }
                Action::Expire => v1::ExpireRequest::default().encode_to_vec(),
                Action::Stat => v1::StatRequest { name: name.to_owned(), version: 0 }.encode_to_vec(),
                Action::Versions => {
                    v1::VersionsRequest { name: name.to_owned(), ..Default::default() }.encode_to_vec()
                }
                Action::Verify => v1::VerifyRequest { name: name.to_owned() }.encode_to_vec(),
                Action::Grow => v1::GrowRequest { len: 0 }.encode_to_vec(),
                Action::RenewFlightEndpoint => {
                    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket.clone()));
                    RenewFlightEndpointRequest::new(endpoint).encode_to_vec()
                }
                // Each name has an answer of its own.
                Action::Map => {
                    let request = v1::MapRequest { names: vec![name.to_owned()] }.encode_to_vec();
                    let answers = results(&mut flight, action, request).await.unwrap();
                    let answer = v1::MapResult::decode(answers[0].body.clone()).unwrap().result;
                    let Some(v1::map_result::Result::Refusal(refusal)) = answer else { panic!("{answer:?}") };
                    assert_eq!(refusal.reason, "denied");
                    told.push(refusal.message.replace(name, "…"));
                    continue;
                }
                // They show what the caller has or may see, or end what is its own.
                Action::List | Action::Leases | Action::Retentions => {
                    assert!(results(&mut flight, action, Vec::new()).await.unwrap().is_empty(), "{action:?}");
                    continue;
                }
                Action::Abort
                | Action::Release
                | Action::CancelFlightInfo
                | Action::Usage
                | Action::Health => continue,
            };
            refusals.push(results(&mut flight, action, body).await.expect_err(action.as_str()));
        }
        for refusal in &refusals {
            assert_eq!(
                (refusal.code(), reason(refusal)),
                (Code::PermissionDenied, Some("denied")),
                "{refusal:?}"
            );
        }
        told.extend(refusals.iter().map(|refusal| refusal.message().replace(name, "…")));
        messages.push(told);
        let listed = flight.list_flights(Criteria::default()).await.unwrap().into_inner();
        assert!(listed.try_collect::<Vec<_>>().await.unwrap().is_empty());
    }
    assert_eq!(messages[0], messages[1], "whether a frame is there makes no difference");
    assert_eq!(etl.stat("a/there").await.unwrap(), info);

    let uuid = region_uuid(&mut FlightServiceClient::new(channel)).await;
    let answer = exchange(&map_socket(agent.socket()), &map_request(&uuid, 0, false)).unwrap();
    let told = answer.message();
    assert_eq!((told.reason.as_str(), answer.descriptors.len()), ("denied", 0), "{}", told.text);
    assert!(told.text.contains("may not read every frame"), "{}", told.text);
}

pub(crate) async fn results(
    flight: &mut FlightServiceClient<Channel>,
    action: Action,
    body: Vec<u8>,
) -> Result<Vec<arrow_flight::Result>, Status> {
    flight.do_action(Call::new(action.as_str(), body)).await?.into_inner().try_collect().await
}

async fn region_uuid(flight: &mut FlightServiceClient<Channel>) -> bytes::Bytes {
    let results = results(flight, Action::Usage, Vec::new()).await.unwrap();
    v1::Usage::decode(results[0].body.clone()).unwrap().region_uuid
}

#[tokio::test]
async fn a_listing_in_pages_has_all_that_may_be_read_and_nothing_else() {
    let region = Region::new("64MiB");
    let config = only_etl(&region);
    let rules = std::fs::read_to_string(&config).unwrap()
        + "[[rights]]\nwho = [\"local\"]\nnames = [\"b\", \"d/\", \"a/x\"]\nmay = [\"read\"]\n";
    let agent = region.agent_with(&["--config", &region.config(&rules)]);
    let etl = connect(agent.socket(), Some(TOKEN)).await;
    for name in ["a/w", "a/x", "a/x-1", "a/x/1", "b", "b-1", "b/1", "b/2", "c", "d/1", "d/2", "e"] {
        put(&etl, name).await;
    }
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    let mut flight = FlightServiceClient::new(endpoint.connect().await.unwrap());
    let readable = ["a/x", "a/x/1", "b", "b/1", "b/2", "d/1", "d/2"];
    for limit in [1, 2, 3, 100] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let request = v1::ListRequest { prefix: String::new(), after, limit };
            let page = results(&mut flight, Action::List, request.encode_to_vec()).await.unwrap();
            let names = page.iter().map(|result| v1::FrameInfo::decode(result.body.clone()).unwrap().name);
            found.extend(names);
            if page.is_empty() {
                break;
            }
            after = found.last().unwrap().clone();
        }
        assert_eq!(found, readable, "in pages of {limit}");
    }
    let listed = flight.list_flights(Criteria { expression: "b".into() }).await.unwrap().into_inner();
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let names = listed.iter().map(|info| info.flight_descriptor.as_ref().unwrap().path.join("/"));
    assert_eq!(names.collect::<Vec<_>>(), ["b", "b/1", "b/2"]);
}

#[tokio::test]
async fn a_token_is_taken_over_tcp_and_ends_when_it_is_replaced() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--config", &only_etl(&region), "--listen", "127.0.0.1:0"]);
    put(&connect(agent.socket(), Some(TOKEN)).await, "a/b").await;
    let etl = connect(&agent.tcp(), Some(TOKEN)).await;
    assert_eq!(etl.get("a/b").await.unwrap().rows(), 10);

    let nobody = connect(&agent.tcp(), None).await.get("a/b").await.unwrap_err();
    assert_eq!(nobody.reason(), Some(Reason::Denied), "{nobody}");
    let wrong = connect(&agent.tcp(), Some("a-token-of-nobody")).await.get("a/b").await.unwrap_err();
    assert_eq!(wrong.reason(), Some(Reason::Unauthenticated), "{wrong}");
    assert!(matches!(wrong, ClientError::Refused { code: Code::Unauthenticated, .. }));

    let mut basic =
        FlightServiceClient::new(Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap());
    let mut request = Request::new(Criteria::default());
    request.metadata_mut().insert("authorization", "Basic ZXRsOmV0bA==".parse().unwrap());
    assert_eq!(basic.list_flights(request).await.err().unwrap().code(), Code::Unauthenticated);

    let command = |token: &str| {
        let mut command = Command::new(program("farrow"));
        command.args(["ls", "--address", &agent.tcp()]).env("FARROW_TOKEN", token);
        command.output().unwrap()
    };
    assert_eq!(command(TOKEN).stdout, b"a/b\n");
    assert!(
        String::from_utf8_lossy(&command("wrong").stderr).contains("a token that this agent does not know")
    );

    token_file(&region, "another-token-of-these-tests");
    agent.reload();
    let ended = etl.get("a/b").await.unwrap_err();
    assert_eq!(ended.reason(), Some(Reason::Unauthenticated), "also over a connection that is open: {ended}");
    let renewed = connect(&agent.tcp(), Some("another-token-of-these-tests")).await;
    assert_eq!(renewed.get("a/b").await.unwrap().rows(), 10);
    assert!(!agent.log().contains(TOKEN), "no token is in the log");
}

#[tokio::test]
async fn plain_pyarrow_sends_a_token() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--config", &only_etl(&region), "--listen", "127.0.0.1:0"]);
    put(&connect(agent.socket(), Some(TOKEN)).await, "a/b").await;
    let script = r#"
import sys
import pyarrow.flight as flight
location, token = sys.argv[1:]
client = flight.connect(location)
descriptor = flight.FlightDescriptor.for_path("a", "b")
options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())])
info = client.get_flight_info(descriptor, options)
assert client.do_get(info.endpoints[0].ticket, options).read_all().num_rows == 10
assert len(list(client.list_flights(options=options))) == 1
for options, refusal in [
    (flight.FlightCallOptions(), flight.FlightUnauthorizedError),
    (flight.FlightCallOptions(headers=[(b"authorization", b"Bearer wrong")]), flight.FlightUnauthenticatedError),
]:
    try:
        client.get_flight_info(descriptor, options)
    except refusal as error:
        print(error)
    else:
        sys.exit("not refused")
"#;
    for location in [agent.tcp().replace("http://", "grpc+tcp://"), format!("grpc+unix://{}", agent.socket())]
    {
        match pyarrow(script, &[&location, TOKEN]) {
            Some(done) => {
                assert!(done.status.success(), "{location}: {}", String::from_utf8_lossy(&done.stderr));
            }
            None => skipped("tokens of plain pyarrow: no Python with pyarrow (FARROW_PYTHON)"),
        }
    }
}

#[test]
fn faults_of_rights_and_tokens_are_all_told_and_stop_the_start() {
    let region = Region::new("64MiB");
    let config = region.config(
        "[[tokens]]\nname = \"etl\"\nfile = \"/nowhere/token\"\n\
         [[rights]]\nwho = [\"user:no-such-user\"]\nnames = [\"/\"]\nmay = [\"write\"]\n",
    );
    for (check, code) in [(&["--check-config"][..], 78), (&[], 1)] {
        let refused = region.command(&[&["--config", &config], check].concat()).output().unwrap();
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(code), "{told}");
        for expected in
            ["/nowhere/token: No such file", "this host knows no user \"no-such-user\"", "may \"write\""]
        {
            assert!(told.replace('\\', "").contains(expected), "{expected}: {told}");
        }
    }
}

#[tokio::test]
async fn a_token_does_not_leave_the_host_in_the_clear() {
    let address: Address = "http://192.0.2.1:1".parse().unwrap();
    let error = Client::connect_with(address, &with_token(TOKEN)).await.unwrap_err();
    assert!(matches!(error, ClientError::TokenExposed { .. }), "{error}");
    assert!(!farrow(&["ls", "--address", "https://localhost:1"]).status.success());
}

#[tokio::test]
async fn every_verb_refuses_a_token_that_is_not_known() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    put(&agent.client().await, "a").await;
    let mut flight = crate::limits::flight(agent.socket()).await;
    fn with<T>(message: T) -> Request<T> {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", "Bearer nobody-has-given-this-one-out".parse().unwrap());
        request
    }
    let descriptor = || FlightDescriptor::new_path(vec!["a".to_owned()]);
    let mut refusals = vec![
        flight.list_actions(with(arrow_flight::Empty {})).await.err(),
        flight.list_flights(with(Criteria::default())).await.err(),
        flight.get_flight_info(with(descriptor())).await.err(),
        flight.poll_flight_info(with(descriptor())).await.err(),
        flight.get_schema(with(descriptor())).await.err(),
        flight.do_get(with(Ticket::new(encode_ticket(&v1::Ticket::default())))).await.err(),
        flight.handshake(with(futures::stream::empty())).await.err(),
        flight.do_put(with(futures::stream::empty())).await.err(),
        flight.do_exchange(with(futures::stream::empty())).await.err(),
        flight.do_action(with(Call::new("farrow.Nothing", Vec::new()))).await.err(),
    ];
    for action in Action::ALL {
        refusals.push(flight.do_action(with(Call::new(action.as_str(), Vec::new()))).await.err());
    }
    for (index, refusal) in refusals.into_iter().enumerate() {
        let refusal = refusal.unwrap_or_else(|| panic!("verb {index} answers"));
        assert_eq!(reason(&refusal), Some("unauthenticated"), "verb {index}: {refusal}");
    }
}
