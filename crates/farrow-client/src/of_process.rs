//! Values that a forked child must leave alone.

use std::ops::{Deref, DerefMut};

/// Something of the process that made it, with threads behind it. A forked child has a copy of the memory, and no thread:
/// a lock that one of them had at that moment is taken for ever. So the child neither uses nor drops it.
#[derive(Debug, Clone)]
pub(crate) struct OfProcess<T> {
    /// `None` once it is dropped.
    value: Option<T>,
    process: u32,
}

impl<T> OfProcess<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), process: std::process::id() }
    }

    /// True if this process made it.
    pub(crate) fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }

    /// The process that made it.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }
}

impl<T> Deref for OfProcess<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> DerefMut for OfProcess<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is there until it is dropped")
    }
}

impl<T> Drop for OfProcess<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            std::mem::forget(self.value.take());
        }
    }
}
