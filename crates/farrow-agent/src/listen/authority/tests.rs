use super::*;

const PREFACE: &[u8; PREFACE_LEN] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![len[1], len[2], len[3], kind, flags, 0, 0, 0, 1];
    frame.extend_from_slice(payload);
    frame
}

/// A literal with incremental indexing, name by static index, value without Huffman coding.
fn literal(index: u8, value: &str) -> Vec<u8> {
    let mut out = vec![0x40 | index];
    if value.len() < 127 {
        out.push(u8::try_from(value.len()).unwrap());
    } else {
        let rest = value.len() - 127;
        out.extend([0x7f, 0x80 | u8::try_from(rest % 128).unwrap(), u8::try_from(rest / 128).unwrap()]);
    }
    out.extend_from_slice(value.as_bytes());
    out
}

/// A literal whose name is spelled out.
fn named(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0x00, u8::try_from(name.len()).unwrap()];
    out.extend_from_slice(name.as_bytes());
    out.push(u8::try_from(value.len()).unwrap());
    out.extend_from_slice(value.as_bytes());
    out
}

/// The block a pyarrow client sends: method, scheme, path, authority, and a header with a percent sign of its own.
fn block(authority: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    block.extend(literal(4, "/arrow.flight.protocol.FlightService/DoGet"));
    block.extend(literal(1, authority));
    block.extend(named("x-token", "50%2Fcent"));
    block
}

/// The headers as gRPC C++ 1.81 sends them: every name spelled out, indexed from then on.
fn spelled_out_block(authority: &str) -> Vec<u8> {
    let indexed = |name: &str, value: &str| {
        let mut field = named(name, value);
        field[0] = 0x40;
        field
    };
    let mut block = indexed(":path", "/arrow.flight.protocol.FlightService/GetFlightInfo");
    block.extend(indexed(":authority", authority));
    block.extend([0x83, 0x86]);
    block.extend(indexed(":authoritative", "a%2Fb"));
    block.extend(indexed(":author", "a%2Fb"));
    block
}

/// Runs `stream` through the repair, cut into pieces of `piece` bytes.
fn repaired(stream: &[u8], piece: usize) -> Vec<u8> {
    let mut out = stream.to_vec();
    let mut repair = AuthorityRepair::new();
    for piece in out.chunks_mut(piece) {
        repair.process(piece);
    }
    out
}

fn check(before: &[u8], after: &[u8]) {
    for piece in [1, 2, 3, 7, 64, before.len()] {
        assert_eq!(repaired(before, piece), after, "in pieces of {piece} bytes");
    }
}

fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    out.extend(frame(4, 0, &[0, 3, 0, 0, 0, 100]));
    out.extend(frame(4, 1, &[]));
    out.extend(frames.concat());
    out
}

#[test]
fn a_socket_path_becomes_a_host_name_and_nothing_else_changes() {
    let make = |authority: &str| {
        connection(&[
            frame(HEADERS, END_HEADERS, &block(authority)),
            frame(0, 1, b"a body with %2F and \x41\x05a%2Fb"),
        ])
    };
    check(&make("run%2Ffarrow%2Fagent.sock"), &make("run-2Ffarrow-2Fagent.sock"));
    check(&make("/run/x.sock"), &make("-run-x.sock"));
    check(&make("localhost"), &make("localhost"));
}

#[test]
fn a_name_that_is_spelled_out_is_understood() {
    let make = |authority: &str| connection(&[frame(HEADERS, END_HEADERS, &spelled_out_block(authority))]);
    check(&make("tmp%2Fxr%2Fcap.sock"), &make("tmp-2Fxr-2Fcap.sock"));
}

#[test]
fn long_paths_need_more_than_one_length_byte() {
    let before = "a%2F".repeat(60);
    let after = before.replace('%', "-");
    let make = |authority: &str| connection(&[frame(HEADERS, END_HEADERS, &block(authority))]);
    check(&make(&before), &make(&after));
}

#[test]
fn padding_priority_and_continuation_are_understood() {
    let make = |authority: &str| {
        let block = block(authority);
        let padded = [&[3][..], &block, &[0; 3]].concat();
        let prioritized = [&[0, 0, 0, 0, 9][..], &block].concat();
        let both = [&[2, 0, 0, 0, 0, 9][..], &block, &[0; 2]].concat();
        let unpadded = [&[0][..], &block].concat();
        let (head, tail) = block.split_at(60);
        connection(&[
            frame(HEADERS, END_HEADERS | PADDED, &padded),
            frame(HEADERS, END_HEADERS | PRIORITY, &prioritized),
            frame(HEADERS, END_HEADERS | PADDED | PRIORITY, &both),
            frame(HEADERS, END_HEADERS | PADDED, &unpadded),
            frame(HEADERS, 0, head),
            frame(CONTINUATION, END_HEADERS, tail),
        ])
    };
    check(&make("tmp%2Fa.sock"), &make("tmp-2Fa.sock"));
}

#[test]
fn many_requests_on_one_connection_are_each_repaired() {
    let make = |authority: &str| {
        connection(&(0..50).map(|_| frame(HEADERS, END_HEADERS, &block(authority))).collect::<Vec<_>>())
    };
    check(&make("a%2Fb"), &make("a-2Fb"));
}

#[test]
fn nonsense_is_passed_on_as_it_came() {
    // More padding than the frame is long; a length that never ends.
    for nonsense in [
        connection(&[frame(HEADERS, END_HEADERS | PADDED, &[200, 0x82])]),
        connection(&[frame(HEADERS, END_HEADERS, &[0x41, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, b'%', b'%'])]),
    ] {
        check(&nonsense, &nonsense);
    }
}
