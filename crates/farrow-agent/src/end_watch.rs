//! Tells when processes end. No polling and no time-outs: the kernel wakes one thread.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;

use crate::process::{Process, ProcessId};
use crate::shares::Share;

/// The key of the event that ends the thread; processes count from 1.
const STOP: u64 = 0;

/// Ends that are taken from the kernel at once.
const EVENTS: usize = 64;

/// A thread that waits for the end of processes; it ends with this value.
pub(crate) struct EndWatch {
    shared: Arc<Shared>,
}

struct Shared {
    epoll: OwnedFd,
    /// Kept open until the thread has ended: a descriptor that is closed leaves the epoll set, and its event with it.
    stop: OwnedFd,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    last_key: u64,
    /// With a share of how many there may be, which goes back at the end.
    processes: HashMap<u64, (Arc<Process>, Option<Share>)>,
}

impl EndWatch {
    /// Watches nothing yet, and tells nobody before it is started.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        Ok(Self { shared: Arc::new(Shared { epoll, stop, watched: Mutex::default() }) })
    }

    /// Starts the thread, which calls `ended` once for each watched process.
    pub(crate) fn start(&self, ended: impl Fn(ProcessId) + Send + 'static) -> io::Result<()> {
        let shared = self.shared.clone();
        std::thread::Builder::new().name("process-ends".to_owned()).spawn(move || shared.run(&ended))?;
        Ok(())
    }

    /// Watches `process`, which takes `share` until its end. One that has ended already is told of too.
    pub(crate) fn watch(&self, process: Arc<Process>, share: Option<Share>) -> io::Result<()> {
        let mut watched = self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.last_key += 1;
        let key = watched.last_key;
        let pidfd = process.pidfd();
        epoll::add(&self.shared.epoll, pidfd, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
        watched.processes.insert(key, (process, share));
        Ok(())
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        // Any number but zero wakes it.
        if let Err(error) = rustix::io::write(&self.shared.stop, &1u64.to_le_bytes()) {
            tracing::warn!(%error, "a thread that waits for the end of processes goes on");
        }
    }
}

impl Shared {
    fn run(&self, ended: &impl Fn(ProcessId)) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    // Without the kernel's word nothing may be freed: what processes hold stays held.
                    tracing::error!(%error, "the end of processes is no longer seen: what they hold is kept");
                    return;
                }
            }
            for event in &events {
                let key = event.data.u64();
                if key == STOP {
                    return;
                }
                // Closing the descriptor, which nobody else has, takes it out of the epoll set as well.
                let process =
                    self.watched.lock().unwrap_or_else(PoisonError::into_inner).processes.remove(&key);
                if let Some((process, _share)) = process {
                    if let Err(error) = epoll::delete(&self.epoll, process.pidfd()) {
                        tracing::error!(pid = process.id().pid, %error, "still watched after its end");
                    }
                    ended(process.id());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn open(child: &std::process::Child) -> Arc<Process> {
        Arc::new(Process::open(child.id().try_into().unwrap(), 0).unwrap())
    }

    #[test]
    fn each_end_is_told_once_and_only_then() {
        let (tell, told) = mpsc::channel();
        let watch = EndWatch::new().unwrap();
        watch.start(move |id| tell.send(id).unwrap()).unwrap();
        let mut children: Vec<_> =
            (0..3).map(|_| std::process::Command::new("sleep").arg("1000").spawn().unwrap()).collect();
        let processes: Vec<_> = children.iter().map(open).collect();
        for process in &processes {
            watch.watch(process.clone(), None).unwrap();
        }
        for index in [1, 0, 2] {
            assert!(told.try_recv().is_err(), "a process that still runs was said to have ended");
            children[index].kill().unwrap();
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), processes[index].id());
            children[index].wait().unwrap();
        }
    }

    #[test]
    fn an_end_before_the_watch_is_told_and_the_thread_ends_with_the_watch() {
        let (tell, told) = mpsc::channel();
        let watch = EndWatch::new().unwrap();
        watch.start(move |id| tell.send(id).unwrap()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let process = open(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        watch.watch(process.clone(), None).unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), process.id());
        drop(watch);
        assert_eq!(told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
