use std::num::NonZeroUsize;
use std::sync::mpsc::channel;

use farrow_region::FileMedia;
use farrow_store::{FormatOptions, Store};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt as _, poll};
use tokio::sync::mpsc::unbounded_channel;
use uuid::Uuid;

use super::*;
use crate::app::App;
use crate::config::Config;

/// Something that takes a thread until it is let go.
type Work = Box<dyn FnOnce() + Send>;

/// The agent of a small region, which serves nobody.
async fn agent() -> (tempfile::TempDir, App) {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let host = Uuid::from_u128(1);
    let media = FileMedia::create(place("region"), 32 << 20, false).unwrap();
    Store::format(&media, &FormatOptions::new(host)).unwrap();
    drop(media);
    std::fs::write(place("host"), host.to_string()).unwrap();
    let config = Config {
        region: Some(place("region")),
        socket: Some(place("agent.sock")),
        state_dir: Some(place("state")),
        system_uuid_file: Some(place("host")),
        ..Config::default()
    };
    let app = App::build(&config).await.unwrap();
    (directory, app)
}

/// Of `threads`, in which `run` runs some work for a user, one user has a half, and another one the next.
async fn are_shared<'a>(threads: &Shares, run: impl Fn(User, Work) -> BoxFuture<'a, Result<(), AgentError>>) {
    let (alice, bob) = (User::Unix(1), User::Unix(2));
    let half = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (begun, mut begins) = unbounded_channel();
    let (mut hold, mut asked) = (Vec::new(), Vec::new());
    for _ in 0..2 * half + 1 {
        let (held, go_on) = channel::<()>();
        let begun = begun.clone();
        hold.push(held);
        asked.push(run(
            alice.clone(),
            Box::new(move || {
                begun.send(()).unwrap();
                go_on.recv().ok();
            }),
        ));
    }
    let mut asked = join_all(asked);
    assert!(poll!(&mut asked).is_pending());
    for _ in 0..half {
        begins.recv().await.unwrap();
    }
    assert_eq!(threads.has(&alice), half as u64, "a half of them");
    run(bob, Box::new(|| {})).await.unwrap();
    assert!(begins.try_recv().is_err(), "no more of the first one's");
    drop(hold);
    assert!(asked.await.iter().all(Result::is_ok));
    assert_eq!(threads.taken(), 0);
}

#[tokio::test]
async fn users_share_the_threads_that_check_and_those_that_make_answers() {
    let (_directory, app) = agent().await;
    let service = app.service();
    are_shared(&service.readers, |user, work| {
        async move {
            let check = |_: &Service, _: &Awaited| {
                work();
                Ok(())
            };
            service.reading(&user, check).await
        }
        .boxed()
    })
    .await;
    are_shared(&service.makers, |user, work| {
        async move {
            let make = |_: &Service| {
                work();
                Ok(())
            };
            service.making(&user, make).await
        }
        .boxed()
    })
    .await;
}
