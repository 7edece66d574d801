//! Options of publishing.

use crate::writer::Mode;

/// Options of publishing a version: what becomes of the latest one, how many the frame keeps, and onto which it must come.
///
/// ```
/// # farrow_integration_tests::Example::new().run(async |client| {
/// use farrow_client::{Mode, PutOptions, Reason};
///
/// let batch = client.get("sales/orders").await?.batch(0)?;
/// // Only onto version 2, and the frame keeps its last 10 versions from now on.
/// let options = PutOptions::from(Mode::Replace).if_version(2).keep(10);
/// let info = client.put_with("sales/orders", batch.schema(), vec![batch.clone()], options).await?;
/// assert_eq!((info.version, info.retention), (3, 10));
/// // It is the latest now.
/// let again = client.put_with("sales/orders", batch.schema(), vec![batch], options).await;
/// assert_eq!(again.unwrap_err().reason(), Some(Reason::VersionConflict));
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "nothing is published by options alone"]
pub struct PutOptions {
    pub(crate) mode: Mode,
    pub(crate) by_name: bool,
    pub(crate) keep: Option<u64>,
    pub(crate) if_version: Option<u64>,
}

impl PutOptions {
    /// Columns are matched by name, in any order, and cast where nothing is lost: see
    /// [`Writer::by_name`](crate::Writer::by_name).
    pub fn by_name(self) -> Self {
        Self { by_name: true, ..self }
    }

    /// The frame keeps so many of its latest versions from this one on (0: all), as by
    /// [`retain`](crate::Client::retain) and in the same moment; it takes the right to drop. An age that was said of the
    /// frame alone stays. Without it the frame keeps what it kept.
    pub fn keep(self, last: u64) -> Self {
        Self { keep: Some(last), ..self }
    }

    /// Nothing is published unless the latest version has this number when it is committed, or, with 0, there is no
    /// frame of the name: else [`Reason::VersionConflict`](crate::Reason::VersionConflict). Of several writers that
    /// publish onto the same version, one succeeds.
    pub fn if_version(self, number: u64) -> Self {
        Self { if_version: Some(number), ..self }
    }
}

impl From<Mode> for PutOptions {
    /// Onto whatever there is, and the frame keeps what it kept.
    fn from(mode: Mode) -> Self {
        Self { mode, by_name: false, keep: None, if_version: None }
    }
}
