//! A table whose slots stay where they are: to be looked through wherever a signal arrives, and in a forked child.
#![expect(unsafe_code, reason = "pieces that are never freed")]

use std::iter;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Slots of one piece.
pub(crate) const SLOTS: usize = 32;

/// Slots, and where there are more of them. Pieces are added, never removed. Nothing here locks or waits: another
/// thread that is in the middle of it when a process forks leaves nothing half done to the child.
pub(crate) struct Table<T: 'static> {
    slots: [T; SLOTS],
    next: AtomicPtr<Self>,
    /// An empty slot.
    new: fn() -> T,
}

impl<T: Sync> Table<T> {
    /// A table whose first slots are `slots`; `new` makes more of them.
    pub(crate) const fn new(slots: [T; SLOTS], new: fn() -> T) -> Self {
        Self { slots, next: AtomicPtr::new(ptr::null_mut()), new }
    }

    /// All slots there are.
    pub(crate) fn iter(&'static self) -> impl Iterator<Item = &'static T> {
        iter::successors(Some(self), |piece| piece.next()).flat_map(|piece| &piece.slots)
    }

    /// The first slot that `take` takes; if there is none, there are more slots.
    pub(crate) fn take(&'static self, take: impl Fn(&T) -> bool) -> &'static T {
        let mut piece = self;
        loop {
            if let Some(slot) = piece.slots.iter().find(|slot| take(slot)) {
                return slot;
            }
            piece = piece.next().unwrap_or_else(|| piece.grow());
        }
    }

    fn next(&self) -> Option<&'static Self> {
        // SAFETY: null, or from `grow`: a piece that is whole before the pointer to it is stored with Release, and that
        // nobody frees or has by a mutable reference.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    fn grow(&self) -> &'static Self {
        let more = Self::new(std::array::from_fn(|_| (self.new)()), self.new);
        let more = Box::into_raw(Box::new(more));
        match self.next.compare_exchange(ptr::null_mut(), more, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: the piece was made above and is never freed from here on.
            Ok(_) => unsafe { &*more },
            Err(others) => {
                // SAFETY: it came from `Box::into_raw` above, and nobody was told of it.
                drop(unsafe { Box::from_raw(more) });
                // SAFETY: as in `next`; it is not null, because the exchange has found it.
                unsafe { &*others }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn threads_that_take_slots_at_once_have_one_each() {
        static TABLE: Table<AtomicBool> =
            Table::new([const { AtomicBool::new(false) }; SLOTS], || AtomicBool::new(false));
        let each = || {
            let take = |_| TABLE.take(|slot| !slot.swap(true, Ordering::Relaxed));
            (0..SLOTS * 2).map(take).map(|slot| ptr::from_ref(slot).addr()).collect::<Vec<_>>()
        };
        let taken: Vec<usize> = thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(each)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 3 * 2 * SLOTS);
        assert!(TABLE.iter().filter(|slot| slot.load(Ordering::Relaxed)).count() == taken.len());
    }
}
