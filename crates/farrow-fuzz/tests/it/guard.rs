//! Limits of a case besides panics: it may not allocate without bound, or never end.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Address space of the test process, in bytes. An input is a few KiB.
const MOST_MEMORY: u64 = 4 << 30;

/// A case takes well under a second, on any machine.
const LONGEST_CASE: Duration = Duration::from_secs(60);

thread_local! {
    static IN_CASE: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Watches over the cases of one thread.
pub(crate) struct Guard {
    begun: Sender<()>,
    path: PathBuf,
    /// Open all the time: a file that is made anew for each case costs more than most cases.
    input: File,
}

impl Guard {
    /// `path` is the file that is to hold the input of the case that runs, so that it is still there when
    /// the process is not.
    pub(crate) fn new(path: &Path) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            limit_memory();
            keep_panics();
        });
        let (begun, begins) = channel();
        let shown = path.to_owned();
        thread::spawn(move || watch(&begins, &shown));
        let input = File::create(path).expect("the target directory can be written");
        Self { begun, path: path.to_owned(), input }
    }

    /// Runs one case. A panic in it is not printed, but kept for [`last_panic`].
    pub(crate) fn case(&self, bytes: &[u8], run: fn(&[u8])) {
        self.input
            .write_all_at(bytes, 0)
            .and_then(|()| self.input.set_len(bytes.len() as u64))
            .expect("the target directory can be written");
        self.begun.send(()).expect("the watch is there as long as the guard");
        IN_CASE.set(true);
        let result = panic::catch_unwind(|| run(bytes));
        IN_CASE.set(false);
        if let Err(payload) = result {
            panic::resume_unwind(payload);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// Ends the process when a case does not end.
fn watch(begins: &Receiver<()>, input: &Path) {
    let mut begun = false;
    loop {
        match begins.recv_timeout(LONGEST_CASE) {
            Ok(()) => begun = true,
            Err(RecvTimeoutError::Timeout) if begun => {
                say(&format!("a case does not end; its input is in {}", input.display()));
                std::process::abort();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Message and place of the last panic in a case of this thread.
pub(crate) fn last_panic() -> String {
    LAST_PANIC.take()
}

/// Prints past the test harness, which keeps what a test prints until it is over.
pub(crate) fn say(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// An allocation by a number out of an input then fails, and ends the process.
fn limit_memory() {
    let maximum = getrlimit(Resource::As).maximum;
    let current = Some(maximum.map_or(MOST_MEMORY, |maximum| maximum.min(MOST_MEMORY)));
    setrlimit(Resource::As, Rlimit { current, maximum }).expect("a process may lower its limit");
}

/// A failure is shrunk by hundreds of panics, of which the last one matters.
fn keep_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IN_CASE.get() {
            LAST_PANIC.set(info.to_string());
        } else {
            print(info);
        }
    }));
}
