use super::*;
use crate::user::User;

const MIB: usize = 1 << 20;

fn waiting(buffers: &Buffers) -> u64 {
    buffers.waiting().bytes
}

fn take(buffers: &Buffers, user: u32, bytes: usize) -> Share {
    let share = buffers.shares().try_take(&User::Unix(user), bytes as u64).expect("as much is free");
    buffers.make_room();
    share
}

#[test]
fn a_message_has_an_eighth_more_than_its_length_at_most() {
    for len in
        [0, 1, 63, 64, 65, PAGES_FROM - 1, PAGES_FROM, PAGES_FROM + 1, 5 * MIB + 1, 40 * MIB, 256 * MIB]
    {
        let room = room(len);
        assert!(room >= len && room <= len + (len / 8).max(BOUNDARY), "{room} for {len}");
        assert!(room < PAGES_FROM || room.is_multiple_of(4096), "{room} for {len}");
        assert_eq!(charge(len), (room + if len < LONG { 8 * len.min(METADATA) } else { 0 }) as u64);
    }
    assert_eq!((room(40 * MIB), room(256 * MIB)), (40 * MIB, 256 * MIB));
}

#[test]
fn a_message_is_what_came_and_ends_on_a_boundary() {
    let buffers = Buffers::new(16 << 20);
    for len in [0, 1, 1000, PAGES_FROM + 1000] {
        let message: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut buffer = buffers.buffer(len);
        for part in message.chunks(700) {
            assert!(buffer.left() >= part.len());
            buffer.push(part);
        }
        assert_eq!(buffer.left(), 0);
        assert_eq!(buffer.as_ref(), message);
        assert!(buffer.as_ref().as_ptr_range().end.addr().is_multiple_of(BOUNDARY) || len < PAGES_FROM);
    }
}

#[test]
fn pages_wait_within_the_bound_and_while_a_put_is_under_way() {
    let buffers = Buffers::new(16 * MIB as u64);
    // Nobody would come for them.
    drop(buffers.buffer(MIB));
    assert_eq!(waiting(&buffers), 0);
    let put = buffers.enter();
    let share = take(&buffers, 1, 4 * MIB);
    let held: Vec<_> = (0..4).map(|_| buffers.buffer(MIB)).collect();
    let there: Vec<_> = held.iter().map(|buffer| buffer.as_ref().as_ptr().addr()).collect();
    drop((held, share));
    assert_eq!(waiting(&buffers), 4 * MIB as u64);
    let share = take(&buffers, 1, MIB);
    let again = buffers.buffer(MIB);
    assert!(there.contains(&again.as_ref().as_ptr().addr()), "pages of its length waited");
    assert_eq!(waiting(&buffers), 3 * MIB as u64);
    // Whatever is taken has its room, though it is for no message.
    let rest = take(&buffers, 2, 14 * MIB);
    assert_eq!(waiting(&buffers), MIB as u64);
    // One of them may be beyond the bound.
    let beyond = take(&buffers, 3, 100 * MIB);
    assert_eq!(waiting(&buffers), 0);
    drop(again);
    assert_eq!(waiting(&buffers), 0, "all is taken");
    drop((share, rest, beyond));
    let second = buffers.enter();
    drop(buffers.buffer(MIB));
    drop(put);
    assert_eq!(waiting(&buffers), MIB as u64);
    drop(second);
    assert_eq!(waiting(&buffers), 0);
}

#[test]
fn more_is_had_only_while_there_is_some() {
    let buffers = Buffers::new(16 * MIB as u64);
    let _put = buffers.enter();
    let mut share = take(&buffers, 1, 2 * MIB);
    drop(buffers.buffer(12 * MIB));
    assert_eq!(waiting(&buffers), 12 * MIB as u64);
    assert!(buffers.try_grow(&mut share, 4 * MIB as u64));
    assert_eq!((share.amount(), waiting(&buffers)), (6 * MIB as u64, 0));
    assert!(!buffers.try_grow(&mut share, 8 * MIB as u64));
    assert_eq!(share.amount(), 6 * MIB as u64);
}
