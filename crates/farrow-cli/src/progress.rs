//! Progress bars: on stderr, and on a terminal only.

use std::io::Read;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

const BYTES: &str = "{wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

/// The same where no end is known.
const OPEN_END: &str = "{spinner} {binary_bytes}, {binary_bytes_per_sec}";

/// A bar over bytes; clones are the same bar.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar that is gone when the last clone of it is.
    pub(crate) fn new() -> anyhow::Result<Self> {
        if output::is_quiet() {
            return Ok(Self::hidden());
        }
        Ok(Self(ProgressBar::no_length().with_style(ProgressStyle::with_template(OPEN_END)?)))
    }

    /// None.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// So many bytes there will be.
    pub(crate) fn expect(&self, bytes: u64) {
        if self.0.length() != Some(bytes) {
            if let Ok(style) = ProgressStyle::with_template(BYTES) {
                self.0.set_style(style);
            }
            self.0.set_length(bytes);
        }
    }

    /// So many bytes are done.
    pub(crate) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// Counts what is read.
    pub(crate) fn of_bytes<R: Read + Send>(&self, read: R) -> impl Read + Send + use<R> {
        self.0.wrap_read(read)
    }

    /// Takes it off the terminal, for what is written there next.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
