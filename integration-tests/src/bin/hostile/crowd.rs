//! Many peers at a time, while the calls go on: nobody else may wait for them, and the agent must not grow.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Int64Array, ListViewArray, RecordBatch};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action as Call, FlightData, FlightDescriptor};
use arrow_schema::{DataType, Field};
use farrow_client::{Address, Client, Credentials};
use farrow_integration_tests::{Agent, Authority, Peers, Region, User};
use farrow_proto::{Action, v1};
use farrow_region::{FileRange, WriteMapping};
use fastrand::Rng;
use futures::TryStreamExt;
use prost::Message;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// The time that root may wait for an answer on a busy machine. It is a few milliseconds otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Peers of a kind; beyond what one user may have of anything.
const PEERS: usize = 1100;

/// Commits of one reservation at a time.
const COMMITS: usize = 100;

/// A user that nobody is.
const MALLORY: u32 = 7311;

/// Bytes of the largest message that rows may come in. About 1 MiB is asked for.
const LARGEST_MESSAGE: usize = 8 << 20;

/// An agent over TLS beside the one that is called, and somebody else.
pub(crate) struct Place {
    secured: Agent,
    region: Region,
    credentials: Credentials,
    mallory: Option<User>,
    turn: usize,
}

impl Place {
    /// Starts the other agent.
    pub(crate) fn new() -> Self {
        let region = Region::new("64MiB");
        let authority = Authority::new(region.path.parent().expect("a directory"), "ca");
        let signed = authority.sign("agent");
        let config = format!(
            "[tcp]\nlisten = \"127.0.0.1:0\"\ncertificate = {:?}\nkey = {:?}\n\
             [[rights]]\nwho = [\"anyone\"]\nnames = [\"\"]\nmay = [\"read\", \"publish\"]\n",
            signed.certificate, signed.key
        );
        let secured = region.agent_with(&["--config", &region.config(&config)]);
        let credentials = Credentials { ca: Some(authority.certificate), ..Credentials::default() };
        let mallory = User::new(MALLORY, "peers of another user");
        Self { secured, region, credentials, mallory, turn: 0 }
    }

    /// The next crowd, which stays until it is dropped, and what it is called.
    pub(crate) fn next(&mut self, agent: &Agent) -> (&'static str, Vec<Peers>) {
        const KINDS: [&str; 8] =
            ["silent", "greeted", "puts", "unread", "schemas", "mappings", "handshake", "nobody"];
        let kind = KINDS[self.turn % KINDS.len()];
        self.turn += 1;
        let over_tcp = agent.tcp().replace("http://", "");
        let on_the_socket = |count, frame| match &self.mallory {
            Some(mallory) => Peers::of(mallory, kind, agent.socket(), count, frame),
            None => Peers::new(kind, agent.socket(), count, frame),
        };
        let peers = match kind {
            "silent" | "greeted" => {
                vec![on_the_socket(PEERS, ""), Peers::new(kind, &over_tcp, PEERS, "")]
            }
            "puts" => vec![on_the_socket(20, "")],
            "unread" => vec![Peers::new(kind, &over_tcp, 1000, "large")],
            "schemas" => vec![Peers::new(kind, &over_tcp, 1000, "wide")],
            "mappings" => vec![on_the_socket(100, "wide")],
            "handshake" => {
                let address = self.secured.tcp().replace("http://", "");
                vec![Peers::new(kind, &address, PEERS, "")]
            }
            _ => Vec::new(),
        };
        (kind, peers)
    }

    /// Root gets answers in time, from both agents and over TLS; `crowd` says in whose presence.
    pub(crate) async fn root_is_served(&self, agent: &Agent, crowd: &str) {
        for agent in [agent, &self.secured] {
            let begun = Instant::now();
            let answer = async {
                let client = Client::connect(Address::Unix(agent.socket().into())).await?;
                client.usage().await
            };
            let answer = tokio::time::timeout(PATIENCE, answer).await;
            let answer = answer.unwrap_or_else(|_| panic!("root waited {:?} ({crowd})", begun.elapsed()));
            answer.unwrap_or_else(|error| panic!("root is not served ({crowd}): {error}"));
        }
        let address = self.secured.tcp().replace("http://127.0.0.1:", "https://localhost:");
        let connect = Client::connect_with(address.parse().expect("an address"), &self.credentials);
        let client =
            tokio::time::timeout(PATIENCE, connect).await.unwrap_or_else(|_| panic!("TLS ({crowd})"));
        client.unwrap_or_else(|error| panic!("no connection over TLS ({crowd}): {error}"));
    }

    /// Ends the other agent.
    pub(crate) fn end(self) {
        assert!(!self.secured.log().contains("panicked"), "{}", self.secured.log());
        assert_eq!(self.secured.terminate(), Some(0));
        self.region.assert_clean();
    }
}

/// Commits one reservation many times at once, and goes away from half of them; meanwhile `client` puts.
pub(crate) async fn commit_many_times(agent: &Agent, client: &Client, rng: &mut Rng) {
    let mut flight = flight(agent.socket()).await;
    let rows = farrow_integration_tests::batch(0, 100_000);
    let mut file = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &rows.schema()).expect("a file");
    file.write(&rows).expect("rows can be written");
    let file = file.into_inner().expect("its bytes");
    let reservation = reserve_and_write(&mut flight, &file).await;
    let request = v1::CommitRequest {
        reservation,
        name: "committed".to_owned(),
        len: file.len() as u64,
        ..Default::default()
    };
    let commits: Vec<_> = (0..COMMITS)
        .map(|_| {
            let (mut flight, request) = (flight.clone(), request.encode_to_vec());
            tokio::spawn(async move { act::<v1::FrameInfo>(&mut flight, Action::Commit, request).await })
        })
        .collect();
    tokio::task::yield_now().await;
    commits.iter().filter(|_| rng.bool()).for_each(tokio::task::JoinHandle::abort);
    let good = farrow_integration_tests::batch(0, 10);
    let put = client.put("meanwhile", good.schema(), vec![good]);
    let put =
        tokio::time::timeout(PATIENCE, put).await.unwrap_or_else(|_| panic!("a put waited {PATIENCE:?}"));
    put.expect("a good client is served");
    let mut published = 0;
    for commit in commits {
        match commit.await {
            Ok(Ok(_)) => published += 1,
            Ok(Err(refused)) => {
                let reason = refused.metadata().get(farrow_proto::REASON_HEADER).map(|word| word.as_bytes());
                assert!([Some(&b"busy"[..]), Some(b"not-held")].contains(&reason), "{refused}");
            }
            // It was gone from.
            Err(_) => {}
        }
    }
    assert!(published <= 1, "one reservation was published {published} times");
    forget(client, &["committed", "meanwhile"]).await;
    // Nothing is reserved if it was published.
    let _ =
        act::<v1::AbortRequest>(&mut flight, Action::Abort, v1::AbortRequest { reservation }.encode_to_vec())
            .await;
}

/// A list view whose rows lie in any order, published and read: no message is out of all proportion.
pub(crate) async fn shuffled_lists(agent: &Agent, client: &Client, rng: &mut Rng) {
    const ROWS: i32 = 20_000;
    const LEN: i32 = 20;
    let mut offsets: Vec<i32> = (0..ROWS).map(|row| row * LEN).collect();
    rng.shuffle(&mut offsets);
    let values: ArrayRef = Arc::new((0..i64::from(ROWS * LEN)).collect::<Int64Array>());
    let field = Arc::new(Field::new_list_field(DataType::Int64, true));
    let sizes = vec![LEN; offsets.len()];
    let lists =
        ListViewArray::try_new(field, offsets.into(), sizes.into(), values, None).expect("a list view");
    let rows = RecordBatch::try_from_iter([("lists", Arc::new(lists) as ArrayRef)]).expect("one column");
    let stored = client.put("shuffled", rows.schema(), vec![rows]).await.expect("a good client is served");
    let mut flight = flight(agent.socket()).await;
    let path = FlightDescriptor::new_path(vec!["shuffled".to_owned()]);
    let info = flight.get_flight_info(path).await.expect("a frame").into_inner();
    let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
    let messages = flight.do_get(ticket).await.expect("its rows").into_inner();
    let messages: Vec<FlightData> = messages.try_collect().await.expect("all of them");
    let lens = || messages.iter().map(|message| message.data_body.len());
    forget(client, &["shuffled"]).await;
    let (largest, all) = (lens().max().unwrap_or_default(), lens().sum::<usize>() as u64);
    assert!(largest <= LARGEST_MESSAGE, "a message of {largest} bytes");
    assert!(all <= 2 * stored.bytes, "{} bytes came as {all}", stored.bytes);
}

/// Drops frames, if they are there, so that many rounds fit into the region.
async fn forget(client: &Client, names: &[&str]) {
    for name in names {
        let _ = client.drop(name).await;
    }
}

async fn flight(socket: &str) -> FlightServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("unix://{socket}")).expect("a socket");
    FlightServiceClient::new(endpoint.connect().await.expect("the agent takes connections"))
}

async fn act<M: Message + Default>(
    flight: &mut FlightServiceClient<Channel>,
    action: Action,
    body: Vec<u8>,
) -> Result<M, Status> {
    let results = flight.do_action(Call::new(action.as_str(), body)).await?.into_inner();
    let results: Vec<_> = results.try_collect().await?;
    Ok(results.first().map(|result| M::decode(result.body.clone()).expect("a result")).unwrap_or_default())
}

/// Reserves what `bytes` needs and writes them there.
async fn reserve_and_write(flight: &mut FlightServiceClient<Channel>, bytes: &[u8]) -> u64 {
    let request = v1::ReserveRequest { len: bytes.len() as u64, ..Default::default() }.encode_to_vec();
    let taken: v1::Reservation = act(flight, Action::Reserve, request).await.expect("a reservation");
    let [pool] = taken.pools.as_slice() else { panic!("one pool") };
    let [range] = pool.ranges.as_slice() else { panic!("a pool file in one piece") };
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&pool.path).expect("the medium");
    let ranges = taken.extents.iter();
    let ranges = ranges.map(|extent| FileRange { offset: range.offset + extent.offset, len: extent.length });
    let mapping = WriteMapping::map(&file, &ranges.collect::<Vec<_>>()).expect("it can be mapped");
    mapping.write_at(0, bytes).expect("it can be written");
    taken.id
}
