//! Bytes of messages, so that no change of a field's number or type goes unseen. They were made by hand, from the rules of
//! protobuf's encoding.

use farrow_proto::v1;
use farrow_proto::v1::event::Event;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::v1::{map_result, watch};
use prost::Message;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn requests_of_a_session() {
    let reserved = v1::CommitRequest { reservation: 77, ..Default::default() };
    let segments = vec![v1::WrittenSegment { reservation: 77, len: 9 }];
    let name = Some(watch::What::Name("a".into()));
    let all = Some(watch::What::Prefix(String::new()));
    let requests = [
        (Request::Hello(v1::Hello { versions: vec![1], client: "c 1".into() }), "080112080a01011203632031"),
        (
            Request::Map(v1::MapRequest { names: vec!["a/b".into(), "c@7".into()] }),
            "08021a0a0a03612f620a03634037",
        ),
        (Request::Release(v1::ReleaseRequest { leases: vec![5, 300] }), "080322050a0305ac02"),
        (Request::Reserve(v1::ReserveRequest { len: 4096, ..Default::default() }), "08042a03088020"),
        (Request::Reserve(v1::ReserveRequest { len: 4096, name: "a".into() }), "08052a06088020120161"),
        (
            Request::Commit(v1::CommitRequest { name: "a".into(), len: 9, ..reserved }),
            "0806320e094d000000000000001201611809",
        ),
        (
            Request::Commit(v1::CommitRequest { name: "a".into(), segments, ..Default::default() }),
            "080732101201612a0b094d000000000000001009",
        ),
        (Request::Abort(v1::AbortRequest { reservation: 77 }), "08083a09094d00000000000000"),
        (Request::Watch(v1::Watch { what: name, from: Some(watch::From::Version(8)) }), "080942050a01611808"),
        (
            Request::Watch(v1::Watch { what: all, from: Some(watch::From::Commit(0)) }),
            "080a420b1200210000000000000000",
        ),
        (Request::Unwatch(v1::Unwatch { watch: 7 }), "080b4a020807"),
    ];
    for (seq, (request, bytes)) in (1..).zip(requests) {
        let request = v1::SessionRequest { seq, request: Some(request) };
        assert_eq!(hex(&request.encode_to_vec()), bytes, "{request:?}");
    }
}

#[test]
fn answers_of_a_session() {
    let uuid = (0..16).collect::<Vec<u8>>().into();
    let info = v1::FrameInfo { name: "a".into(), version: 2, ..Default::default() };
    let map = v1::MapDescriptor { name: "a".into(), version: 2, lease: 5, ..Default::default() };
    let refusal = v1::Refusal { reason: "not-found".into(), message: "no frame".into(), code: 5 };
    let (map, no) = (map_result::Result::Map(map), map_result::Result::Refusal(refusal.clone()));
    let event = |commit, event| Answer::Event(v1::Event { commit, event: Some(event) });
    let answers = [
        (
            Answer::Welcome(v1::Welcome { version: 1, region_uuid: uuid, session: 3, agent: "a 1".into() }),
            "0807122208011210000102030405060708090a0b0c0d0e0f1903000000000000002203612031",
        ),
        (
            Answer::Mapped(v1::Mapped {
                results: vec![v1::MapResult { result: Some(map) }, v1::MapResult { result: Some(no) }],
                as_of: 4,
            }),
            "08071a2f0a090a07120161180230050a1912170a096e6f742d666f756e6412086e6f206672616d651805110400000000000000",
        ),
        (
            Answer::Reservation(v1::Reservation { id: 77, len: 9, ..Default::default() }),
            "0807220b114d000000000000003009",
        ),
        (Answer::Committed(info.clone()), "08072a050a01611002"),
        (Answer::Aborted(v1::Aborted {}), "08073200"),
        (Answer::Watching(v1::Watching { commit: 4 }), "08073a09090400000000000000"),
        (Answer::Unwatched(v1::Unwatched {}), "08074200"),
        (event(4, Event::Committed(info)), "08074a1009040000000000000012050a01611002"),
        (
            event(5, Event::Dropped(v1::Dropped { name: "a".into(), latest: 1 })),
            "08074a100905000000000000001a050a01611001",
        ),
        (event(0, Event::DropsMissed(v1::DropsMissed {})), "08074a022200"),
        (event(0, Event::ShuttingDown(v1::ShuttingDown {})), "08074a022a00"),
        (Answer::Refusal(refusal), "080752170a096e6f742d666f756e6412086e6f206672616d651805"),
    ];
    for (answer, bytes) in answers {
        let answer = v1::SessionAnswer { seq: 7, answer: Some(answer) };
        assert_eq!(hex(&answer.encode_to_vec()), bytes, "{answer:?}");
        let decoded = v1::SessionAnswer::decode(answer.encode_to_vec().as_slice()).unwrap();
        assert_eq!(decoded, answer);
    }
}

#[test]
fn a_page_of_a_listing() {
    let request = v1::ListRequest { prefix: "a/".into(), after: "a/b".into(), limit: 10 };
    let bytes = farrow_proto::encode_list_request(&request);
    assert_eq!(hex(&bytes), "4652524c010a02612f1203612f62180a");
    assert_eq!(farrow_proto::decode_list_request(&bytes).unwrap(), Some(request));
    for prefix in [&b""[..], b"a/", b"FRRL", b"FRRL/x"] {
        assert_eq!(farrow_proto::decode_list_request(prefix).unwrap(), None);
    }
}
