//! gRPC calls of any bytes.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use bytes::{Buf, BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::call::Call;

/// A connection to an agent's unix socket.
pub(crate) struct Connection(Grpc<Channel>, FlightServiceClient<Channel>);

impl Connection {
    pub(crate) async fn open(socket: &str) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("unix://{socket}"))?;
        let channel = endpoint.connect().await?;
        Ok(Self(Grpc::new(channel.clone()), FlightServiceClient::new(channel)))
    }

    /// A good ticket.
    pub(crate) async fn ticket(&self, name: &str) -> Result<Bytes, Status> {
        let path = name.split('/').map(str::to_owned).collect();
        let info = self.1.clone().get_flight_info(FlightDescriptor::new_path(path)).await?.into_inner();
        let endpoint = info.endpoint.into_iter().next().unwrap_or_default();
        Ok(endpoint.ticket.unwrap_or_default().ticket)
    }

    /// Sends all of a call, and returns what answers it.
    pub(crate) async fn call(&self, call: &Call) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = format!("/{}/{}", call.service, call.method);
        let path = PathAndQuery::try_from(path).map_err(|error| Status::unknown(error.to_string()))?;
        let mut request = Request::new(futures::stream::iter(call.messages.clone()));
        *request.metadata_mut() = headers(&call.headers);
        Ok(grpc.streaming(request, path, AnyBytes).await?.into_inner())
    }
}

/// Those of the headers that HTTP lets a client send.
fn headers(headers: &[(String, Vec<u8>)]) -> MetadataMap {
    let mut map = MetadataMap::new();
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) =
            (MetadataKey::from_bytes(name.as_bytes()), MetadataValue::try_from(value.as_slice()))
        {
            map.append(name, value);
        }
    }
    map
}

/// Messages as they are.
#[derive(Clone, Copy)]
struct AnyBytes;

impl Codec for AnyBytes {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for AnyBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for AnyBytes {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
