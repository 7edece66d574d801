//! `/healthz`, `/readyz` and `/metrics`, over plain HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures::{Stream, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::health::Health;
use crate::limits::Limits;
use crate::listen::{Admitted, Gate, Guest};
use crate::metrics::{Exposition, Metrics};

/// The media type of the output of `prometheus_client::encoding::text`.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Connections at a time, of which one network has at most half.
const CONNECTIONS: usize = 64;

/// Answers until it is dropped: also while the agent stops, so that whoever asks is told so.
pub(crate) async fn serve(
    listener: TcpListener,
    health: Arc<Health>,
    exposition: Exposition,
    metrics: &Metrics,
) -> io::Result<()> {
    let exposition = Arc::new(exposition);
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async move || ready(&health)))
        .route("/metrics", get(async move || scrape(exposition.clone()).await));
    axum::serve(Connections::new(listener, metrics), router).await
}

type Accepted = Pin<Box<dyn Stream<Item = io::Result<TcpStream>> + Send>>;

/// The listener behind a gate of its own: who asks here takes no place from Flight, and the other way round.
struct Connections(Admitted<Accepted>);

impl Connections {
    fn new(listener: TcpListener, metrics: &Metrics) -> Self {
        let limits = Limits { connections: CONNECTIONS, ..Limits::default() };
        let accepted: Accepted = Box::pin(futures::stream::poll_fn(move |context| {
            listener.poll_accept(context).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
        }));
        Self(Gate::new("http", watch::Sender::new(limits).subscribe(), metrics).admit(accepted))
    }
}

impl Listener for Connections {
    type Io = Guest<TcpStream>;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, ()) {
        match self.0.next().await {
            Some(Ok(guest)) => (guest, ()),
            // The stream has no end, and tells no errors.
            Some(Err(_)) | None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

fn ready(health: &Health) -> Response {
    match health.why_not() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

async fn scrape(exposition: Arc<Exposition>) -> Response {
    match tokio::task::spawn_blocking(move || exposition.text()).await {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
