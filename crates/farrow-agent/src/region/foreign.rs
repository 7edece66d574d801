//! Arrow files that other programs put into famfs.
//!
//! Nobody has sealed their bytes: whoever may write such a file may do so while it is served. The agent therefore
//! never looks at them in place. It copies what it reads and checks the copy, and it believes no earlier check.

use std::error::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use farrow_ipc::{IpcError, Layout, Source, StreamEncoder, Trust};
use farrow_proto::{FIRST_FOREIGN_FILE, v1};
use farrow_region::ReadMapping;
use farrow_store::{ForeignFile, StoreError, View};

use super::Region;
use crate::error::AgentError;

/// The bytes of such a file, copied from where they lie.
pub(crate) struct ForeignBytes {
    place: Place,
    file: Arc<ForeignFile>,
    view: Arc<View>,
}

/// The place where the bytes of a foreign file are read.
enum Place {
    /// The medium has them, among everything else.
    Medium,
    /// On a mounted famfs the file has them.
    File(Arc<ReadMapping>),
}

impl Source for ForeignBytes {
    fn len(&self) -> u64 {
        self.file.len
    }

    fn read_at(&self, position: u64, out: &mut [u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        match &self.place {
            Place::Medium => self.file.read_at(&**self.view.media(), position, out)?,
            Place::File(mapping) => {
                mapping.read_at(usize::try_from(position)?, out).map_err(StoreError::Media)?;
            }
        }
        // Whoever makes another file system begins with the superblock: these bytes were read before.
        Ok(self.view.check_identity()?)
    }
}

impl Region {
    /// The structure of a foreign file, as its bytes are now.
    pub(crate) fn foreign_layout(&self, file: &Arc<ForeignFile>) -> Result<Layout, AgentError> {
        Layout::verify_foreign_copy(&self.foreign_bytes(file)?).map_err(|source| not_served(file, source))
    }

    /// Bytes of the footer of a foreign file.
    pub(crate) fn foreign_footer_len(&self, file: &Arc<ForeignFile>) -> Result<u64, AgentError> {
        farrow_ipc::footer_len(&self.foreign_bytes(file)?).map_err(|source| not_served(file, source))
    }

    /// The rows of a foreign file, to be streamed.
    pub(crate) fn foreign_rows(
        &self,
        file: &Arc<ForeignFile>,
    ) -> Result<StreamEncoder<ForeignBytes>, AgentError> {
        let encoder = StreamEncoder::open(self.foreign_bytes(file)?, Trust::Untrusted);
        encoder.map_err(|source| not_served(file, source))
    }

    /// The descriptor of a foreign file. There is no lease: its bytes are never given to anybody else.
    pub(crate) fn foreign_descriptor(&self, file: &ForeignFile, layout: &Layout) -> v1::MapDescriptor {
        let index = FIRST_FOREIGN_FILE + file.index;
        let segment = v1::Segment {
            id: u64::from(file.index),
            generation: 0,
            extents: vec![v1::Extent { pool: index, offset: 0, length: file.len }],
            len: file.len,
            rows: layout.rows(),
            batches: u32::try_from(layout.batches().len()).unwrap_or(u32::MAX),
            validation: v1::Validation::None.into(),
            metadata_digest: layout.metadata_digest(),
        };
        let pool = self.medium.foreign_file(file, index);
        v1::MapDescriptor {
            region_uuid: self.uuid_bytes(),
            name: file.name.as_str().to_owned(),
            version: file.version(),
            segments: vec![segment],
            pools: vec![pool],
            lease: 0,
            rows: layout.rows(),
            bytes: file.len,
            coherency: v1::Coherency::Coherent.into(),
            map_socket: self.map_socket.clone(),
        }
    }

    /// A foreign file for listings.
    pub(crate) fn foreign_info(&self, file: &ForeignFile, rows: Option<u64>) -> v1::FrameInfo {
        v1::FrameInfo {
            name: file.name.as_str().to_owned(),
            version: file.version(),
            rows,
            bytes: file.len,
            segments: 1,
            committed_at_micros: 0,
            validation: v1::Validation::None.into(),
            region_uuid: self.uuid_bytes(),
            foreign: true,
            retention: 0,
            max_age_seconds: 0,
        }
    }

    /// Says once in the agent's log what of the famfs log is not served.
    pub(crate) fn report_log(&self) {
        // A medium that cannot be read is an error of whoever asks for a frame.
        let (Ok(unnamed), Ok(passed_over)) = (self.view().unnamed(), self.view().passed_over()) else {
            return;
        };
        let fault = self.view().log_fault().map(|fault| fault.to_string());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for file in unnamed.iter().skip(told.unnamed) {
            tracing::warn!(file = %file.path, reason = %file.fault, "no frame: its path is no frame's name");
        }
        told.unnamed = unnamed.len();
        // By path, not in the order in which they came: so all of them again where there are more.
        if passed_over.len() > told.passed_over {
            for (file, shared) in &passed_over {
                tracing::warn!(%file, %shared, "not served: an earlier file has some of its memory");
            }
            told.passed_over = passed_over.len();
        }
        if told.fault != fault {
            match &fault {
                Some(fault) => tracing::warn!(fault, "the famfs log is served as far as it can be read"),
                None => tracing::info!("the famfs log can be read again"),
            }
            told.fault = fault;
        }
    }

    /// Refuses a file that one of famfs's tools may still be writing.
    ///
    /// They lock the famfs log, name a file in it, write the file, and unlock. The entry of `file` has been read, so if
    /// the log is not locked now, whoever named this file and those before it has written them.
    pub(super) fn check_settled(&self, file: &ForeignFile) -> Result<(), AgentError> {
        if file.index < self.settled.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(by) = self.medium.log_locked_by()? {
            return Err(AgentError::BeingWritten { name: file.name.clone(), by });
        }
        // Indices are less than 2^31.
        self.settled.fetch_max(file.index + 1, Ordering::Relaxed);
        Ok(())
    }

    fn foreign_bytes(&self, file: &Arc<ForeignFile>) -> Result<ForeignBytes, AgentError> {
        self.check_settled(file)?;
        let place = match self.medium.map_foreign(file)? {
            Some(mapping) => Place::File(mapping),
            None => Place::Medium,
        };
        Ok(ForeignBytes { place, file: Arc::clone(file), view: Arc::clone(self.view()) })
    }
}

/// The error of a foreign file that cannot be read, or of the medium that it lies in.
pub(crate) fn not_served(file: &ForeignFile, source: IpcError) -> AgentError {
    let source = match source {
        IpcError::Read { position, len, source } => match source.downcast::<StoreError>() {
            Ok(medium) => return AgentError::Store(*medium),
            Err(source) => IpcError::Read { position, len, source },
        },
        source => source,
    };
    AgentError::Foreign { name: file.name.clone(), len: file.len, source }
}
