//! Calls as a good client makes them, and then not.

use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::{
    Action, CancelFlightInfoRequest, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, RenewFlightEndpointRequest, Ticket,
};
use bytes::Bytes;
use farrow_proto::v1::session_request::Request;
use farrow_proto::{
    ANNOUNCE_HEADER, ANNOUNCE_VALUE, PUT_APPEND, PUT_HEADER, SESSION_COMMAND, SESSION_VERSION, v1,
};
use fastrand::Rng;
use futures::{FutureExt, TryStreamExt};
use prost::Message;

use crate::mutation::mutate;

const SERVICE: &str = "arrow.flight.protocol.FlightService";

const METHODS: [&str; 10] = [
    "Handshake",
    "ListFlights",
    "GetFlightInfo",
    "PollFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoExchange",
    "DoAction",
    "ListActions",
];

/// One call.
pub(crate) struct Call {
    pub(crate) service: &'static str,
    pub(crate) method: &'static str,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) messages: Vec<Bytes>,
    /// True if the client goes away instead of reading the answers.
    pub(crate) cut_off: bool,
}

impl Call {
    /// A good one, and what became of it.
    pub(crate) fn any(ticket: &Bytes, rng: &mut Rng) -> Self {
        let method = METHODS[rng.usize(..METHODS.len())];
        let mut messages = good(method, ticket, rng);
        let mut headers = Vec::new();
        if rng.bool() {
            headers.push((ANNOUNCE_HEADER.to_owned(), ANNOUNCE_VALUE.as_bytes().to_vec()));
        }
        if rng.u8(..4) == 0 {
            headers.push((PUT_HEADER.to_owned(), PUT_APPEND.as_bytes().to_vec()));
        }
        if rng.u8(..8) == 0 {
            headers.push(("authorization".to_owned(), b"Bearer nobody's".to_vec()));
        }
        if rng.u8(..10) != 0 {
            disturb(&mut messages, rng);
            for (_, value) in &mut headers {
                if rng.u8(..6) == 0 {
                    mutate(value, rng);
                }
            }
        }
        Self {
            service: if rng.u8(..100) == 0 { "farrow.v1.Nothing" } else { SERVICE },
            method: if rng.u8(..40) == 0 { METHODS[rng.usize(..METHODS.len())] } else { method },
            headers,
            messages: messages.into_iter().map(Bytes::from).collect(),
            cut_off: rng.u8(..10) == 0,
        }
    }
}

impl std::fmt::Debug for Call {
    /// All that it takes to make it again.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {:?}", self.service, self.method, self.headers)?;
        for message in &self.messages {
            f.write_str("\n  ")?;
            for byte in message {
                write!(f, "{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Messages worse than they were, and in another order.
fn disturb(messages: &mut Vec<Vec<u8>>, rng: &mut Rng) {
    for message in messages.iter_mut() {
        if rng.bool() {
            mutate(message, rng);
        }
    }
    match rng.u8(..10) {
        0 => messages.clear(),
        1 => rng.shuffle(messages),
        2 if !messages.is_empty() => {
            let again = messages[rng.usize(..messages.len())].clone();
            messages.insert(rng.usize(..=messages.len()), again);
        }
        3 if !messages.is_empty() => drop(messages.remove(rng.usize(..messages.len()))),
        4 => messages.insert(rng.usize(..=messages.len()), Vec::new()),
        _ => {}
    }
}

/// The messages of a good client.
fn good(method: &str, good_ticket: &Bytes, rng: &mut Rng) -> Vec<Vec<u8>> {
    let name = ["a/b", "a/b@1", "c", "a/b@7", "never"][rng.usize(..5)];
    let descriptor = FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect());
    match method {
        "Handshake" => vec![HandshakeRequest::default().encode_to_vec(); rng.usize(..3)],
        "ListFlights" => vec![Criteria { expression: page(rng).into() }.encode_to_vec()],
        "GetFlightInfo" | "PollFlightInfo" | "GetSchema" => vec![descriptor.encode_to_vec()],
        "DoGet" => vec![Ticket::new(ticket(good_ticket, rng)).encode_to_vec()],
        "DoPut" => rows(descriptor, rng),
        "DoExchange" => session(rng),
        "DoAction" => vec![action(rng).encode_to_vec()],
        _ => vec![Empty {}.encode_to_vec()],
    }
}

fn page(rng: &mut Rng) -> Vec<u8> {
    if rng.bool() {
        return b"a/".to_vec();
    }
    let request = v1::ListRequest { prefix: "a".to_owned(), after: "a/a".to_owned(), limit: 7 };
    [b"FRRL\x01".as_slice(), &request.encode_to_vec()].concat()
}

/// The ticket that the agent gave, as it is or not.
fn ticket(good: &Bytes, rng: &mut Rng) -> Bytes {
    let mut bytes = good.to_vec();
    if rng.u8(..4) == 0 {
        mutate(&mut bytes, rng);
    }
    bytes.into()
}

/// A stream of rows of every type, whose headers and bodies are disturbed where they are found, not only as bytes of
/// protobuf.
fn rows(descriptor: FlightDescriptor, rng: &mut Rng) -> Vec<Vec<u8>> {
    let batch = farrow_fuzz::batch_of_every_type();
    let columns: Vec<usize> = (0..batch.num_columns()).filter(|_| rng.u8(..4) == 0).collect();
    let batch = if rng.bool() { batch } else { batch.project(&columns).expect("columns that are there") };
    let parts = [batch.slice(0, 2), batch.slice(2, 2)].map(Ok::<_, FlightError>);
    let encoder = FlightDataEncoderBuilder::new()
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_flight_descriptor(Some(descriptor))
        .build(futures::stream::iter(parts));
    let messages = encoder.try_collect::<Vec<FlightData>>().now_or_never().expect("it waits for nothing");
    let mut messages = messages.expect("rows that can be sent");
    for message in &mut messages {
        if rng.u8(..6) == 0 {
            let mut header = message.data_header.to_vec();
            mutate(&mut header, rng);
            message.data_header = header.into();
        }
        if rng.u8(..6) == 0 {
            let mut body = message.data_body.to_vec();
            mutate(&mut body, rng);
            message.data_body = body.into();
        }
    }
    messages.iter().map(Message::encode_to_vec).collect()
}

/// Messages of a session.
fn session(rng: &mut Rng) -> Vec<Vec<u8>> {
    let begin = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(SESSION_COMMAND));
    let hello = v1::Hello { versions: vec![SESSION_VERSION], client: "hostile".to_owned() };
    let mut requests = vec![Request::Hello(hello)];
    requests.extend((0..rng.usize(..8)).map(|_| request(rng)));
    let messages = (1..).zip(requests).map(|(seq, request)| {
        let mut bytes = v1::SessionRequest { seq, request: Some(request) }.encode_to_vec();
        if rng.u8(..6) == 0 {
            mutate(&mut bytes, rng);
        }
        FlightData::new().with_app_metadata(bytes)
    });
    std::iter::once(begin).chain(messages).map(|message| message.encode_to_vec()).collect()
}

/// Of leases that may be the process's own, and now and then of a page that is none of its.
fn release(rng: &mut Rng) -> v1::ReleaseRequest {
    let number = |n: u64| 1 << 32 | n;
    let leases = (0..rng.u64(..40)).map(number).collect();
    let page = if rng.bool() { number(rng.u64(..40)) } else { 0 };
    v1::ReleaseRequest { leases, page, up_to: u64::MAX >> rng.u8(..64) }
}

fn request(rng: &mut Rng) -> Request {
    let name = || "a/b".to_owned();
    match rng.u8(..8) {
        0 => Request::Map(v1::MapRequest { names: vec![name(); rng.usize(..5)] }),
        1 => Request::Release(release(rng)),
        2 => Request::Reserve(v1::ReserveRequest { len: u64::MAX >> rng.u8(..8), ..Default::default() }),
        3 => Request::Commit(commit(rng)),
        4 => Request::Abort(v1::AbortRequest { reservation: rng.u64(..200) }),
        5 => {
            let from = Some(v1::watch::From::Version(rng.u64(..5)));
            Request::Watch(v1::Watch { what: Some(v1::watch::What::Prefix(name())), from })
        }
        6 => Request::Unwatch(v1::Unwatch { watch: rng.u64(..9) }),
        _ => Request::Hello(v1::Hello::default()),
    }
}

/// Mostly onto whatever there is.
fn commit(rng: &mut Rng) -> v1::CommitRequest {
    let mut maybe = |most| (rng.u8(..4) == 0).then(|| rng.u64(..most));
    let (keep, if_version) = (maybe(3), maybe(9));
    v1::CommitRequest {
        reservation: rng.u64(..100),
        append: rng.bool(),
        name: "a/b".to_owned(),
        len: rng.u64(..9000),
        segments: segments(rng),
        keep,
        if_version,
    }
}

/// Mostly none, as most commits have.
fn segments(rng: &mut Rng) -> Vec<v1::WrittenSegment> {
    let count = if rng.bool() { 0 } else { rng.usize(..40) };
    let mut segment = || v1::WrittenSegment { reservation: rng.u64(..100), len: rng.u64(..9000) };
    (0..count).map(|_| segment()).collect()
}

fn action(rng: &mut Rng) -> Action {
    let name = || "a/b".to_owned();
    // What is reserved here is given back with this process, but would fill the region before: a few pages at a time.
    let bodies: [(&str, Vec<u8>); 19] = [
        (
            "farrow.Reserve",
            v1::ReserveRequest {
                len: if rng.u8(..20) == 0 { 100 } else { u64::MAX >> rng.u8(..8) },
                ..Default::default()
            }
            .encode_to_vec(),
        ),
        ("farrow.Commit", commit(rng).encode_to_vec()),
        ("farrow.Abort", v1::AbortRequest { reservation: rng.u64(..200) }.encode_to_vec()),
        ("farrow.Release", release(rng).encode_to_vec()),
        (
            "farrow.Drop",
            v1::DropRequest { name: name(), version: rng.u64(..9), prefix: String::new() }.encode_to_vec(),
        ),
        (
            "farrow.Retain",
            v1::RetainRequest {
                name: if rng.bool() { name() } else { String::new() },
                last: rng.u64(..9),
                prefix: rng.bool().then(name),
                max_age_seconds: rng.u64(..9),
                unset: rng.bool(),
            }
            .encode_to_vec(),
        ),
        ("farrow.Retentions", v1::RetentionsRequest { prefix: name(), ..Default::default() }.encode_to_vec()),
        (
            "farrow.Expire",
            v1::ExpireRequest { prefix: name(), older_than_micros: rng.u64(..), latest: true }
                .encode_to_vec(),
        ),
        (
            "farrow.List",
            v1::ListRequest { prefix: name(), after: name(), limit: rng.u32(..) }.encode_to_vec(),
        ),
        ("farrow.Stat", v1::StatRequest { name: name(), version: rng.u64(..3) }.encode_to_vec()),
        (
            "farrow.Versions",
            v1::VersionsRequest { name: name(), after: rng.u64(..9), limit: rng.u32(..4) }.encode_to_vec(),
        ),
        ("farrow.Verify", v1::VerifyRequest { name: name() }.encode_to_vec()),
        ("farrow.Grow", v1::GrowRequest { len: rng.u64(..) }.encode_to_vec()),
        ("farrow.Leases", Vec::new()),
        ("farrow.Usage", Vec::new()),
        ("farrow.Map", v1::MapRequest { names: vec![name(); rng.usize(..9)] }.encode_to_vec()),
        ("RenewFlightEndpoint", RenewFlightEndpointRequest::default().encode_to_vec()),
        ("CancelFlightInfo", CancelFlightInfoRequest::new(FlightInfo::new()).encode_to_vec()),
        ("farrow.Unknown", vec![1, 2, 3]),
    ];
    let (kind, mut body) = bodies[rng.usize(..bodies.len())].clone();
    if rng.bool() {
        mutate(&mut body, rng);
    }
    Action::new(kind, body)
}
