use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::tests::{Made, made};
use super::*;
use crate::process::Process;

/// A process beside this one: that which has started it. (A new one would have all pages of this one for a moment.)
fn another() -> Arc<Process> {
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
    Arc::new(Process::open(parent, 4711).unwrap())
}

impl Made {
    fn mark(&self, page: u64, up_to: u64) {
        self.leases.mark_inherited(self.process.id(), page, up_to).unwrap();
    }

    /// Nobody has the page any more: also no process that another test is just starting.
    pub(in crate::leases) fn is_over(&self, (page, number): (OwnedFd, u64)) {
        drop(page);
        let start = Instant::now();
        while self.leases.table().inherited.pages.of(self.process.id()).contains(&number) {
            assert!(start.elapsed() < Duration::from_secs(30), "somebody has page {number}");
            self.leases.tidy();
        }
    }

    /// The numbers of the leases that wait for pages, once those were looked at.
    fn waiting(&self) -> Vec<u64> {
        self.leases.tidy();
        self.leases.list().filter(|lease| lease.inherited).map(|lease| lease.id).collect()
    }
}

#[test]
fn what_was_released_waits_for_the_pages_of_which_was_said_so_by_then() {
    let made = made(100);
    let (first, second) =
        (made.leases.page(&made.process).unwrap(), made.leases.page(&made.process).unwrap());
    let [one, two, three] = [(); 3].map(|()| made.grant(&made.process).unwrap());
    made.mark(first.1, two);
    // Three was granted after the fork.
    made.release(&[one, three]);
    assert_eq!(made.waiting(), [one]);
    made.mark(first.1, one);
    made.mark(second.1, three);
    made.release(&[two]);
    assert_eq!(made.waiting(), [one, two], "what is said of a page later takes nothing back");
    made.is_over(first);
    assert_eq!(made.waiting(), [two], "children of the second page never had one");
    made.is_over(second);
    assert!(made.waiting().is_empty());
}

#[test]
fn a_process_that_forks_again_and_again_keeps_nothing_for_ever() {
    let made = made(100);
    let mut page = made.leases.page(&made.process).unwrap();
    for _ in 0..20 {
        let lease = made.grant(&made.process).unwrap();
        made.mark(page.1, lease);
        let next = made.leases.page(&made.process).unwrap();
        made.release(&[lease]);
        assert_eq!(made.waiting(), [lease], "there is always a child, of the last page");
        made.is_over(std::mem::replace(&mut page, next));
        assert!(made.waiting().is_empty());
    }
}

#[test]
fn a_page_that_is_shared_again_keeps_what_was_granted_meanwhile() {
    let made = made(100);
    let page = made.leases.page(&made.process).unwrap();
    let one = made.grant(&made.process).unwrap();
    made.mark(page.1, one);
    let two = made.grant(&made.process).unwrap();
    made.mark(page.1, two);
    made.release(&[one, two]);
    assert_eq!(made.waiting(), [one, two]);
    made.is_over(page);
    assert!(made.waiting().is_empty());
}

#[test]
fn of_a_process_that_has_ended_all_waits_for_any_of_its_pages() {
    let made = made(100);
    let (told, untold) = (made.leases.page(&made.process).unwrap(), made.leases.page(&made.process).unwrap());
    let [one, two, three] = [(); 3].map(|()| made.grant(&made.process).unwrap());
    made.mark(told.1, two);
    made.release(&[one]);
    made.leases.end(made.process.id());
    assert_eq!(made.waiting(), [one, two, three]);
    made.is_over(told);
    assert_eq!(
        made.waiting(),
        [two, three],
        "it may have forked last under the page of which it said nothing"
    );
    made.is_over(untold);
    assert!(made.waiting().is_empty());
}

#[test]
fn who_says_that_children_have_everything_keeps_leases_of_its_own() {
    let made = made(100);
    let another = another();
    let page = made.leases.page(&made.process).unwrap();
    let its_page = made.leases.page(&another).unwrap();
    let its_own = made.grant(&another).unwrap();
    let refused = made.leases.mark_inherited(made.process.id(), its_page.1, u64::MAX).unwrap_err();
    assert!(matches!(refused, AgentError::NotHeld { what: "page", .. }), "{refused}");
    made.mark(page.1, u64::MAX);
    // Also one that is granted later, and with the page it is over.
    let later = made.grant(&made.process).unwrap();
    made.release(&[later]);
    made.leases.release(another.id(), &[its_own]).unwrap();
    assert_eq!(made.waiting(), [later]);
    made.is_over(page);
    assert_eq!((made.waiting(), made.leases.count()), (Vec::new(), 0));
}

/// What a process says of its pages is kept with the pages, whatever it holds.
#[test]
fn pages_and_leases_take_memory_each_by_themselves() {
    const LEASES: usize = 1000;
    let made = made(2 * LEASES);
    let pages: Vec<_> = (0..256).map(|_| made.leases.page(&made.process).unwrap()).collect();
    let leases: Vec<u64> = (0..LEASES).map(|_| made.grant(&made.process).unwrap()).collect();
    for (_, number) in &pages {
        made.mark(*number, u64::MAX);
    }
    made.release(&leases);
    let process = made.process.id();
    let table = made.leases.table();
    assert_eq!(table.inherited.pages.of(process).len(), pages.len());
    assert_eq!(table.inherited.waiting[&process].len(), LEASES);
    // Nothing in either of them has a length of its own.
    assert_eq!(size_of::<Waiting>(), size_of::<Lease>() + 2 * size_of::<u64>());
}
