//! Each verb of an agent, asked for by one client at a time.

use std::time::Duration;

use anyhow::Context;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action as Call, Criteria, FlightData, FlightDescriptor};
use farrow_client::{Address, Client, blocking};
use farrow_integration_tests::batch;
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE, Action, v1};
use futures::TryStreamExt;
use prost::Message;
use serde_json::Value;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::agent::{Bench, SMALL};
use crate::echo;
use crate::latency::Latency;
use crate::table;

type Flight = FlightServiceClient<Channel>;

/// The ways to reach an agent, as columns.
const WAYS: [&str; 2] = ["unix", "tcp"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The number of times of each verb
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    times: u64,
}

/// Prints one table: a row for each verb, a column for each client and way.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let bench = Bench::start(1 << 30)?;
    let mut rows: Vec<(String, [Option<Latency>; 4])> = Vec::new();
    let mut add = |verb: &str, column: usize, latency: Latency| {
        if !rows.iter().any(|(found, _)| found == verb) {
            rows.push((verb.to_owned(), Default::default()));
        }
        if let Some((_, cells)) = rows.iter_mut().find(|(found, _)| found == verb) {
            cells[column] = Some(latency);
        }
    };
    for (column, way) in WAYS.into_iter().enumerate() {
        eprintln!("from Rust, over {way} …");
        for (verb, latency) in from_rust(&bench, way, arguments.times)? {
            add(verb, column, latency);
        }
    }
    eprintln!("from pyarrow …");
    let figures = bench.python("verbs.py", &[SMALL.to_owned(), arguments.times.to_string()])?;
    for (verb, ways) in figures.as_object().context("an object")? {
        for (column, way) in WAYS.into_iter().enumerate() {
            if let Some(times) = ways.get(way).and_then(Value::as_array) {
                let times = times.iter().filter_map(Value::as_u64).map(Duration::from_nanos);
                add(verb, WAYS.len() + column, Latency::of_times(times)?);
            }
        }
    }
    let head = ["median (99th percentile)", "Rust, unix", "Rust, TCP", "Python, unix", "Python, TCP"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for (verb, cells) in rows {
        let cells = cells.iter().map(|cell| cell.as_ref().map_or_else(|| "-".to_owned(), Latency::text));
        lines.push(std::iter::once(verb).chain(cells).collect());
    }
    table::print(&lines);
    Ok(())
}

fn from_rust(bench: &Bench, way: &str, times: u64) -> anyhow::Result<Vec<(&'static str, Latency)>> {
    let local = way == "unix";
    let uri = if local { format!("unix://{}", bench.agent.socket()) } else { bench.agent.tcp() };
    let on = &bench.runtime;
    let flight: Flight =
        FlightServiceClient::new(on.block_on(Endpoint::from_shared(uri)?.tcp_nodelay(true).connect())?);
    let ticket = on.block_on(async {
        let info = flight.clone().get_flight_info(path()).await?.into_inner();
        info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket).context("a ticket")
    })?;
    let mut figures = Vec::new();
    let mut add = |verb, latency: anyhow::Result<Latency>| -> anyhow::Result<()> {
        figures.push((verb, latency?));
        Ok(())
    };
    let ready = |_| Ok(flight.clone());
    add(
        "GetFlightInfo",
        Latency::of(times, ready, |mut flight| Ok(on.block_on(flight.get_flight_info(path()))?)),
    )?;
    if local {
        let asked = |mut flight: Flight| Ok(on.block_on(flight.get_flight_info(announced(path())))?);
        add("GetFlightInfo, to map", Latency::of(times, ready, asked))?;
    }
    add("GetSchema", Latency::of(times, ready, |mut flight| Ok(on.block_on(flight.get_schema(path()))?)))?;
    let listed = |mut flight: Flight| {
        on.block_on(async {
            let infos = flight.list_flights(Criteria::default()).await?.into_inner();
            Ok(infos.try_collect::<Vec<_>>().await?)
        })
    };
    add("ListFlights", Latency::of(times, ready, listed))?;
    let stat = |flight: Flight| {
        let request = v1::StatRequest { name: SMALL.to_owned(), version: 0 };
        on.block_on(act(flight, Action::Stat, &request))
    };
    add("DoAction farrow.Stat", Latency::of(times, ready, stat))?;
    let got = |mut flight: Flight| {
        on.block_on(async {
            let messages = flight.do_get(ticket.clone()).await?.into_inner();
            Ok(messages.try_collect::<Vec<_>>().await?)
        })
    };
    add("DoGet of 1 KiB", Latency::of(times, ready, got))?;
    let messages = on.block_on(rows_to_put())?;
    let put = |mut flight: Flight| {
        on.block_on(async {
            let results = flight.do_put(futures::stream::iter(messages.clone())).await?.into_inner();
            Ok(results.try_collect::<Vec<_>>().await?)
        })
    };
    add("DoPut of 1 KiB", Latency::of(times, ready, put))?;
    if local {
        let mapped = |mut flight: Flight| {
            on.block_on(async {
                let messages = flight.do_get(announced(ticket.clone())).await?.into_inner();
                Ok(messages.try_collect::<Vec<_>>().await?)
            })
        };
        add("DoGet of 1 KiB, to map", Latency::of(times, ready, mapped))?;
        let reserve = |flight: Flight| {
            on.block_on(async {
                let results = act(
                    flight.clone(),
                    Action::Reserve,
                    &v1::ReserveRequest { len: 4096, ..Default::default() },
                )
                .await?;
                let reservation =
                    v1::Reservation::decode(results.first().context("a result")?.as_slice())?.id;
                act(flight, Action::Abort, &v1::AbortRequest { reservation }).await
            })
        };
        add("DoAction farrow.Reserve and farrow.Abort", Latency::of(times, ready, reserve))?;
        let map = |flight: Flight| {
            on.block_on(act(flight, Action::Map, &v1::MapRequest { names: vec![SMALL.to_owned()] }))
        };
        add("DoAction farrow.Map", Latency::of(times, ready, map))?;
        let client = &bench.client;
        let get = |client: Client| {
            on.block_on(async {
                let frame = client.get(SMALL).await?;
                Ok((frame.batch(0)?, frame))
            })
        };
        add("get to a table", Latency::of(times, |_| Ok(client.clone()), get))?;
        let blocking = blocking::Client::connect(Address::Unix(bench.agent.socket().into()))?;
        let get = |client: blocking::Client| {
            let frame = client.get(SMALL)?;
            Ok((frame.batch(0)?, frame))
        };
        add("get to a table, blocking client", Latency::of(times, |_| Ok(blocking.clone()), get))?;
        let rows = batch(0, 128).project(&[0])?;
        let put = |rows: arrow_array::RecordBatch| {
            Ok(on.block_on(client.put("bench/put", rows.schema(), vec![rows]))?)
        };
        add("put in place, 1 KiB", Latency::of(times, |_| Ok(rows.clone()), put))?;
        add("a byte to another process and back", echo::run(times))?;
    }
    Ok(figures)
}

/// The messages of a DoPut of 128 numbers.
async fn rows_to_put() -> anyhow::Result<Vec<FlightData>> {
    let descriptor = FlightDescriptor::new_path(vec!["bench".to_owned(), "put".to_owned()]);
    let rows = batch(0, 128).project(&[0])?;
    let encoder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor));
    Ok(encoder.build(futures::stream::iter([Ok(rows)])).try_collect().await?)
}

fn path() -> FlightDescriptor {
    FlightDescriptor::new_path(SMALL.split('/').map(str::to_owned).collect())
}

fn announced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert(ANNOUNCE_HEADER, tonic::metadata::MetadataValue::from_static(ANNOUNCE_VALUE));
    request
}

pub(crate) async fn act(
    mut flight: Flight,
    action: Action,
    body: &impl Message,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let results = flight.do_action(Call::new(action.as_str(), body.encode_to_vec())).await?.into_inner();
    Ok(results.map_ok(|result| result.body.to_vec()).try_collect().await?)
}
