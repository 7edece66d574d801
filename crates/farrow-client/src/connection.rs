//! One connection to an agent, and requests over it.

use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action as Call, FlightData, FlightDescriptor, FlightInfo, Ticket};
use arrow_schema::Schema;
use bytes::Bytes;
use farrow_proto::{
    ANNOUNCE_HEADER, ANNOUNCE_VALUE, Action, IF_VERSION_HEADER, KEEP_HEADER, PUT_APPEND, PUT_HEADER,
    PUT_REPLACE, v1,
};
use futures::StreamExt;
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use crate::address::Address;
use crate::credentials::{Bearer, Credentials};
use crate::dial::Dial;
use crate::error::ClientError;
use crate::of_process::OfProcess;
use crate::put_options::PutOptions;
use crate::retry::retried;
use crate::unreached::unreached;
use crate::writer::Mode;

/// Requests with the client's token in them.
type Flight = FlightServiceClient<InterceptedService<Channel, Bearer>>;

/// The time that connecting and the TLS handshake may take, each.
const CONNECT: Duration = Duration::from_secs(20);

/// The interval at which an agent over TCP is asked whether it is there while it owes an answer, and the time that it may
/// take to say so: its host may have gone without a word, or something else may listen there.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));

/// A connection; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    flight: OfProcess<Flight>,
    address: Address,
    credentials: Credentials,
}

impl Connection {
    pub(crate) async fn open(address: Address, credentials: &Credentials) -> Result<Self, ClientError> {
        let bearer = credentials.bearer()?;
        if bearer.is_some() && address.is_exposed() {
            return Err(ClientError::TokenExposed { address: address.to_string() });
        }
        let endpoint = match &address {
            // A connection by unix socket needs a URI and does not look at it.
            Address::Unix(_) | Address::Default(_) => Endpoint::from_shared("http://agent"),
            Address::Tcp(uri) => Endpoint::from_shared(uri.clone()),
        };
        let mut endpoint = endpoint.map_err(|error| unreached(&address, root_cause(&error).into()))?;
        let in_tls =
            |error| ClientError::Tls { address: address.to_string(), source: root_cause(&error).into() };
        if address.is_tls() {
            endpoint = endpoint.tls_config(credentials.tls()?.timeout(CONNECT)).map_err(in_tls)?;
        }
        endpoint = endpoint.tcp_nodelay(true).connect_timeout(CONNECT);
        let channel = if address.socket().is_some() {
            let dial = Dial(address.clone());
            // Tried by hand first: the transport's own error would not say more than "transport error".
            drop(dial.connect().await?);
            endpoint.connect_with_connector(dial).await
        } else {
            let (interval, timeout) = PING;
            endpoint.http2_keep_alive_interval(interval).keep_alive_timeout(timeout).connect().await
        };
        let channel = channel.map_err(|error| match address.is_tls() && !is_from_the_system(&error) {
            true => in_tls(error),
            false => unreached(&address, root_cause(&error).into()),
        })?;
        tracing::debug!(%address, "connected");
        let flight = FlightServiceClient::with_interceptor(channel, bearer);
        let flight = flight.max_decoding_message_size(usize::MAX);
        Ok(Self { flight: OfProcess::new(flight), address, credentials: credentials.clone() })
    }

    /// Another one to the same agent, as the same client.
    pub(crate) async fn again(&self) -> Result<Self, ClientError> {
        Self::open(self.address.clone(), &self.credentials).await
    }

    /// True if the agent can know this process, and so give it memory.
    pub(crate) fn is_local(&self) -> bool {
        self.address.socket().is_some()
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) async fn flight_info(&self, path: Vec<String>) -> Result<FlightInfo, ClientError> {
        let mut request = Request::new(FlightDescriptor::new_path(path));
        if self.is_local() {
            request.metadata_mut().insert(ANNOUNCE_HEADER, MetadataValue::from_static(ANNOUNCE_VALUE));
        }
        let answer = self.flight()?.get_flight_info(request).await;
        Ok(answer.map_err(|status| self.error(&status))?.into_inner())
    }

    /// The schema of a version.
    pub(crate) async fn schema(&self, name: &str) -> Result<Schema, ClientError> {
        let answer = self.flight()?.get_schema(Self::descriptor(name)).await;
        let schema = answer.map_err(|status| self.error(&status))?.into_inner();
        Schema::try_from(schema).map_err(ClientError::Arrow)
    }

    /// The schema of the version that a ticket names: that in the answer of GetFlightInfo, which may have none.
    pub(crate) async fn schema_in(
        &self,
        info: &FlightInfo,
        named: &v1::Ticket,
    ) -> Result<Schema, ClientError> {
        if info.schema.is_empty() {
            return self.schema(&format!("{}@{}", named.name, named.version)).await;
        }
        info.clone().try_decode_schema().map_err(ClientError::Arrow)
    }

    /// The messages of a plain DoGet.
    pub(crate) async fn do_get(
        &self,
        ticket: Ticket,
    ) -> Result<impl futures::Stream<Item = Result<FlightData, Status>> + Send + 'static, ClientError> {
        let answer = self.flight()?.do_get(ticket).await;
        Ok(answer.map_err(|status| self.error(&status))?.into_inner())
    }

    /// Publishes the rows of these messages.
    pub(crate) async fn do_put(
        &self,
        messages: impl futures::Stream<Item = FlightData> + Send + 'static,
        options: PutOptions,
    ) -> Result<v1::FrameInfo, ClientError> {
        let mut request = Request::new(messages);
        let mode = match options.mode {
            Mode::Replace => PUT_REPLACE,
            Mode::Append => PUT_APPEND,
        };
        let headers = request.metadata_mut();
        headers.insert(PUT_HEADER, MetadataValue::from_static(mode));
        for (header, number) in [(KEEP_HEADER, options.keep), (IF_VERSION_HEADER, options.if_version)] {
            if let Some(number) = number {
                headers.insert(header, number.into());
            }
        }
        let lost = |status| self.error(&status).not_asked_again();
        let mut results = self.flight()?.do_put(request).await.map_err(lost)?.into_inner();
        let result =
            results.next().await.ok_or_else(|| ClientError::Answer { what: "DoPut: no result".into() })?;
        v1::FrameInfo::decode(result.map_err(lost)?.app_metadata)
            .map_err(|error| ClientError::Answer { what: format!("DoPut: {error}") })
    }

    /// The descriptor of a frame.
    pub(crate) fn descriptor(name: &str) -> FlightDescriptor {
        FlightDescriptor::new_path(name.split('/').map(str::to_owned).collect())
    }

    /// Returns why the agent gives this process no memory.
    pub(crate) fn why_not_local(&self) -> String {
        format!("{} is not the unix socket of an agent on this host", self.address)
    }

    /// All results of an action, which is asked for again if that can do no harm.
    pub(crate) async fn action<M: Message + Default>(
        &self,
        action: Action,
        body: &impl Message,
    ) -> Result<Vec<M>, ClientError> {
        let body = Bytes::from(body.encode_to_vec());
        let ask = || async {
            let mut results = Vec::new();
            self.action_once(action, body.clone(), |result| results.push(result)).await?;
            Ok(results)
        };
        if action.is_idempotent() {
            retried(ask).await
        } else {
            ask().await.map_err(ClientError::not_asked_again)
        }
    }

    /// Gives each result of an action to `each` as it comes.
    pub(crate) async fn action_once<M: Message + Default>(
        &self,
        action: Action,
        body: Bytes,
        mut each: impl FnMut(M),
    ) -> Result<(), ClientError> {
        let results = self.flight()?.do_action(Call::new(action.as_str(), body)).await;
        let mut results = results.map_err(|status| self.error(&status))?.into_inner();
        while let Some(result) = results.next().await {
            let result = result.map_err(|status| self.error(&status))?;
            each(
                M::decode(result.body)
                    .map_err(|error| ClientError::Answer { what: format!("{}: {error}", action.as_str()) })?,
            );
        }
        Ok(())
    }

    /// The one result of an action that has one.
    pub(crate) async fn action_result<M: Message + Default>(
        &self,
        action: Action,
        body: &impl Message,
    ) -> Result<M, ClientError> {
        let results = self.action(action, body).await?;
        let count = results.len();
        results.into_iter().next().filter(|_| count == 1).ok_or_else(|| ClientError::Answer {
            what: format!("{}: {count} results, not one", action.as_str()),
        })
    }

    /// The agent's half of a DoExchange.
    pub(crate) async fn exchange(
        &self,
        requests: impl futures::Stream<Item = FlightData> + Send + 'static,
    ) -> Result<Streaming<FlightData>, ClientError> {
        let answer = self.flight()?.do_exchange(requests).await;
        Ok(answer.map_err(|status| self.error(&status))?.into_inner())
    }

    pub(crate) fn error(&self, status: &Status) -> ClientError {
        ClientError::from_status(status, &self.address)
    }

    /// Checks whether this is the process that connected, and no child of it.
    pub(crate) fn check_process(&self) -> Result<(), ClientError> {
        if self.flight.is_ours() {
            return Ok(());
        }
        Err(ClientError::Forked { parent: self.flight.process(), child: std::process::id() })
    }

    fn flight(&self) -> Result<Flight, ClientError> {
        self.check_process()?;
        Ok((*self.flight).clone())
    }
}

/// The innermost reason: gRPC's own words say only that the transport failed.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    innermost(error).to_string()
}

/// True if it is the network that failed, and not what was said over it.
fn is_from_the_system(error: &tonic::transport::Error) -> bool {
    innermost(error).downcast_ref::<std::io::Error>().is_some_and(|error| error.raw_os_error().is_some())
}

fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}
