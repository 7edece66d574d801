//! A medium on whose way something can happen.

use std::sync::Arc;

use farrow_region::{Media, RegionError};

/// A call of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
    Load,
    Store,
    Persist,
    Refresh,
}

impl Call {
    /// True if it can change what others see.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Store | Self::Persist)
    }
}

/// Told before each call; an error is the call's answer.
pub(crate) type Hook = dyn Fn(Call) -> Result<(), RegionError> + Send + Sync;

/// Another medium, and a hook before each call.
pub(crate) struct Hooked {
    inner: Arc<dyn Media>,
    hook: Box<Hook>,
}

impl Hooked {
    pub(crate) fn new(
        inner: Arc<dyn Media>,
        hook: impl Fn(Call) -> Result<(), RegionError> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, hook: Box::new(hook) }
    }
}

impl Media for Hooked {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), RegionError> {
        (self.hook)(Call::Read)?;
        self.inner.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), RegionError> {
        (self.hook)(Call::Write)?;
        self.inner.write_at(offset, data)
    }

    fn load_u64(&self, offset: u64) -> Result<u64, RegionError> {
        (self.hook)(Call::Load)?;
        self.inner.load_u64(offset)
    }

    fn store_u64(&self, offset: u64, value: u64) -> Result<(), RegionError> {
        (self.hook)(Call::Store)?;
        self.inner.store_u64(offset, value)
    }

    fn persist(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        (self.hook)(Call::Persist)?;
        self.inner.persist(offset, len)
    }

    fn refresh(&self, offset: u64, len: u64) -> Result<(), RegionError> {
        (self.hook)(Call::Refresh)?;
        self.inner.refresh(offset, len)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// The answer of a medium that has gone.
pub(crate) fn gone() -> RegionError {
    RegionError::ReadOnly { what: "a medium that has gone".into() }
}
