use futures::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::listen::peer_of;
use crate::listen::unix::UnixConnection;

fn gate(limits: Limits) -> Gate {
    Gate::new("unix", watch::Sender::new(limits).subscribe(), &Metrics::new())
}

/// A connection that `gate` lets in, and its peer.
fn admitted(gate: &Gate) -> (Guest<UnixConnection>, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    let peer = peer_of(&here).unwrap();
    (gate.enter(UnixConnection::new(here, peer)).unwrap(), there)
}

#[tokio::test]
async fn a_peer_that_still_reads_may_write_after_this_side_is_closed() {
    let (mut guest, mut peer) = admitted(&gate(Limits::default()));
    let answer = vec![7; 100 << 10];
    guest.write_all(&answer).await.unwrap();
    let mut closing = std::pin::pin!(guest.shutdown());
    assert!(closing.as_mut().now_or_never().is_none(), "closed though the peer has not read the answer");
    let mut read = vec![0; answer.len()];
    for piece in read.chunks_mut(10 << 10) {
        peer.read_exact(piece).await.unwrap();
        peer.write_all(b"the update of a window").await.unwrap();
        assert!(closing.as_mut().now_or_never().is_none());
    }
    assert!(read == answer);
    assert_eq!(peer.read(&mut read).await.unwrap(), 0, "the end of what there is to read");
    drop(peer);
    closing.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_close_its_side_is_left_after_a_stall() {
    let (mut guest, peer) = admitted(&gate(Limits { stall: Duration::ZERO, ..Limits::default() }));
    guest.shutdown().await.unwrap();
    drop(peer);
}

#[tokio::test]
async fn a_peer_that_does_not_close_its_side_gives_way() {
    let gate = gate(Limits::default());
    let (mut guest, peer) = admitted(&gate);
    let mut closing = std::pin::pin!(guest.shutdown());
    assert!(closing.as_mut().now_or_never().is_none());
    assert!(gate.places.oust_any());
    closing.await.unwrap();
    drop(peer);
}
