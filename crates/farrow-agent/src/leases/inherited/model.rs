//! A small model of the protocol between a process, its children and the agent, with every interleaving tried.
//!
//! One lease, whose version was dropped: the agent frees its bytes as soon as it believes that nobody reads them. The
//! parent has the page 1, and may go on with the page 2; two children are forked, by the parent or by each other, or
//! cloned round the handlers; the agent is killed and started again. Never are the bytes free while somebody reads them,
//! and once all processes have ended they are. Each rule is taken away in turn: then a way to read other bytes is found,
//! so none is there for nothing, and the model sees what it should.

use std::collections::{HashMap, VecDeque};

const PARENT: usize = 0;
const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// The rules that keep bytes from being read that are not there any more.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// A process that has forked says so before it releases.
    told_before_release: bool,
    /// It keeps its page as long as a fork is not told.
    page_kept_while_untold: bool,
    /// A lease waits for all pages it was marked with, not for the last one.
    every_page_marked: bool,
    /// Leases of a process that ends wait for its pages.
    end_waits_for_pages: bool,
    /// A process is on record as long as something of it waits, although it has ended.
    record_outlasts_process: bool,
    /// An agent that starts asks for the pages of processes that have ended.
    pages_asked_at_start: bool,
    /// What an earlier agent granted waits for the pages of its process, when that ends later.
    earlier_waits_for_pages: bool,
    /// A page is locked before it is sent.
    locked_by_agent: bool,
    /// What a raw clone would inherit is a hole.
    holes: bool,
    /// The fork is on record before there is a child.
    noted_before_fork: bool,
}

const ALL: Rules = Rules {
    told_before_release: true,
    page_kept_while_untold: true,
    every_page_marked: true,
    end_waits_for_pages: true,
    record_outlasts_process: true,
    pages_asked_at_start: true,
    earlier_waits_for_pages: true,
    locked_by_agent: true,
    holes: true,
    noted_before_fork: true,
};

/// The state of the parent's releasing thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    /// It waits for something to release.
    Idle,
    /// It has something.
    Begun,
    /// Forks up to this number are being told.
    Telling(u8),
    Told,
    AskingForPage,
    /// The page 2 has come, and is mapped before it is locked (only without `locked_by_agent`).
    Locking,
    Releasing,
}

/// The lease in the agent's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lease {
    Held,
    Waiting,
    Over,
    /// It is an earlier agent's.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    born: u8,
    alive: [bool; 3],
    reads: [bool; 3],
    /// Pages that are mapped, as bits.
    pages: [u8; 3],
    /// The parent's page, and the last fork under it and told.
    page: u8,
    forks: u8,
    forked: u8,
    told: u8,
    /// A child was made whose fork is not on record yet (only without `noted_before_fork`).
    unnoted: bool,
    /// The last reference is gone, and the lease in the queue of those to release.
    queued: bool,
    task: Task,
    /// True if the lease is among what is being released: another one may be.
    batch: bool,
    /// True if something else was released.
    others: bool,
    /// The page 2 on its way to the parent, and whether it is locked.
    in_flight: bool,
    locked: bool,

    agent: bool,
    starts: u8,
    lease: Lease,
    marks: u8,
    /// Pages in the directory, which outlasts the agent, as does the record.
    known: u8,
    on_record: bool,
    end_seen: bool,
    /// What is an earlier agent's waits: for the parent, and for its pages.
    for_parent: bool,
    for_pages: bool,
    free: bool,
}

/// Takes what may happen next, and what it changes.
type Steps<'a> = &'a mut dyn FnMut(&'static str, &dyn Fn(&mut State));

/// A rule's name, and how it is taken away.
type WithoutRule = (&'static str, fn(&mut Rules));

impl State {
    fn new() -> Self {
        Self {
            born: 0,
            alive: [true, false, false],
            reads: [true, false, false],
            pages: [FIRST, 0, 0],
            page: FIRST,
            forks: 0,
            forked: 0,
            told: 0,
            unnoted: false,
            queued: false,
            task: Task::Idle,
            batch: false,
            others: false,
            in_flight: false,
            locked: false,
            agent: true,
            starts: 0,
            lease: Lease::Held,
            marks: 0,
            known: FIRST,
            on_record: true,
            end_seen: false,
            for_parent: false,
            for_pages: false,
            free: false,
        }
    }

    /// Pages that the kernel says to be locked.
    fn held(&self) -> u8 {
        let mapped = self.pages.iter().fold(0, |all, pages| all | pages);
        let second = if self.locked { SECOND } else { 0 };
        let in_flight = if self.in_flight { second } else { 0 };
        (mapped & (FIRST | second)) | in_flight
    }

    fn next(&self, rules: Rules) -> Vec<(&'static str, Self)> {
        let mut next = Vec::new();
        let mut step = |what, change: &dyn Fn(&mut Self)| {
            let mut state = *self;
            change(&mut state);
            state.settle_free();
            next.push((what, state));
        };
        self.processes(rules, &mut step);
        if self.alive[PARENT] {
            self.parent(rules, &mut step);
        }
        if self.agent {
            self.agent(rules, &mut step);
        } else {
            step("the agent starts", &|s| s.start(rules));
        }
        next
    }

    fn processes(&self, rules: Rules, step: Steps<'_>) {
        for by in 0..3 {
            if !self.alive[by] {
                continue;
            }
            step("a process is killed", &|s| {
                (s.alive[by], s.reads[by], s.pages[by]) = (false, false, 0);
                if by == PARENT {
                    s.in_flight = false;
                }
            });
            if by != PARENT {
                step("a child becomes another program", &|s| (s.reads[by], s.pages[by]) = (false, 0));
                step("a child drops what it has", &|s| s.reads[by] = false);
            }
            if self.born == 2 || self.unnoted {
                continue;
            }
            let child = usize::from(self.born) + 1;
            step("a process forks", &|s| {
                s.born += 1;
                s.alive[child] = true;
                (s.reads[child], s.pages[child]) = (s.reads[by], s.pages[by]);
                if by == PARENT && rules.noted_before_fork {
                    s.note();
                } else if by == PARENT {
                    s.unnoted = true;
                }
            });
            step("a process makes a raw clone", &|s| {
                s.born += 1;
                s.alive[child] = true;
                (s.reads[child], s.pages[child]) = (s.reads[by] && !rules.holes, s.pages[by]);
            });
        }
    }

    fn note(&mut self) {
        self.forks += 1;
        self.forked = self.forks;
    }

    fn parent(&self, rules: Rules, step: Steps<'_>) {
        if self.unnoted {
            step("the parent notes its fork", &|s| {
                s.note();
                s.unnoted = false;
            });
        }
        if self.reads[PARENT] {
            step("the parent drops the last reference", &|s| (s.reads[PARENT], s.queued) = (false, true));
        }
        match self.task {
            Task::Idle => {
                if self.queued {
                    step("it is to be released", &|s| {
                        (s.task, s.queued, s.batch) = (Task::Begun, false, true);
                    });
                }
                if !self.others {
                    step("another lease is to be released", &|s| (s.task, s.others) = (Task::Begun, true));
                }
            }
            Task::Begun if rules.told_before_release && self.forked > self.told => {
                step("the parent sees a fork to tell", &|s| s.task = Task::Telling(s.forked));
            }
            Task::Begun => step("the parent sees no fork to tell", &|s| s.task = Task::Told),
            Task::Telling(forks) if self.agent && self.known & self.page != 0 => {
                step("the agent marks, and the parent hears of it", &|s| {
                    if s.lease == Lease::Held {
                        s.marks = if rules.every_page_marked { s.marks | s.page } else { s.page };
                    }
                    (s.told, s.task) = (forks, Task::Told);
                });
            }
            Task::Telling(_) => step("the fork cannot be told, and the lease is kept", &|s| {
                (s.task, s.batch) = (Task::Idle, false);
            }),
            Task::Told if self.forked != 0 && self.page == FIRST && self.agent => {
                step("the agent sends a page", &|s| {
                    (s.in_flight, s.locked) = (true, rules.locked_by_agent);
                    s.known |= SECOND;
                    s.task = Task::AskingForPage;
                });
                step("no page is to be had", &|s| s.task = Task::Releasing);
            }
            Task::Told => step("the parent keeps its page", &|s| s.task = Task::Releasing),
            Task::AskingForPage if rules.page_kept_while_untold && self.forked > self.told => {
                step("the parent has forked again, and keeps its page", &|s| {
                    (s.in_flight, s.task) = (false, Task::Releasing);
                });
            }
            Task::AskingForPage => step("the parent takes the new page", &|s| {
                (s.page, s.pages[PARENT], s.forked, s.in_flight) = (SECOND, SECOND, 0, false);
                s.task = if s.locked { Task::Releasing } else { Task::Locking };
            }),
            Task::Locking => {
                step("the parent locks its page", &|s| (s.locked, s.task) = (true, Task::Releasing));
            }
            Task::Releasing => step("the parent releases", &|s| {
                if s.batch && s.agent && s.lease == Lease::Held && !s.end_seen {
                    s.wait_for(s.marks);
                }
                (s.task, s.batch) = (Task::Idle, false);
            }),
        }
    }

    fn agent(&self, rules: Rules, step: Steps<'_>) {
        if !self.alive[PARENT] && !self.end_seen {
            step("the agent sees the parent's end", &|s| s.see_end(rules));
        }
        if self.known & !self.held() != 0 || self.for_pages {
            step("the agent looks at the pages", &|s| s.look());
        }
        let needed = match rules.record_outlasts_process {
            true => self.lease != Lease::Over || self.for_parent || self.for_pages,
            false => !self.end_seen,
        };
        if self.on_record
            && !needed
            && (self.lease != Lease::Unknown || self.free || !rules.record_outlasts_process)
        {
            step("the parent is taken off the record", &|s| s.on_record = false);
        }
        if self.starts < 2 {
            step("the agent is killed", &|s| {
                (s.agent, s.marks, s.for_parent, s.for_pages, s.end_seen) = (false, 0, false, false, false);
                if s.lease != Lease::Over {
                    s.lease = Lease::Unknown;
                }
            });
        }
    }

    fn see_end(&mut self, rules: Rules) {
        self.end_seen = true;
        let held = self.known & self.held();
        match self.lease {
            Lease::Held => self.wait_for(if rules.end_waits_for_pages { held } else { 0 }),
            Lease::Unknown if self.for_parent => {
                self.for_parent = false;
                self.for_pages = rules.earlier_waits_for_pages && held != 0;
            }
            _ => {}
        }
    }

    fn wait_for(&mut self, pages: u8) {
        self.marks = pages & self.known & self.held();
        self.known &= !pages | self.held();
        self.lease = if self.marks == 0 { Lease::Over } else { Lease::Waiting };
    }

    fn look(&mut self) {
        self.known &= self.held();
        self.marks &= self.known;
        if self.lease == Lease::Waiting && self.marks == 0 {
            self.lease = Lease::Over;
        }
        self.for_pages &= self.known != 0;
    }

    fn start(&mut self, rules: Rules) {
        (self.agent, self.starts, self.end_seen) = (true, self.starts + 1, !self.alive[PARENT]);
        self.for_parent = self.on_record && self.alive[PARENT];
        let held = self.known & self.held();
        self.for_pages = self.on_record && !self.alive[PARENT] && rules.pages_asked_at_start && held != 0;
    }

    /// The agent frees what nobody has, as far as it knows.
    fn settle_free(&mut self) {
        let over = match self.lease {
            Lease::Over => true,
            Lease::Unknown => !self.for_parent && !self.for_pages,
            Lease::Held | Lease::Waiting => false,
        };
        self.free |= self.agent && over;
    }

    fn wrong(&self) -> Option<&'static str> {
        if self.free && self.reads.contains(&true) {
            return Some("bytes are free that somebody reads");
        }
        if self.agent && !self.alive.contains(&true) {
            let mut last = *self;
            if !last.end_seen {
                last.see_end(ALL);
            }
            last.look();
            last.settle_free();
            if !last.free {
                return Some("bytes are kept that nobody can read");
            }
        }
        None
    }
}

/// Counts how many states there are; or says how one is reached that must not be.
fn explore(rules: Rules) -> Result<usize, String> {
    let first = State::new();
    let mut from: HashMap<State, Option<(State, &'static str)>> = HashMap::from([(first, None)]);
    let mut queue = VecDeque::from([first]);
    while let Some(state) = queue.pop_front() {
        if let Some(wrong) = state.wrong() {
            let mut steps = vec![wrong];
            let mut at = state;
            while let Some((before, what)) = from[&at] {
                steps.push(what);
                at = before;
            }
            steps.reverse();
            return Err(steps.join("; "));
        }
        for (what, next) in state.next(rules) {
            from.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Some((state, what))
            });
        }
    }
    Ok(from.len())
}

#[test]
fn nobody_reads_what_is_free_and_all_becomes_free() {
    let states = explore(ALL).unwrap();
    println!("counted: {states} states of processes that inherit, no wrong one");
    assert!(states > 10_000, "{states} states");
}

#[test]
fn each_rule_is_needed() {
    let without: [WithoutRule; 10] = [
        ("told_before_release", |rules| rules.told_before_release = false),
        ("page_kept_while_untold", |rules| rules.page_kept_while_untold = false),
        ("every_page_marked", |rules| rules.every_page_marked = false),
        ("end_waits_for_pages", |rules| rules.end_waits_for_pages = false),
        ("record_outlasts_process", |rules| rules.record_outlasts_process = false),
        ("pages_asked_at_start", |rules| rules.pages_asked_at_start = false),
        ("earlier_waits_for_pages", |rules| rules.earlier_waits_for_pages = false),
        ("locked_by_agent", |rules| rules.locked_by_agent = false),
        ("holes", |rules| rules.holes = false),
        ("noted_before_fork", |rules| rules.noted_before_fork = false),
    ];
    for (rule, take_away) in without {
        let mut rules = ALL;
        take_away(&mut rules);
        let found = explore(rules);
        assert!(
            matches!(&found, Err(steps) if steps.contains("somebody reads")),
            "without `{rule}` nothing is wrong: {found:?}"
        );
    }
}
