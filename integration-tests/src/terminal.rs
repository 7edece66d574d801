//! A terminal, and a program on it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::eventually;

/// A program whose stdin and stderr, and, unless it was given another, stdout are a terminal of 100 by 30 characters.
/// Dropping it kills it.
pub struct Terminal {
    child: Child,
    /// The terminal's other end.
    keys: File,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a program on a terminal of its own; with `piped`, its stdout is what the command says.
    ///
    /// # Panics
    /// If there are no terminals, or it cannot be started.
    pub fn start(mut command: Command, piped: bool) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        rustix::pty::grantpt(&master).expect("ours");
        rustix::pty::unlockpt(&master).expect("ours");
        let name = rustix::pty::ptsname(&master, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let terminal = File::from(rustix::fs::open(name, flags, Mode::empty()).expect("the terminal opens"));
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&terminal, size).expect("a size");
        let end = || terminal.try_clone().expect("another descriptor");
        command.stdin(end()).stderr(end()).env("TERM", "xterm-256color");
        if !piped {
            command.stdout(end());
        }
        let child = command.spawn().expect("it starts");
        // The last ends of the terminal are the child's now: with them it ends.
        drop((command, terminal));
        let keys = File::from(master);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, taken) = (keys.try_clone().expect("another descriptor"), shown.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal that nobody has open any more is an error.
            while let Ok(found @ 1..) = screen.read(&mut piece) {
                taken.lock().expect("nobody panics with it").extend_from_slice(&piece[..found]);
            }
        });
        Self { child, keys, shown }
    }

    /// The program, for what else it was given.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Types something.
    ///
    /// # Panics
    /// If the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the program still runs");
    }

    /// Everything that was written to the terminal so far, control sequences among it.
    ///
    /// # Panics
    /// Never: who reads does not panic.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("nobody panics with it")).into_owned()
    }

    /// Waits until a text was written.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        eventually(&format!("{text:?} on the terminal"), || self.raw().contains(text).then_some(()));
    }

    /// Waits until the program ends.
    ///
    /// # Panics
    /// If it goes on.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().expect("can be waited for"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
