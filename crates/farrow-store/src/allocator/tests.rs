use proptest::prelude::*;

use super::*;

const MIB: u64 = 1024 * 1024;

fn extent(offset: u64, len: u64) -> Extent {
    Extent { pool: 0, offset, len }
}

fn take(free: &mut FreeSpace, len: u64) -> Vec<Extent> {
    let found = free.find(len).unwrap();
    for extent in &found {
        assert!(free.take(extent));
    }
    found
}

#[test]
fn small_takes_the_shortest_that_fits() {
    let mut free = FreeSpace::new([(0, 8 * MIB)]);
    let all = take(&mut free, 8 * MIB);
    assert_eq!(all, [extent(0, 8 * MIB)]);
    free.give_back(&extent(4 * MIB, 4 * MIB));
    free.give_back(&extent(0, 3 * PAGE));
    free.give_back(&extent(MIB, 2 * PAGE));
    assert_eq!(free.find(1).unwrap(), [extent(MIB, PAGE)]);
    assert_eq!(free.find(3 * PAGE).unwrap(), [extent(0, 3 * PAGE)]);
    assert_eq!(free.find(3 * PAGE + 1).unwrap(), [extent(4 * MIB, 4 * PAGE)]);
}

#[test]
fn free_extents_from_a_place_on() {
    let mut free = FreeSpace::new([(0, 4 * PAGE), (2, 2 * PAGE)]);
    assert!(free.take(&extent(PAGE, PAGE)));
    let other = Extent { pool: 2, offset: 0, len: 2 * PAGE };
    assert_eq!(free.from((0, 0)), Some(extent(0, PAGE)));
    assert_eq!(free.from((0, PAGE)), Some(extent(2 * PAGE, 2 * PAGE)));
    assert_eq!(free.from((0, 3 * PAGE)), Some(extent(3 * PAGE, PAGE)));
    assert_eq!(free.from((0, 4 * PAGE)), Some(other));
    assert_eq!(free.from((2, PAGE)), Some(Extent { offset: PAGE, len: PAGE, ..other }));
    assert_eq!(free.from((2, 2 * PAGE)), None);
}

#[test]
fn large_begins_on_a_huge_page() {
    let mut free = FreeSpace::new([(0, 16 * MIB)]);
    take(&mut free, 1);
    assert_eq!(take(&mut free, 2 * MIB + 1), [extent(2 * MIB, 2 * MIB + PAGE)]);
    // What lies before and behind it is left for small ones.
    assert_eq!(free.find(1).unwrap(), [extent(PAGE, PAGE)]);
    assert_eq!(take(&mut free, 10 * MIB), [extent(6 * MIB, 10 * MIB)]);
}

#[test]
fn an_extent_long_enough_but_badly_placed_is_passed_over() {
    let mut free = FreeSpace::new([(0, 16 * MIB)]);
    take(&mut free, 16 * MIB);
    free.give_back(&extent(MIB, 3 * MIB)); // only 2 MiB of it from a boundary on
    free.give_back(&extent(8 * MIB, 4 * MIB));
    assert_eq!(free.find(3 * MIB).unwrap(), [extent(8 * MIB, 3 * MIB)]);
    assert_eq!(free.find(2 * MIB).unwrap(), [extent(2 * MIB, 2 * MIB)]);
}

#[test]
fn fragments_are_joined_up_to_a_limit() {
    let mut free = FreeSpace::new([(0, 128 * MIB)]);
    take(&mut free, 128 * MIB);
    for i in 0..20 {
        free.give_back(&extent(i * 6 * MIB, 2 * MIB));
    }
    free.give_back(&extent(124 * MIB, 4 * MIB));
    let found = free.find(7 * MIB).unwrap();
    assert_eq!(found.iter().map(|e| e.len).collect::<Vec<_>>(), [4 * MIB, 2 * MIB, MIB]);
    assert!(found.iter().all(|e| e.offset % HUGE_PAGE == 0));
    assert_eq!(free.find(34 * MIB).unwrap().len(), 16);
    assert_eq!(free.find(34 * MIB + 1), None);
}

#[test]
fn extents_adjoin_on_whole_pages() {
    let small = [extent(PAGE, PAGE), extent(4 * PAGE, 7)];
    assert!(adjoin(&small, PAGE) && !adjoin(&small, HUGE_PAGE));
    assert!(adjoin(&[extent(PAGE, HUGE_PAGE - PAGE), extent(2 * HUGE_PAGE, PAGE)], HUGE_PAGE));
    assert!(!adjoin(&[extent(0, HUGE_PAGE), extent(2 * HUGE_PAGE + PAGE, PAGE)], HUGE_PAGE));
    let large = [extent(0, 512 * HUGE_PAGE), extent(1024 * HUGE_PAGE, 512 * HUGE_PAGE)];
    assert!(adjoin(&large, HUGE_PAGE) && !adjoin(&large, 512 * HUGE_PAGE), "a pool begins on any 2 MiB");
    assert!(adjoin(&[extent(PAGE, PAGE)], 512 * HUGE_PAGE), "there is no other");
}

#[test]
fn what_cannot_be_found() {
    let free = FreeSpace::new([(0, 4 * MIB + 100), (1, 100)]);
    assert_eq!(free.total(), 4 * MIB);
    assert_eq!(free.find(0), None);
    assert_eq!(free.find(4 * MIB + 1), None);
    assert_eq!(free.find(u64::MAX), None);
    assert_eq!(FreeSpace::default().find(1), None);
}

#[test]
fn take_refuses_what_is_not_free() {
    let mut free = FreeSpace::new([(0, 4 * MIB)]);
    assert!(free.take(&extent(PAGE, PAGE)));
    let before = free.clone();
    let bad = [
        extent(PAGE, PAGE),
        extent(0, 2 * PAGE),
        extent(2 * PAGE, 0),
        extent(2 * PAGE + 1, PAGE),
        extent(2 * PAGE, 100),
        extent(4 * MIB - PAGE, 2 * PAGE),
        extent(u64::MAX - PAGE + 1, 2 * PAGE),
        Extent { pool: 1, offset: 0, len: PAGE },
    ];
    for extent in bad {
        assert!(!free.take(&extent), "{extent:?}");
    }
    assert_eq!(free, before);
}

#[test]
fn neighbours_join_but_not_across_pools() {
    let mut free = FreeSpace::new([(0, 2 * MIB), (1, 2 * MIB)]);
    for pool in 0..2 {
        assert!(free.take(&Extent { pool, offset: 0, len: 2 * MIB }));
    }
    free.give_back(&Extent { pool: 0, offset: MIB, len: MIB });
    free.give_back(&Extent { pool: 1, offset: 0, len: MIB });
    free.give_back(&Extent { pool: 1, offset: MIB, len: MIB });
    let expected = [Extent { pool: 0, offset: MIB, len: MIB }, Extent { pool: 1, offset: 0, len: 2 * MIB }];
    assert_eq!(free.extents().collect::<Vec<_>>(), expected);
    assert_eq!(free.largest(), 2 * MIB);
}

#[test]
fn the_pieces_of_one_answer_are_of_one_pool() {
    let mut free = FreeSpace::new([(0, 8 * MIB), (1, 12 * MIB)]);
    for (pool, offset) in [(0, 4 * MIB), (1, 4 * MIB)] {
        assert!(free.take(&Extent { pool, offset, len: 2 * MIB }));
    }
    let found = free.find(10 * MIB).unwrap();
    assert_eq!(
        found.iter().map(|extent| (extent.pool, extent.len)).collect::<Vec<_>>(),
        [(1, 6 * MIB), (1, 4 * MIB)]
    );
    assert!(free.find(10 * MIB + 1).is_none() && free.total() == 16 * MIB);
}

#[derive(Clone, Debug)]
enum Op {
    Take { len: u64 },
    GiveBack { which: usize, tail_pages: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![1..64 * 1024_u64, HUGE_PAGE - PAGE..3 * HUGE_PAGE, 1..20 * MIB];
    prop_oneof![
        3 => len.prop_map(|len| Op::Take { len }),
        2 => (any::<usize>(), 0..4_u64).prop_map(|(which, tail_pages)| Op::GiveBack { which, tail_pages }),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_bitmap(ops in prop::collection::vec(op(), 1..120)) {
        const POOLS: [u64; 2] = [24 * MIB, 9 * MIB];
        let mut free = FreeSpace::new([(0, POOLS[0]), (1, POOLS[1])]);
        let mut used = POOLS.map(|len| vec![false; usize::try_from(len / PAGE).unwrap()]);
        let mut owned: Vec<Extent> = Vec::new();
        let pages = |extent: &Extent| {
            let page = |offset: u64| usize::try_from(offset / PAGE).unwrap();
            page(extent.offset)..page(extent.offset + extent.len)
        };
        for op in ops {
            match op {
                Op::Take { len } => {
                    let Some(found) = free.find(len) else { continue };
                    prop_assert_eq!(found.iter().map(|e| e.len).sum::<u64>(), len.next_multiple_of(PAGE));
                    prop_assert!(found.len() <= MAX_EXTENTS);
                    for extent in found {
                        if len >= HUGE_PAGE {
                            prop_assert_eq!(extent.offset % HUGE_PAGE, 0);
                        }
                        prop_assert!(free.take(&extent));
                        for page in &mut used[extent.pool as usize][pages(&extent)] {
                            prop_assert!(!std::mem::replace(page, true), "given out twice");
                        }
                        owned.push(extent);
                    }
                }
                Op::GiveBack { which, tail_pages } => {
                    if owned.is_empty() { continue }
                    let which = which % owned.len();
                    // Give back only the tail, as a commit shorter than its reservation does, or all.
                    let whole = owned[which];
                    let tail = match tail_pages * PAGE {
                        0 => whole.len,
                        tail => tail.min(whole.len),
                    };
                    let freed = Extent { offset: whole.offset + whole.len - tail, len: tail, ..whole };
                    free.give_back(&freed);
                    used[freed.pool as usize][pages(&freed)].fill(false);
                    if tail == whole.len {
                        owned.swap_remove(which);
                    } else {
                        owned[which].len -= tail;
                    }
                }
            }
        }
        // The free extents are exactly the runs of the bitmap.
        let mut runs = Vec::new();
        for (pool, bits) in (0_u32..).zip(&used) {
            let mut page = 0;
            for run in bits.chunk_by(|a, b| a == b) {
                let (offset, len) = (page as u64 * PAGE, run.len() as u64 * PAGE);
                if !run[0] {
                    runs.push(Extent { pool, offset, len });
                }
                page += run.len();
            }
        }
        prop_assert_eq!(free.total(), runs.iter().map(|e| e.len).sum::<u64>());
        prop_assert_eq!(free.largest(), runs.iter().map(|e| e.len).max().unwrap_or(0));
        prop_assert_eq!(free.extents().collect::<Vec<_>>(), runs);
        prop_assert_eq!(free.by_len.len(), free.by_place.len());
    }
}
