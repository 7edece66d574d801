use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const START: u64 = 4 * ALLOC_UNIT;

proptest! {
    /// Against a bitmap of 4096-byte pages, 32 units of them, with extents that overlap and are not aligned.
    #[test]
    fn taking_is_idempotent_and_whole_units(extents in vec((0_u64..150, 0_u64..20, any::<bool>()), 0..40)) {
        let mut space = FreeSpace::new(START, START + 32 * ALLOC_UNIT + 5);
        let mut used = [false; 32];
        for (at, len, aligned) in extents {
            // In quarters of a unit, or in units.
            let grain = if aligned { ALLOC_UNIT } else { ALLOC_UNIT / 4 };
            let extent = Extent { dev_index: 0, offset: START + at % 32 * grain, len: len * grain };
            let Some(end) = extent.end().filter(|end| *end <= START + 32 * ALLOC_UNIT) else { continue };
            let units = (extent.offset - START) / ALLOC_UNIT..(end - START).div_ceil(ALLOC_UNIT);
            let all_free = units.clone().all(|unit| !used[usize::try_from(unit).unwrap()]);
            if extent.len > 0 && extent.validate().is_ok() {
                prop_assert_eq!(space.contains(&extent), all_free);
            }
            space.take(&extent);
            if extent.len > 0 {
                units.for_each(|unit| used[usize::try_from(unit).unwrap()] = true);
            }
            let free = used.iter().filter(|used| !**used).count();
            prop_assert_eq!(space.bytes(), free as u64 * ALLOC_UNIT);
            let mut before = None;
            for (&start, &end) in &space.ranges {
                prop_assert!(start < end && before < Some(start), "empty, or touching the one before");
                before = Some(end);
            }
        }
    }
}

#[test]
fn less_than_a_unit_is_no_space() {
    let space = FreeSpace::new(START, START + ALLOC_UNIT - 1);
    assert_eq!((space.bytes(), space.largest(), space.first_fit(1)), (0, 0, None));
}
