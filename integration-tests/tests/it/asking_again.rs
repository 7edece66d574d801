//! Requests that a client repeats when its connection breaks, and those that it does not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use farrow_client::{Address, Client, ClientError, Retention};
use farrow_integration_tests::{Agent, Region, batch};
use rustix::process::Signal;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// A socket before the agent's, whose connections break when they are told to.
struct Weak {
    path: PathBuf,
    /// As many of the next connections break at once.
    breaks: Arc<AtomicUsize>,
    cut: tokio::sync::watch::Sender<()>,
    _serves: JoinSet<()>,
}

impl Weak {
    fn before(agent: &Agent, region: &Region) -> Self {
        let path = region.beside("weak.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (breaks, cut) = (Arc::new(AtomicUsize::new(0)), tokio::sync::watch::Sender::new(()));
        let (to, left, cuts) = (agent.socket().to_owned(), breaks.clone(), cut.clone());
        let mut serves = JoinSet::new();
        serves.spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                    continue;
                }
                let (mut cut, to) = (cuts.subscribe(), to.clone());
                tokio::spawn(async move {
                    let mut far = UnixStream::connect(to).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { path, breaks, cut, _serves: serves }
    }

    /// Breaks every connection, and so many of the next.
    fn breaks(&self, next: usize) {
        self.breaks.store(next, Ordering::SeqCst);
        self.cut.send_replace(());
    }

    fn left(&self) -> usize {
        self.breaks.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_changes_nothing_is_asked_again() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let direct = agent.client().await;
    direct.put("a", batch(0, 10).schema(), vec![batch(0, 10)]).await.unwrap();
    let weak = Weak::before(&agent, &region);
    let client = Client::connect(Address::Unix(weak.path.clone())).await.unwrap();
    assert_eq!(client.list("").await.unwrap().len(), 1);
    weak.breaks(2);
    assert_eq!(client.list("").await.unwrap().len(), 1);
    assert_eq!(weak.left(), 0);
    weak.breaks(2);
    assert_eq!(client.stat("a").await.unwrap().rows, Some(10));
    weak.breaks(2);
    assert!(client.health().await.unwrap().serving);
    weak.breaks(2);
    assert_eq!(client.get("a").await.unwrap().rows(), 10);
    weak.breaks(2);
    assert_eq!(client.snapshot(&["a", "a@1"]).await.unwrap().len(), 2);
    // It does not go on for ever.
    weak.breaks(usize::MAX);
    let error = client.list("").await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn what_changes_something_is_asked_once_and_the_error_says_so() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let direct = agent.client().await;
    direct.put("a", batch(0, 10).schema(), vec![batch(0, 10)]).await.unwrap();
    let weak = Weak::before(&agent, &region);
    let client = Client::connect(Address::Unix(weak.path.clone())).await.unwrap();
    weak.breaks(100);
    for error in [
        client.drop("a").await.map(drop).unwrap_err(),
        client.retain("a", Retention::last(1)).await.map(drop).unwrap_err(),
        client.put("b", batch(0, 1).schema(), vec![batch(0, 1)]).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("was not asked for again"), "{error}");
    }
    assert!(weak.left() >= 97 - 3, "{} of 100 left", weak.left());
    assert_eq!(direct.stat("a").await.unwrap().version, 1);
}

/// A process that was killed has its sockets open until its memory is given back. From outside a stopped one looks the
/// same.
#[tokio::test]
async fn a_put_waits_for_a_dying_agent_and_fails_with_it() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    agent.signal(Signal::STOP);
    let rows = batch(0, 10);
    let mut put = Box::pin(client.put("a", rows.schema(), vec![rows.clone()]));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut put).await.is_err(), "nobody answers");
    agent.kill();
    let error = put.await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("was not asked for again"), "{error}");
    let _agent = region.agent();
    assert!(client.list("").await.unwrap().is_empty());
    assert_eq!(client.put("a", rows.schema(), vec![rows]).await.unwrap().version, 1);
    assert_eq!(client.usage().await.unwrap().reserved, 0);
}
