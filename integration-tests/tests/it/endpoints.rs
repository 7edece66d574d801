//! Many names mapped in one call, and Flight's own actions on the endpoints that a client got.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{
    Action as Call, CancelFlightInfoRequest, CancelStatus, Criteria, FlightClient, FlightDescriptor,
    FlightEndpoint, FlightInfo, RenewFlightEndpointRequest,
};
use farrow_integration_tests::{Agent, Region, batch};
use farrow_proto::v1::map_result;
use farrow_proto::{ANNOUNCE_HEADER, ANNOUNCE_VALUE, Action, v1};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

type Flight = FlightServiceClient<Channel>;

async fn channel(agent: &Agent) -> Channel {
    Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap().connect().await.unwrap()
}

async fn act<M: Message + Default>(
    flight: &mut Flight,
    action: Action,
    body: &impl Message,
) -> Result<Vec<M>, Status> {
    let results = flight.do_action(Call::new(action.as_str(), body.encode_to_vec())).await?.into_inner();
    let results: Vec<_> = results.try_collect().await?;
    Ok(results.into_iter().map(|result| M::decode(result.body).unwrap()).collect())
}

fn reason(status: &Status) -> &str {
    status.metadata().get("x-farrow-reason").expect("every refusal has its reason").to_str().unwrap()
}

/// A FlightInfo of frame `a` with a mapping descriptor, or without.
async fn info(flight: &mut Flight, announced: bool) -> FlightInfo {
    let mut request = tonic::Request::new(FlightDescriptor::new_path(vec!["a".to_owned()]));
    if announced {
        request.metadata_mut().insert(ANNOUNCE_HEADER, ANNOUNCE_VALUE.parse().unwrap());
    }
    flight.get_flight_info(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn many_names_are_mapped_in_one_call() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let client = agent.client().await;
    let rows = batch(0, 10);
    for name in ["a", "b/c", "a"] {
        client.put(name, rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    let mut flight = FlightServiceClient::new(channel(&agent).await);
    let names = ["b/c", "nope", "a@1", "../a", "a"].map(str::to_owned).to_vec();
    let results: Vec<v1::MapResult> = act(&mut flight, Action::Map, &v1::MapRequest { names }).await.unwrap();
    let told: Vec<String> = results
        .iter()
        .map(|result| match result.result.as_ref().unwrap() {
            map_result::Result::Map(map) => format!("{}@{}", map.name, map.version),
            map_result::Result::Refusal(refusal) => refusal.reason.clone(),
        })
        .collect();
    assert_eq!(told, ["b/c@1", "not-found", "a@1", "invalid-name", "a@2"]);
    let mut leases: Vec<u64> = results
        .iter()
        .filter_map(|result| match result.result.as_ref().unwrap() {
            map_result::Result::Map(map) => Some(map.lease),
            map_result::Result::Refusal(_) => None,
        })
        .collect();
    assert_eq!(client.leases().await.unwrap().iter().map(|lease| lease.lease).collect::<Vec<_>>(), leases);
    leases.push(12345);
    let release = v1::ReleaseRequest { leases, ..Default::default() };
    let released: Vec<v1::ReleaseResult> = act(&mut flight, Action::Release, &release).await.unwrap();
    assert_eq!(released[0].released, 3);

    let names = vec!["a".to_owned(); 4097];
    let refused = act::<v1::MapResult>(&mut flight, Action::Map, &v1::MapRequest { names }).await;
    let refused = refused.unwrap_err();
    assert_eq!(reason(&refused), "invalid-data", "{refused}");
    assert!(refused.message().contains("4097") && refused.message().contains("4096"), "{refused}");
    let names = vec!["a".to_owned(); 4096];
    let all: Vec<v1::MapResult> = act(&mut flight, Action::Map, &v1::MapRequest { names }).await.unwrap();
    assert_eq!((all.len(), client.leases().await.unwrap().len()), (4096, 4096));

    let mut far =
        FlightServiceClient::new(Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap());
    let names = vec!["a".to_owned()];
    let refused = act::<v1::MapResult>(&mut far, Action::Map, &v1::MapRequest { names }).await;
    assert_eq!(reason(&refused.unwrap_err()), "needs-unix-socket");
}

#[tokio::test]
async fn a_lease_is_renewed_as_it_is_and_ended_by_cancelling() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut flight = FlightServiceClient::new(channel(&agent).await);
    let mut standard = FlightClient::new(channel(&agent).await);

    let mapped = info(&mut flight, true).await;
    let endpoint = mapped.endpoint[0].clone();
    let renewed = standard.renew_flight_endpoint(RenewFlightEndpointRequest::new(endpoint.clone())).await;
    let renewed = renewed.unwrap();
    assert_eq!(renewed, endpoint);
    assert_eq!(renewed.expiration_time, None, "a lease does not expire");

    let mut cancel = async || {
        let result = standard.cancel_flight_info(CancelFlightInfoRequest::new(mapped.clone())).await;
        CancelStatus::try_from(result.unwrap().status).unwrap()
    };
    assert_eq!(cancel().await, CancelStatus::Cancelled);
    assert_eq!(client.leases().await.unwrap(), []);
    assert_eq!(cancel().await, CancelStatus::NotCancellable, "there is none any more");
    let request = RenewFlightEndpointRequest::new(endpoint.clone());
    let ended = act::<v1::Refusal>(&mut flight, Action::RenewFlightEndpoint, &request).await;
    assert_eq!(reason(&ended.unwrap_err()), "not-held");

    // Without a lease: as long as the version is there.
    let plain = info(&mut flight, false).await.endpoint.remove(0);
    let request = RenewFlightEndpointRequest::new(plain.clone());
    let renewed: Vec<FlightEndpoint> = act(&mut flight, Action::RenewFlightEndpoint, &request).await.unwrap();
    assert_eq!(renewed, std::slice::from_ref(&plain));
    client.drop("a").await.unwrap();
    let gone = act::<v1::Refusal>(&mut flight, Action::RenewFlightEndpoint, &request).await.unwrap_err();
    assert_eq!((gone.code(), reason(&gone)), (Code::NotFound, "not-found"));

    for bytes in ["FRRW\x02", "FRRW\x01\u{7f}", "something"] {
        let odd = FlightEndpoint { app_metadata: bytes.into(), ..plain.clone() };
        let request = RenewFlightEndpointRequest::new(odd.clone());
        let refused = act::<v1::Refusal>(&mut flight, Action::RenewFlightEndpoint, &request).await;
        assert_eq!(reason(&refused.unwrap_err()), "invalid-data", "{bytes:?}");
        let request = CancelFlightInfoRequest::new(FlightInfo::new().with_endpoint(odd));
        let refused = act::<v1::Refusal>(&mut flight, Action::CancelFlightInfo, &request).await;
        assert_eq!(reason(&refused.unwrap_err()), "invalid-data", "{bytes:?}");
    }
    let nothing = RenewFlightEndpointRequest { endpoint: None };
    let refused = act::<v1::Refusal>(&mut flight, Action::RenewFlightEndpoint, &nothing).await.unwrap_err();
    assert_eq!(reason(&refused), "invalid-data", "{refused}");
}

#[tokio::test]
async fn a_listing_can_be_asked_for_page_by_page() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1);
    for index in 0..1000 {
        client.put(&format!("many/{index:04}"), rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    client.put("other", rows.schema(), vec![rows]).await.unwrap();
    let mut flight = FlightServiceClient::new(channel(&agent).await);
    let mut listed = async |expression: bytes::Bytes| -> Result<Vec<String>, Status> {
        let infos = flight.list_flights(Criteria { expression }).await?.into_inner();
        let infos: Vec<FlightInfo> = infos.try_collect().await?;
        Ok(infos.into_iter().map(|info| info.flight_descriptor.unwrap().path.join("/")).collect())
    };
    let mut request = v1::ListRequest { prefix: "many/".into(), after: String::new(), limit: 300 };
    let mut pages = Vec::new();
    loop {
        let page = listed(farrow_proto::encode_list_request(&request)).await.unwrap();
        let Some(last) = page.last() else { break };
        request.after.clone_from(last);
        pages.push(page);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [300, 300, 300, 100]);
    assert_eq!(pages.concat(), listed("many/".into()).await.unwrap(), "together they are the whole listing");

    request = v1::ListRequest { limit: 0, ..v1::ListRequest::default() };
    assert_eq!(listed(farrow_proto::encode_list_request(&request)).await.unwrap().len(), 1001);
    request.after = "not//a name".into();
    let refused = listed(farrow_proto::encode_list_request(&request)).await.unwrap_err();
    assert_eq!(reason(&refused), "invalid-name", "{refused}");
    for (bytes, expected) in [("FRRL\x02", "version 2"), ("FRRL\x01\u{7f}\u{7f}", "no protobuf")] {
        let refused = listed(bytes.into()).await.unwrap_err();
        assert_eq!(reason(&refused), "invalid-data", "{refused}");
        assert!(refused.message().contains(expected), "{refused}");
    }
    assert_eq!(listed("FRRL".into()).await.unwrap(), Vec::<String>::new(), "a plain prefix");
}
