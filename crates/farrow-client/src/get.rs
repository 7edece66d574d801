//! Getting a frame: by mapping, and by streaming where mapping is not possible.

use std::sync::Arc;

use arrow_flight::{FlightEndpoint, FlightInfo, Ticket};
use bytes::Bytes;
use farrow_ipc::{SegmentReader, Trust};
use farrow_proto::{Reason, v1};
use farrow_region::counted;
use tonic::Code;

use crate::batch_stream::BatchStream;
use crate::client::Client;
use crate::connection::Connection;
use crate::error::ClientError;
use crate::frame::{Frame, Source};
use crate::granted::granted;
use crate::lease::Lease;
use crate::located::{Located, Streamed};
use crate::selection::Selection;
use crate::session::{Mapped, MappedAll};

pub(crate) async fn get(client: &Client, name: &str, wanted: &Selection) -> Result<Frame, ClientError> {
    open(client, name, wanted).await?.into_frame().await
}

/// Does what [`get`] does, but for reading what is streamed.
pub(crate) async fn open(
    client: &Client,
    name: &str,
    wanted: &Selection,
) -> Result<BatchStream, ClientError> {
    match find(client, name).await? {
        Found::Mapped(frame) => BatchStream::mapped(frame, wanted),
        Found::Streamed(streamed) => streamed.open(wanted).await,
    }
}

/// Does what [`get`] does, without any row.
pub(crate) async fn locate(client: &Client, name: &str) -> Result<Located, ClientError> {
    Ok(match find(client, name).await? {
        Found::Mapped(frame) => Located::Mapped(frame),
        Found::Streamed(streamed) => Located::Remote(streamed.described().await?),
    })
}

enum Found {
    Mapped(Frame),
    Streamed(Arc<Streamed>),
}

async fn find(client: &Client, name: &str) -> Result<Found, ClientError> {
    if client.connection.is_local()
        && let Some((descriptor, lease)) = client.sessions.map(name, &client.releases).await?
        // If it cannot be mapped, what follows says why, and has the ticket.
        && let Ok(frame) = frame(client, descriptor, &Arc::new(lease))
    {
        return Ok(Found::Mapped(frame));
    }
    let Announced { info, ticket, mapped } = announced(client, name).await?;
    let why = match mapped.and_then(|(descriptor, lease)| {
        frame(client, descriptor, &Arc::new(lease)).map_err(|error| error.to_string())
    }) {
        Ok(frame) => return Ok(Found::Mapped(frame)),
        Err(why) => why,
    };
    tracing::debug!(frame = name, why, "not mapped");
    let ticket =
        ticket.ok_or_else(|| ClientError::Answer { what: "an endpoint without a ticket".to_owned() })?;
    let connection = client.connection.clone();
    Ok(Found::Streamed(Arc::new(Streamed { connection, info, ticket, why })))
}

/// Frames as of one moment.
pub(crate) async fn snapshot(client: &Client, names: &[&str]) -> Result<Vec<Frame>, ClientError> {
    if !client.connection.is_local() {
        return Err(ClientError::Refused {
            reason: Some(Reason::NeedsUnixSocket),
            code: Code::FailedPrecondition,
            message: format!(
                "a snapshot is taken under leases, which the agent gives over its unix socket: {}",
                client.connection.why_not_local()
            ),
            advice: None,
        });
    }
    let MappedAll { results, as_of } = client.sessions.map_all(names, &client.releases).await?;
    let mapped = results.into_iter().collect::<Result<Vec<Mapped>, ClientError>>()?;
    if mapped.len() != names.len() || (as_of == 0 && names.len() > 1) {
        let (versions, names) = (counted(mapped.len(), "version"), counted(names.len(), "name"));
        let what = format!("{versions} for {names}, as of change {as_of}");
        return Err(ClientError::Answer { what });
    }
    let mut frames = Vec::with_capacity(mapped.len());
    for (descriptor, lease) in mapped {
        let version = format!("{}@{}", descriptor.name, descriptor.version);
        // As long as there is the lease, the version keeps its bytes.
        let lease = Arc::new(lease);
        frames.push(match frame(client, descriptor, &lease) {
            Ok(frame) => frame,
            Err(_) => get(client, &version, &Selection::default()).await?,
        });
    }
    Ok(frames)
}

/// The answer of GetFlightInfo to a client that announces itself.
struct Announced {
    info: FlightInfo,
    ticket: Option<Ticket>,
    /// Or why there is nothing to map.
    mapped: Result<Mapped, String>,
}

async fn announced(client: &Client, name: &str) -> Result<Announced, ClientError> {
    let (connection, releases) = (client.connection.clone(), client.releases.clone());
    let path = name.split('/').map(str::to_owned).collect();
    granted(async move {
        let mut info = connection.flight_info(path).await?;
        let endpoint = match (info.endpoint.pop(), info.endpoint.len()) {
            (Some(endpoint), 0) => endpoint,
            (_, others) => {
                return Err(ClientError::Answer {
                    what: format!("GetFlightInfo: {} endpoints, not one", others + 1),
                });
            }
        };
        let mapped = descriptor(&connection, &endpoint).map(|descriptor| {
            // From here on the lease is released whatever happens.
            let lease = Lease::new(descriptor.lease, releases);
            (descriptor, lease)
        });
        Ok(Announced { info, ticket: endpoint.ticket, mapped })
    })
    .await
}

fn descriptor(connection: &Connection, endpoint: &FlightEndpoint) -> Result<v1::MapDescriptor, String> {
    if endpoint.app_metadata.is_empty() {
        return Err(if connection.is_local() {
            // Over the unix socket there is one cause, though it is not told.
            "the agent gave no mapping descriptor: it sees the processes of its own pid namespace and of those below \
             it, and this is none of them (is the agent in a container?)"
                .to_owned()
        } else {
            connection.why_not_local()
        });
    }
    farrow_proto::decode_map_descriptor(&endpoint.app_metadata).map_err(|error| error.to_string())
}

fn frame(client: &Client, descriptor: v1::MapDescriptor, lease: &Arc<Lease>) -> Result<Frame, ClientError> {
    let mut readers: Vec<SegmentReader> = Vec::with_capacity(descriptor.segments.len());
    let mut mappings = Vec::with_capacity(descriptor.segments.len());
    let mut within = Vec::with_capacity(descriptor.segments.len());
    for segment in &descriptor.segments {
        let sealed = client.regions.segment(&descriptor, segment, lease.clone())?;
        within.push(sealed.mapping().clone());
        let bytes = Bytes::from_owner(sealed);
        mappings.push((bytes.as_ptr().addr(), bytes.len()));
        let trust = match segment.validation() {
            v1::Validation::Values => Trust::Validated,
            v1::Validation::Structure | v1::Validation::None => Trust::Untrusted,
        };
        let reader = SegmentReader::open(bytes, trust)?;
        let found = reader.layout().metadata_digest();
        if found != segment.metadata_digest {
            return Err(ClientError::OtherBytes {
                segment: segment.id,
                expected: segment.metadata_digest,
                found,
            });
        }
        let schema = match readers.first() {
            Some(first) => first.schema().clone(),
            None => farrow_ipc::schema_of_segments(reader.schema(), descriptor.segments.len()),
        };
        readers.push(reader.with_metadata_of(&schema));
    }
    let first =
        readers.first().ok_or_else(|| ClientError::Answer { what: "a version without segments".into() })?;
    Ok(Frame {
        name: descriptor.name,
        version: descriptor.version,
        region: descriptor.region_uuid,
        schema: first.schema().clone(),
        rows: descriptor.rows,
        bytes: descriptor.bytes,
        columns: None,
        parts: None,
        source: Arc::new(Source::Mapped { readers, mappings, within, process: std::process::id() }),
    })
}
