//! Bytes of messages, so that no change of a field's number or type goes unseen. They were made by hand, from the rules of
//! protobuf's encoding.

use farrow_proto::v1;
use farrow_proto::v1::event::Event;
use farrow_proto::v1::session_answer::Answer;
use farrow_proto::v1::session_request::Request;
use farrow_proto::v1::{map_result, retention_rule, watch};
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
        (
            Request::Release(v1::ReleaseRequest { leases: vec![5, 300], ..Default::default() }),
            "080322050a0305ac02",
        ),
        (Request::Reserve(v1::ReserveRequest { len: 4096, ..Default::default() }), "08042a03088020"),
        (
            Request::Reserve(v1::ReserveRequest { len: 4096, name: "a".into(), if_version: Some(0) }),
            "08052a080880201201611800",
        ),
        (
            Request::Commit(v1::CommitRequest {
                name: "a".into(),
                len: 9,
                keep: Some(3),
                if_version: Some(7),
                ..reserved
            }),
            "08063212094d00000000000000120161180930033807",
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
    let refusal = v1::Refusal {
        reason: "not-found".into(),
        message: "no frame".into(),
        code: 5,
        advice: String::new(),
    };
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

#[test]
fn retentions() {
    let rule = |target| v1::RetentionRule { target: Some(target), last: 3, max_age_seconds: 60, uid: 1000 };
    let name = rule(retention_rule::Target::Name("b".into()));
    let below = v1::RetainRequest { prefix: Some(String::new()), unset: true, ..Default::default() };
    let frame = v1::RetainRequest { name: "a".into(), last: 3, max_age_seconds: 60, ..Default::default() };
    let info = v1::FrameInfo { retention: 3, max_age_seconds: 60, ..Default::default() };
    let list = v1::RetentionsRequest { prefix: "a".into(), after: Some(name.clone()), limit: 2 };
    for (found, expected) in [
        (frame.encode_to_vec(), "0a01611003203c"),
        (below.encode_to_vec(), "1a002801"),
        (name.encode_to_vec(), "0a01621803203c28e807"),
        (rule(retention_rule::Target::Prefix("a/".into())).encode_to_vec(), "1202612f1803203c28e807"),
        (list.encode_to_vec(), "0a0161120a0a01621803203c28e8071802"),
        (info.encode_to_vec(), "5003583c"),
    ] {
        assert_eq!(hex(&found), expected);
    }
}
