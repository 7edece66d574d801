use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::allocator::PAGE;
use crate::frame::Validation;
use crate::retention::{Retention, RetentionTarget};

const OWNER: Owner = Owner { host: Uuid::from_u128(1), uid: 2, pid: 3, start_time: 4 };

fn extent(offset: u64, len: u64) -> Extent {
    Extent { pool: 0, offset, len }
}

fn segment() -> Segment {
    Segment {
        id: 7,
        len: 5000,
        generation: 7,
        extents: vec![extent(4096, 4096), extent(16384, 4096)],
        rows: 10,
        batches: 1,
        validation: Validation::Structure,
        metadata_digest: 9,
        checksums: vec![11],
    }
}

fn refused(body: &[u8], kind: u16) -> RecordFault {
    let mut fields = FieldReader::new(body);
    match Body::decode(kind, &mut fields).and_then(|body| fields.end().map(|()| body)) {
        Err(fault) => fault,
        Ok(body) => panic!("accepted {body:?}"),
    }
}

fn body_of(body: Body) -> Vec<u8> {
    let mut out = FieldWriter::default();
    body.encode(&mut out);
    out.0
}

/// A record with this body, of any type, its checksum right.
fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut out = FieldWriter::default();
    out.u32(u32::try_from((32 + body.len()).next_multiple_of(8)).unwrap());
    out.u16(kind);
    out.u16(0);
    out.u64(1);
    out.u64(1);
    out.u32(u32::try_from(body.len()).unwrap());
    out.u32(0);
    out.bytes(body);
    out.pad();
    let crc = record_crc(&out.0);
    out.0[28..32].copy_from_slice(&crc.to_le_bytes());
    out.0
}

#[test]
fn what_a_checksum_does_not_find() {
    let ended = body_of(Body::ReservationEnded { id: 1 });
    assert!(Record::decode(&framed(RESERVATION_ENDED, &ended)).is_ok());
    for kind in [0, 8, 9, 16, u16::MAX] {
        assert_eq!(Record::decode(&framed(kind, &ended)), Err(RecordFault::Type { found: kind }));
    }
    let longer = [&ended[..], &[0]].concat();
    assert_eq!(Record::decode(&framed(RESERVATION_ENDED, &longer)), Err(RecordFault::Extra { extra: 1 }));
    let shorter = &ended[..7];
    let short = Err(RecordFault::Short { what: "reservation" });
    assert_eq!(Record::decode(&framed(RESERVATION_ENDED, shorter)), short);

    // A body length that leaves padding of 8 or more, or that runs past the record.
    let fix = |mut bytes: Vec<u8>, at: usize, value: u8| {
        bytes[at] = value;
        let crc = record_crc(&bytes);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        Record::decode(&bytes)
    };
    let good = framed(RESERVATION_ENDED, &ended);
    assert_eq!(fix(good.clone(), 24, 0), Err(RecordFault::Extra { extra: 8 }));
    assert_eq!(fix(good.clone(), 24, 9), Err(RecordFault::Short { what: "body" }));
    assert_eq!(fix(good.clone(), 0, 48), Err(RecordFault::Value { what: "length", found: 48 }));
    assert_eq!(fix(good, 6, 1), Err(RecordFault::NotZero { what: "header" }));
    let named = body_of(Body::VersionDropped { name: FrameName::parse("abc").unwrap(), number: None });
    let last = framed(VERSION_DROPPED, &named).len() - 1;
    let padding = Err(RecordFault::NotZero { what: "padding" });
    assert_eq!(fix(framed(VERSION_DROPPED, &named), last, 1), padding);
}

#[test]
fn lengths_that_no_record_has() {
    for (len, left) in [(0_u32, 64), (31, 64), (33, 64), (24, 64), (72, 64), (u32::MAX, u64::MAX)] {
        assert!(Record::peek_len(len.to_le_bytes(), left).is_err(), "{len}");
    }
    assert_eq!(Record::peek_len(64_u32.to_le_bytes(), 64), Ok(64));
}

#[test]
fn counts_are_believed_only_as_far_as_bytes_follow() {
    let ids = |count: u64| [&count.to_le_bytes()[..], &[0; 8]].concat();
    assert_eq!(refused(&ids(0), EXTENTS_FREED), RecordFault::Value { what: "segment count", found: 0 });
    assert_eq!(refused(&ids(2), EXTENTS_FREED), RecordFault::Short { what: "segments" });
    assert_eq!(refused(&ids(u64::MAX), EXTENTS_FREED), RecordFault::Short { what: "segments" });
    let mut name = body_of(Body::VersionDropped { name: FrameName::parse("a").unwrap(), number: Some(1) });
    name[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(refused(&name, VERSION_DROPPED), RecordFault::Short { what: "name" });
}

#[test]
fn extents_that_cannot_be() {
    let refused_extents = |len: u64, extents: Vec<Extent>| {
        refused(&body_of(Body::ReservationTaken { owner: OWNER, len, extents }), RESERVATION_TAKEN)
    };
    let of = |what: &'static str, found| RecordFault::Value { what, found };
    assert_eq!(refused_extents(1, vec![]), of("extent count", 0));
    assert_eq!(refused_extents(17 << 12, vec![extent(0, 4096); 17]), of("extent count", 17));
    assert_eq!(refused_extents(1, vec![extent(1, 4096)]), of("offset of an extent", 1));
    assert_eq!(refused_extents(1, vec![extent(0, 4095)]), of("length of an extent", 4095));
    assert_eq!(refused_extents(1, vec![extent(0, 0)]), of("length of an extent", 0));
    assert_eq!(refused_extents(0, vec![extent(0, 4096)]), of("length in the extents", 0));
    assert_eq!(refused_extents(4097, vec![extent(0, 4096)]), of("length in the extents", 4097));
    assert_eq!(refused_extents(4096, vec![extent(0, 8192)]), of("length in the extents", 4096));
    assert_eq!(refused_extents(u64::MAX, vec![extent(0, 4096)]), of("length in the extents", u64::MAX));
    let half = 1 << 63;
    assert_eq!(refused_extents(1, vec![extent(0, half), extent(0, half)]), of("length of an extent", half));
}

#[test]
fn segments_that_cannot_be() {
    let refused_segment = |change: &dyn Fn(&mut Segment)| {
        let mut segment = segment();
        change(&mut segment);
        refused(&body_of(Body::SegmentKept(Arc::new(segment))), SEGMENT_KEPT)
    };
    let checksums = refused_segment(&|segment| segment.batches = 2);
    assert_eq!(checksums, RecordFault::Value { what: "checksum count", found: 1 });
    let extents = refused_segment(&|segment| segment.extents.clear());
    assert_eq!(extents, RecordFault::Value { what: "extent count", found: 0 });

    let mut bytes = body_of(Body::SegmentKept(Arc::new(segment())));
    bytes[40] = 3;
    assert_eq!(refused(&bytes, SEGMENT_KEPT), RecordFault::Value { what: "validation", found: 3 });
    bytes[40] = 2;
    bytes[36] = 2;
    assert_eq!(refused(&bytes, SEGMENT_KEPT), RecordFault::Short { what: "checksums" });
}

#[test]
fn versions_that_cannot_be() {
    let version = VersionRecord {
        name: FrameName::parse("a").unwrap(),
        number: 1,
        extends: true,
        schema_fingerprint: 0,
        committed_at_micros: 0,
        owner: OWNER,
        added: vec![Arc::new(segment())],
        keep: None,
    };
    let bytes = body_of(Body::VersionCommitted(version.clone()));
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        refused(&bytes, VERSION_COMMITTED)
    };
    let of = |what: &'static str, found| RecordFault::Value { what, found };
    assert_eq!(changed(0, 0), of("version", 0));
    assert_eq!(changed(56, 0), of("segment count", 0));
    assert_eq!(changed(59, 0xff), RecordFault::Short { what: "segments" });
    assert_eq!(changed(60, 4), of("flags of a version", 4));
    assert_eq!(changed(62, 0), RecordFault::Name);
    assert_eq!(changed(62, 2), RecordFault::Short { what: "name" });
    let keeping = body_of(Body::VersionCommitted(VersionRecord { keep: Some(0x1234), ..version }));
    assert_eq!((keeping[60], &keeping[64..72]), (3, &[0x34, 0x12, 0, 0, 0, 0, 0, 0][..]));
    assert_eq!(keeping[72..], bytes[64..]);
    assert_eq!(refused(&keeping[..70], VERSION_COMMITTED), RecordFault::Short { what: "versions to keep" });
}

#[test]
fn prefixes_that_cannot_be() {
    let dropped = PrefixDropped { prefix: Prefix::starting("a/"), until_micros: -1, latest: true };
    let bytes = body_of(Body::PrefixDropped(dropped));
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        refused(&bytes, PREFIX_DROPPED)
    };
    let what = "flags of the prefix";
    assert_eq!(changed(8, 4), RecordFault::Value { what, found: 4 });
    assert_eq!(changed(8, 3), RecordFault::Name, "a name does not end so");
    assert_eq!(changed(17, 1), RecordFault::Value { what: "prefix length", found: 258 });
    assert_eq!(changed(16, 3), RecordFault::Short { what: "prefix" });
    assert_eq!(changed(16, 1), RecordFault::Extra { extra: 1 });
    assert_eq!(changed(24, 0xff), RecordFault::Name);
}

#[test]
fn bytes_of_a_prefix_of_components() {
    let dropped = PrefixDropped { prefix: Prefix::parse("a").unwrap(), until_micros: 1, latest: false };
    let expected = [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a'];
    assert_eq!(body_of(Body::PrefixDropped(dropped)), expected);
}

#[test]
fn bytes_of_a_retention() {
    let of = |last, age| Retention { last: NonZeroU64::new(last), max_age_seconds: NonZeroU64::new(age) };
    let body = |target: &RetentionTarget, retention| {
        body_of(Body::RetentionSet(RetentionSet { target: target.clone(), retention, uid: 0x0605_0403 }))
    };
    let frame = RetentionTarget::Frame(FrameName::parse("a").unwrap());
    let prefix = |text| RetentionTarget::Prefix(Prefix::parse(text).unwrap());
    let expected = |last: u8, age: u8, kind: u8, is_set: u8, text: &str| {
        let mut bytes = [[last, 0, 0, 0, 0, 0, 0, 0], [age, 0, 0, 0, 0, 0, 0, 0]].concat();
        bytes.extend([
            3,
            4,
            5,
            6,
            kind,
            0,
            is_set,
            0,
            u8::try_from(text.len()).unwrap(),
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ]);
        bytes.extend(text.bytes());
        bytes
    };
    assert_eq!(body(&frame, Some(of(7, 9))), expected(7, 9, 0, 1, "a"));
    assert_eq!(body(&frame, Some(of(0, 0))), expected(0, 0, 0, 1, "a"), "all, whatever prefixes say");
    assert_eq!(body(&prefix(""), Some(of(7, 0))), expected(7, 0, 1, 1, ""));
    assert_eq!(body(&prefix("a/"), Some(of(0, 9))), expected(0, 9, 1, 1, "a/"));
    assert_eq!(body(&prefix("a"), None), expected(0, 0, 2, 0, "a"));

    let changed = |body: &[u8], at: usize, value: u8| {
        let mut bytes = body.to_vec();
        bytes[at] = value;
        refused(&bytes, RETENTION_SET)
    };
    let with_below = body(&prefix("a"), None);
    let removed = RecordFault::NotZero { what: "retention that is removed" };
    assert_eq!([0, 15].map(|at| changed(&with_below, at, 1)), [removed.clone(), removed]);
    assert_eq!(changed(&with_below, 20, 3), RecordFault::Value { what: "kind of a retention", found: 3 });
    assert_eq!(changed(&with_below, 22, 2), RecordFault::Value { what: "flags of a retention", found: 2 });
    assert_eq!(changed(&with_below, 20, 1), RecordFault::Name, "that has no `/` at its end");
    assert_eq!(changed(&with_below, 32, b'/'), RecordFault::Name);
    assert_eq!(changed(&with_below, 32, 0xff), RecordFault::Name);
    assert_eq!(changed(&with_below, 24, 2), RecordFault::Short { what: "text" });
    let below = body(&prefix("a/"), None);
    assert_eq!(changed(&below, 20, 2), RecordFault::Name, "that has a `/` at its end");
    assert_eq!(changed(&below, 20, 0), RecordFault::Name);
}

#[test]
fn names_that_cannot_be() {
    for name in [&b"a//b"[..], b"", b"\xff", b"a@1"] {
        let mut body = 0_u64.to_le_bytes().to_vec();
        body.extend_from_slice(&(name.len() as u64).to_le_bytes());
        body.extend_from_slice(name);
        assert_eq!(refused(&body, VERSION_DROPPED), RecordFault::Name, "{name:?}");
    }
}

#[test]
fn a_record_has_a_longest_length() {
    let most = usize::try_from(MAX_RECORD_LEN / 8).unwrap();
    let freed = |count| Record { seq: 1, epoch: 1, body: Body::ExtentsFreed { segments: vec![1; count] } };
    assert_eq!(freed(most - 5).encode().unwrap().len() as u64, MAX_RECORD_LEN);
    assert_eq!(freed(most - 4).encode(), Err(MAX_RECORD_LEN + 8));
}

prop_compose! {
    fn any_extents()(pages in prop::collection::vec((0..1000_u64, 1..1000_u64, any::<u32>()), 1..=16))
        -> Vec<Extent>
    {
        let extent = |(offset, len, pool)| Extent { pool, offset: offset * PAGE, len: len * PAGE };
        pages.into_iter().map(extent).collect()
    }
}

prop_compose! {
    fn any_segment()(
        extents in any_extents(),
        numbers in any::<[u64; 3]>(),
        checksums in prop::collection::vec(any::<u64>(), 0..5),
        fewer in 0..3_usize,
        short in 0..PAGE,
        validation in prop::sample::select(vec![Validation::None, Validation::Structure, Validation::Values]),
    ) -> Segment {
        let [id, rows, metadata_digest] = numbers;
        let len = extents.iter().map(|extent| extent.len).sum::<u64>() - short;
        let batches = u32::try_from(checksums.len().saturating_sub(fewer)).unwrap();
        Segment { id, len, generation: id, extents, rows, batches, validation, metadata_digest, checksums }
    }
}

prop_compose! {
    fn any_version()(
        name in "[a-zé]{1,20}(/[a-z ]{1,20}){0,3}",
        numbers in any::<[u64; 2]>(),
        time in any::<i64>(),
        number in 1..u64::MAX,
        extends in any::<bool>(),
        added in prop::collection::vec(any_segment(), 1..4),
    ) -> VersionRecord {
        VersionRecord {
            name: FrameName::parse(&name).unwrap(),
            number,
            extends,
            schema_fingerprint: numbers[0],
            committed_at_micros: time,
            owner: Owner { start_time: numbers[1], ..OWNER },
            added: added.into_iter().map(Arc::new).collect(),
            keep: None,
        }
    }
}

fn any_prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        "[a-zé/]{0,9}".prop_map(|text| Prefix::starting(&text)),
        "[a-z]{1,40}".prop_map(|name| Prefix::parse(&name).unwrap()),
    ]
}

fn any_target() -> impl Strategy<Value = RetentionTarget> {
    let name = || "[a-zé]{1,20}(/[a-z ]{1,20}){0,3}";
    prop_oneof![
        name().prop_map(|name| RetentionTarget::Frame(FrameName::parse(&name).unwrap())),
        (name(), any::<bool>()).prop_map(|(name, below)| {
            let text = if below { format!("{name}/") } else { name };
            RetentionTarget::Prefix(Prefix::parse(&text).unwrap())
        }),
        Just(RetentionTarget::Prefix(Prefix::all())),
    ]
}

fn any_body() -> impl Strategy<Value = Body> {
    let name = || "[a-z]{1,40}".prop_map(|name| FrameName::parse(&name).unwrap());
    prop_oneof![
        (any_version(), prop::option::of(any::<u64>()))
            .prop_map(|(version, keep)| Body::VersionCommitted(VersionRecord { keep, ..version })),
        (name(), prop::option::of(1..u64::MAX))
            .prop_map(|(name, number)| Body::VersionDropped { name, number }),
        prop::collection::vec(any::<u64>(), 1..9).prop_map(|segments| Body::ExtentsFreed { segments }),
        (any_extents(), 0..PAGE).prop_map(|(extents, short)| {
            let len = extents.iter().map(|extent| extent.len).sum::<u64>() - short;
            Body::ReservationTaken { owner: OWNER, len, extents }
        }),
        any::<u64>().prop_map(|id| Body::ReservationEnded { id }),
        any::<u128>().prop_map(|host| Body::MasterStarted { host: Uuid::from_u128(host) }),
        any_segment().prop_map(|segment| Body::SegmentKept(Arc::new(segment))),
        (any::<u32>(), any_segment())
            .prop_map(|(uid, segment)| Body::OrphanKept { uid, segment: Arc::new(segment) }),
        (any_target(), any::<u32>(), prop::option::of((0..9_u64, 0..9_u64))).prop_map(
            |(target, uid, retention)| {
                let retention = retention.map(|(last, age)| Retention {
                    last: NonZeroU64::new(last),
                    max_age_seconds: NonZeroU64::new(age),
                });
                Body::RetentionSet(RetentionSet { target, retention, uid })
            }
        ),
        (name(), any::<u64>()).prop_map(|(name, last)| {
            let last = NonZeroU64::new(last);
            let retention = last.map(|last| Retention { last: Some(last), max_age_seconds: None });
            Body::OldRetentionSet(RetentionSet { target: RetentionTarget::Frame(name), retention, uid: 0 })
        }),
        (name(), any::<u64>()).prop_map(|(name, number)| Body::NumberKept { name, number }),
        any::<u64>().prop_map(|number| Body::FloorKept { number }),
        (any_prefix(), any::<i64>(), any::<bool>()).prop_map(|(prefix, until_micros, latest)| {
            Body::PrefixDropped(PrefixDropped { prefix, until_micros, latest })
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(seq: u64, epoch: u64, body in any_body()) {
        let record = Record { seq, epoch, body };
        let bytes = record.encode().unwrap();
        prop_assert_eq!(bytes.len() % 8, 0);
        prop_assert_eq!(Record::decode(&bytes), Ok(record));
    }

    #[test]
    fn lengths_are_known_beforehand(segment in any_segment(), version in any_version(), extents in any_extents()) {
        let encoded = |body| Record { seq: 1, epoch: 1, body }.encode().unwrap().len() as u64;
        let name = version.name.clone();
        for target in [
            RetentionTarget::Frame(name.clone()),
            RetentionTarget::Prefix(Prefix::parse(name.as_str()).unwrap()),
        ] {
            let set = RetentionSet { target, retention: Some(Retention::default()), uid: 1 };
            prop_assert_eq!(retention_record_len(name.as_str()), encoded(Body::RetentionSet(set)));
        }
        let number = Body::NumberKept { name: name.clone(), number: 1 };
        prop_assert_eq!(number_record_len(&name), encoded(number));
        prop_assert_eq!(FLOOR_RECORD_LEN, encoded(Body::FloorKept { number: 1 }));
        let segment = Arc::new(segment);
        let version = VersionRecord { added: vec![Arc::clone(&segment)], ..version };
        prop_assert_eq!(version_record_len(&name, &segment), encoded(Body::VersionCommitted(version)));
        prop_assert_eq!(segment_record_len(&segment), encoded(Body::SegmentKept(Arc::clone(&segment))));
        prop_assert_eq!(segment_record_len(&segment), encoded(Body::OrphanKept { uid: 1, segment }));
        let len = extents.iter().map(|extent| extent.len).sum();
        prop_assert_eq!(reservation_record_len(extents.len()),
            encoded(Body::ReservationTaken { owner: OWNER, len, extents }));
    }

    #[test]
    fn one_wrong_bit_is_found(body in any_body(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = Record { seq: 1, epoch: 1, body }.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Record::decode(&bytes).is_err());
    }

    #[test]
    fn noise_under_a_right_checksum_is_refused_or_a_record(
        kind in 0..17_u16, mut body in prop::collection::vec(0..4_u8, 0..400), sparse: bool,
    ) {
        // Small bytes make numbers that come close to being right.
        if sparse {
            body.iter_mut().enumerate().filter(|(i, _)| i % 8 != 0).for_each(|(_, byte)| *byte = 0);
        }
        let bytes = framed(kind, &body);
        if let Ok(record) = Record::decode(&bytes) {
            prop_assert_eq!(record.encode().unwrap(), bytes);
        }
    }
}
