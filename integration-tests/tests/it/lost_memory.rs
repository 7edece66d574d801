//! Memory that goes away under an agent: errors, then the agent's own end, and no signal.

use arrow_array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightDescriptor, Ticket};
use farrow_integration_tests::{Agent, Region, batch, numbers};
use futures::TryStreamExt;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

type Flight = FlightServiceClient<Channel>;

const ROWS: i64 = 1_000_000;

async fn connect(socket: String) -> Result<Flight, Status> {
    let endpoint = Endpoint::from_shared(format!("unix://{socket}")).unwrap();
    Ok(FlightServiceClient::new(
        endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?,
    ))
}

fn cut_off(region: &Region, len: u64) {
    std::fs::OpenOptions::new().write(true).open(&region.path).unwrap().set_len(len).unwrap();
}

async fn ticket(flight: &mut Flight) -> Result<Ticket, Status> {
    let info = flight.get_flight_info(FlightDescriptor::new_path(vec!["a".into()])).await?.into_inner();
    Ok(info.endpoint[0].ticket.clone().unwrap())
}

/// Reads all rows and checks each that comes; the error that ended the stream.
async fn rows(flight: &mut Flight, ticket: Ticket) -> Result<(), Status> {
    let messages = flight.do_get(ticket).await?.into_inner().map_err(FlightError::from);
    let mut batches = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut next = 0;
    loop {
        let batch: Option<RecordBatch> = batches.try_next().await.map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => panic!("{other}"),
        })?;
        let Some(batch) = batch else { break };
        for number in numbers(&batch) {
            assert_eq!(*number, next, "a row that nobody published");
            next += 1;
        }
    }
    assert_eq!(next, ROWS, "a stream that ends early has an error");
    Ok(())
}

/// True if an agent may answer this while its memory is going away.
fn expected(status: &Status) -> bool {
    let reason = status.metadata().get("x-farrow-reason").map(|reason| reason.to_str().unwrap());
    match status.code() {
        Code::DataLoss => reason == Some("corrupt"),
        // It has ended, and the connection with it.
        _ => reason.is_none(),
    }
}

/// Requests without a pause until the agent is gone. How many were refused because of the loss.
async fn ask_until_it_ends(socket: String) -> u64 {
    let mut refused = 0;
    let Ok(mut flight) = connect(socket).await else { return refused };
    let Ok(ticket) = ticket(&mut flight).await else { return refused };
    loop {
        match rows(&mut flight, ticket.clone()).await {
            Ok(()) => {}
            Err(status) => {
                assert!(expected(&status), "{status:?}");
                if status.code() != Code::DataLoss {
                    return refused;
                }
                refused += 1;
            }
        }
    }
}

fn assert_ended_by_itself(agent: Agent, len: u64) {
    let (code, log) = agent.ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("had 67108864 bytes and has {len} now")), "{log}");
    assert!(!log.contains("please report"), "{log}");
}

#[test]
fn a_region_that_shrinks_ends_the_agent_with_an_error_and_not_by_a_signal() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    cut_off(&region, 1 << 20);
    assert_ended_by_itself(agent, 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_region_that_shrinks_end_with_errors() {
    let mut refused = 0;
    // Cut off at other places (of the frame, too), at other moments of the streams.
    for (messages_before, len) in [(1, 0), (2, (20 << 20) + 12345), (4, 28 << 20)] {
        let region = Region::new("64MiB");
        let agent = region.agent();
        let stored = batch(0, ROWS);
        agent.client().await.put("a", stored.schema(), vec![stored]).await.unwrap();
        let mut requests = JoinSet::new();
        for _ in 0..2 {
            requests.spawn(ask_until_it_ends(agent.socket().to_owned()));
        }
        let mut flight = connect(agent.socket().to_owned()).await.unwrap();
        let ticket = ticket(&mut flight).await.unwrap();
        // A stream of its own, known to be under way.
        let mut messages = flight.do_get(ticket).await.unwrap().into_inner();
        for _ in 0..messages_before {
            messages.message().await.unwrap().unwrap();
        }
        cut_off(&region, len);
        let status = loop {
            match messages.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it had all been sent"),
                Err(status) => break status,
            }
        };
        assert!(expected(&status), "{status:?}");
        refused += u64::from(status.code() == Code::DataLoss);
        refused += requests.join_all().await.into_iter().sum::<u64>();
        assert_ended_by_itself(agent, len);
    }
    assert!(refused > 0, "no request met the loss before the agent ended");
}
