//! Requests that are given up at any point leave nothing: no space reserved, no lease held.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use farrow_client::{Client, ClientError, Mode};
use farrow_integration_tests::{Region, mebibytes};

use crate::leases::until;

/// Work that is given up after so many polls. `None` then.
struct GivenUp<F> {
    work: Pin<Box<F>>,
    polls: usize,
    /// Not at once, but when there is something to go on with: an answer has come that it does not take.
    late: bool,
}

impl<F: Future> Future for GivenUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.polls == 0 && !self.late => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Gives work up at its first point, then at its second, and so on, until it comes to its end; how many there were.
async fn given_up_everywhere<T, F>(work: impl Fn() -> F) -> usize
where
    F: Future<Output = Result<T, ClientError>>,
{
    for polls in 0.. {
        for late in [false, true] {
            if let Some(done) = (GivenUp { work: Box::pin(work()), polls, late }).await {
                done.unwrap();
                return polls;
            }
        }
    }
    unreachable!("there are more numbers than polls")
}

/// Waits until nothing is reserved and no lease is held.
async fn assert_nothing_left(client: &Client, what: &str) {
    until(&format!("{what} that was given up leaves nothing"), async || {
        let usage = client.usage().await.unwrap();
        (usage.reserved == 0 && usage.leases == 0).then_some(())
    })
    .await;
}

async fn put(client: Client, batch: RecordBatch) -> Result<(), ClientError> {
    client.put("given/up", batch.schema(), vec![batch]).await.map(drop)
}

/// Several reservations, one after another.
async fn write(client: Client, batch: RecordBatch) -> Result<(), ClientError> {
    let mut writer = client.writer("given/up", batch.schema(), Mode::Append)?;
    for _ in 0..3 {
        writer.write(batch.clone()).await?;
    }
    writer.finish().await.map(drop)
}

#[tokio::test]
async fn a_put_leaves_nothing_wherever_it_is_given_up() {
    let region = Region::new("256MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let batch = mebibytes(0, 1);
    let points = given_up_everywhere(|| put(client.clone(), batch.clone())).await;
    assert!(points > 3, "{points} points");
    assert_nothing_left(&client, "a put").await;
    drop(client);
    agent.terminate();
    region.assert_clean();
}

#[tokio::test]
async fn a_writer_leaves_nothing_wherever_it_is_given_up() {
    let region = Region::new("512MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let batch = mebibytes(0, 8);
    let points = given_up_everywhere(|| write(client.clone(), batch.clone())).await;
    assert!(points > 3, "{points} points");
    assert_nothing_left(&client, "a writer").await;
}

#[tokio::test]
async fn a_get_leaves_no_lease_wherever_it_is_given_up() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    put(client.clone(), mebibytes(0, 1)).await.unwrap();
    given_up_everywhere(|| async { client.get("given/up").await.map(drop) }).await;
    given_up_everywhere(|| async { client.snapshot(&["given/up", "given/up@1"]).await.map(drop) }).await;
    // Each without a session of its client's.
    given_up_everywhere(|| async { agent.client().await.get("given/up").await.map(drop) }).await;
    assert_nothing_left(&client, "a get").await;
}
