//! A peer whose connection ends in the middle of every verb: `cut-off SOCKET FRAME`.
//!
//! Each verb is tried whole, then again and again with the connection closed after so many bytes of the request, and of
//! the answer. This process holds whatever it was given meanwhile; its end must give all of it back.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::pin::Pin;

use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{
    Action as Call, CancelFlightInfoRequest, Criteria, Empty, FlightData, FlightDescriptor,
    RenewFlightEndpointRequest, Ticket,
};
use farrow_integration_tests::batch;
use farrow_proto::v1::session_request::Request as SessionRequest;
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE, Action, SESSION_COMMAND, SESSION_VERSION, v1};
use futures::TryStreamExt;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Connections that are cut in the requests of one verb, about, and as many in its answers.
const CUTS: usize = 120;

type Flight = FlightServiceClient<Channel>;

/// A use of the protocol from its first request to its last answer.
type Verb = (&'static str, fn(Flight, String) -> Pin<Box<dyn Future<Output = Result<(), Status>>>>);

const VERBS: &[Verb] = &[
    ("GetFlightInfo", |mut flight, frame| {
        Box::pin(async move { flight.get_flight_info(path(&frame)).await.map(drop) })
    }),
    ("GetFlightInfo, announced", |mut flight, frame| {
        Box::pin(async move { flight.get_flight_info(announced(path(&frame))).await.map(drop) })
    }),
    ("GetSchema", |mut flight, frame| {
        Box::pin(async move { flight.get_schema(path(&frame)).await.map(drop) })
    }),
    ("ListFlights", |mut flight, _| {
        Box::pin(async move { all(flight.list_flights(Criteria::default()).await?.into_inner()).await })
    }),
    ("ListActions", |mut flight, _| {
        Box::pin(async move { all(flight.list_actions(Empty {}).await?.into_inner()).await })
    }),
    ("DoGet", |mut flight, frame| {
        Box::pin(async move {
            let ticket = ticket(&mut flight, &frame).await?;
            all(flight.do_get(ticket).await?.into_inner()).await
        })
    }),
    ("DoGet, announced", |mut flight, frame| {
        Box::pin(async move {
            let ticket = ticket(&mut flight, &frame).await?;
            all(flight.do_get(announced(ticket)).await?.into_inner()).await
        })
    }),
    ("Reserve, Abort", |mut flight, _| {
        Box::pin(async move {
            let reservation = reserve(&mut flight, 5000).await?;
            act(&mut flight, Action::Abort, &v1::AbortRequest { reservation }).await.map(drop)
        })
    }),
    ("Reserve, Commit of nothing", |mut flight, _| {
        Box::pin(async move {
            let reservation = reserve(&mut flight, 5000).await?;
            let request = v1::CommitRequest {
                reservation,
                name: "never".to_owned(),
                len: 5000,
                append: false,
                ..Default::default()
            };
            let refused = act(&mut flight, Action::Commit, &request).await;
            // It reaches its end only if nothing was cut.
            match refused {
                Err(status) if status.metadata().contains_key(farrow_proto::REASON_HEADER) => {
                    act(&mut flight, Action::Abort, &v1::AbortRequest { reservation }).await.map(drop)
                }
                other => other.map(drop),
            }
        })
    }),
    ("Verify", |mut flight, frame| {
        Box::pin(async move {
            act(&mut flight, Action::Verify, &v1::VerifyRequest { name: frame }).await.map(drop)
        })
    }),
    ("DoPut", |mut flight, _| {
        Box::pin(async move {
            // What is cut off anywhere, and the whole, must come to nothing.
            let messages = futures::stream::iter(messages().await);
            let answers = flight.do_put(messages).await?.into_inner();
            match all(answers).await {
                Err(status) if status.metadata().contains_key(farrow_proto::REASON_HEADER) => Ok(()),
                other => other,
            }
        })
    }),
    ("DoExchange", |mut flight, frame| {
        Box::pin(async move {
            let answers = flight.do_exchange(futures::stream::iter(session(&frame))).await?.into_inner();
            all(answers).await
        })
    }),
    ("Map, CancelFlightInfo", |mut flight, frame| {
        Box::pin(async move {
            act(&mut flight, Action::Map, &v1::MapRequest { names: vec![frame.clone(); 3] }).await?;
            let info = flight.get_flight_info(announced(path(&frame))).await?.into_inner();
            act(&mut flight, Action::CancelFlightInfo, &CancelFlightInfoRequest::new(info)).await.map(drop)
        })
    }),
    ("RenewFlightEndpoint", |mut flight, frame| {
        Box::pin(async move {
            let info = flight.get_flight_info(announced(path(&frame))).await?.into_inner();
            let request = RenewFlightEndpointRequest { endpoint: info.endpoint.into_iter().next() };
            act(&mut flight, Action::RenewFlightEndpoint, &request).await.map(drop)
        })
    }),
    ("List", |mut flight, _| {
        Box::pin(async move { act(&mut flight, Action::List, &v1::ListRequest::default()).await.map(drop) })
    }),
    ("Leases", |mut flight, _| {
        Box::pin(async move { act(&mut flight, Action::Leases, &()).await.map(drop) })
    }),
    ("Usage", |mut flight, _| Box::pin(async move { act(&mut flight, Action::Usage, &()).await.map(drop) })),
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, socket, frame] = args.as_slice() else { panic!("usage: cut-off SOCKET FRAME") };
    let between = Between::new(socket.into());
    let mut cuts = 0;
    for (name, verb) in VERBS {
        let (whole, ended) =
            between.through(usize::MAX, usize::MAX, |flight| verb(flight, frame.clone())).await;
        ended.unwrap_or_else(|status| panic!("{name}, whole: {status}"));
        for request in (0..whole.sent).step_by(whole.sent.div_ceil(CUTS)) {
            drop(between.through(request, usize::MAX, |flight| verb(flight, frame.clone())).await);
            cuts += 1;
        }
        for answer in (0..whole.received).step_by(whole.received.div_ceil(CUTS)) {
            drop(between.through(usize::MAX, answer, |flight| verb(flight, frame.clone())).await);
            cuts += 1;
        }
    }
    let mut out = std::io::stdout().lock();
    std::io::Write::write_all(&mut out, format!("{} verbs, {cuts} cuts\n", VERBS.len()).as_bytes())
        .expect("stdout");
}

/// Messages of a DoPut that is refused at its end: the last one is no Arrow.
async fn messages() -> Vec<FlightData> {
    let rows = batch(0, 100).project(&[0]).expect("a column");
    let encoder = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(path("cut/off")))
        .build(futures::stream::iter([Ok(rows.slice(0, 50)), Ok(rows.slice(50, 50))]));
    let mut messages: Vec<FlightData> = encoder.try_collect().await.expect("rows that can be sent");
    // Whoever reads this far has read everything before it.
    messages.push(FlightData { data_header: vec![1, 2, 3].into(), ..Default::default() });
    messages
}

/// Messages of a session that takes leases and a reservation, and watches.
fn session(frame: &str) -> Vec<FlightData> {
    let requests = [
        SessionRequest::Hello(v1::Hello { versions: vec![SESSION_VERSION], client: "cut-off".to_owned() }),
        SessionRequest::Watch(v1::Watch { what: None, from: None }),
        SessionRequest::Map(v1::MapRequest { names: vec![frame.to_owned(); 2] }),
        SessionRequest::Reserve(v1::ReserveRequest { len: 5000, ..Default::default() }),
        SessionRequest::Unwatch(v1::Unwatch { watch: 2 }),
    ];
    let begin = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(SESSION_COMMAND));
    let messages = (1..).zip(requests).map(|(seq, request)| {
        let request = v1::SessionRequest { seq, request: Some(request) };
        FlightData::new().with_app_metadata(request.encode_to_vec())
    });
    std::iter::once(begin).chain(messages).collect()
}

/// Stands between this process's clients and the agent.
struct Between {
    agent: PathBuf,
    own: PathBuf,
    listener: UnixListener,
    _directory: tempfile::TempDir,
}

/// Bytes that went through.
#[derive(Default)]
struct Through {
    sent: usize,
    received: usize,
}

impl Between {
    fn new(agent: PathBuf) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let own = directory.path().join("between.sock");
        let listener = UnixListener::bind(&own).expect("a socket");
        Self { agent, own, listener, _directory: directory }
    }

    /// Makes one connection, which ends after `requests` bytes to the agent or `answers` bytes from it.
    async fn through<Used: Future<Output = Result<(), Status>>>(
        &self,
        requests: usize,
        answers: usize,
        client: impl FnOnce(Flight) -> Used,
    ) -> (Through, Result<(), Status>) {
        let endpoint = Endpoint::from_shared(format!("unix://{}", self.own.display())).expect("a path");
        let ended = async {
            match endpoint.connect().await {
                Ok(channel) => client(FlightServiceClient::new(channel)).await,
                Err(error) => Err(Status::unavailable(error.to_string())),
            }
        };
        tokio::pin!(ended);
        let mut through = Through::default();
        let ended = {
            let carry = self.carry(requests, answers, &mut through);
            tokio::pin!(carry);
            tokio::select! {
                ended = &mut ended => ended,
                // The connection is cut: what the client makes of it is its own affair.
                () = &mut carry => Err(Status::cancelled("cut off")),
            }
        };
        (through, ended)
    }

    async fn carry(&self, requests: usize, answers: usize, through: &mut Through) {
        let (client, _) = self.listener.accept().await.expect("a client");
        let agent = UnixStream::connect(&self.agent).await.expect("the agent serves on");
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_agent, mut to_agent) = agent.into_split();
        let Through { sent, received } = through;
        tokio::select! {
            () = copy(&mut from_client, &mut to_agent, requests, sent) => {}
            () = copy(&mut from_agent, &mut to_client, answers, received) => {}
        }
    }
}

/// Carries bytes until there are no more, or `most` went through.
async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    most: usize,
    count: &mut usize,
) {
    let mut buffer = vec![0; 16 << 10];
    while *count < most {
        let wanted = buffer.len().min(most - *count);
        match from.read(&mut buffer[..wanted]).await {
            Ok(read @ 1..) if to.write_all(&buffer[..read]).await.is_ok() => *count += read,
            _ => return,
        }
    }
}

fn path(frame: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(frame.split('/').map(str::to_owned).collect())
}

fn announced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(ANNOUNCE_HEADER, ANNOUNCE_VALUE.parse().expect("a header"));
    request
}

async fn ticket(flight: &mut Flight, frame: &str) -> Result<Ticket, Status> {
    let info = flight.get_flight_info(path(frame)).await?.into_inner();
    Ok(info.endpoint[0].ticket.clone().expect("a ticket"))
}

async fn all<T>(mut answers: impl futures::Stream<Item = Result<T, Status>> + Unpin) -> Result<(), Status> {
    while answers.try_next().await?.is_some() {}
    Ok(())
}

async fn act(flight: &mut Flight, action: Action, body: &impl Message) -> Result<Vec<Vec<u8>>, Status> {
    let results = flight.do_action(Call::new(action.as_str(), body.encode_to_vec())).await?.into_inner();
    results.map_ok(|result| result.body.to_vec()).try_collect().await
}

async fn reserve(flight: &mut Flight, len: u64) -> Result<u64, Status> {
    let results = act(flight, Action::Reserve, &v1::ReserveRequest { len, ..Default::default() }).await?;
    Ok(v1::Reservation::decode(results[0].as_slice()).expect("a reservation").id)
}
