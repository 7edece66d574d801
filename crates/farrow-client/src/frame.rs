//! A frame as an application has it.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::Bytes;
use farrow_ipc::SegmentReader;
use farrow_region::ReadMapping;

use crate::error::ClientError;
use crate::short::cut;

/// Column names in an error.
const NAMES: usize = 20;

/// The most characters of each of them.
const NAME: usize = 60;

/// One version of a frame: mapped, or, where that was not possible, streamed into this process's memory. What a frame
/// that is a file of another program may do while it is mapped, the crate's page says. Clones share it.
#[derive(Debug, Clone)]
pub struct Frame {
    pub(crate) name: String,
    pub(crate) version: u64,
    /// UUID of its region.
    pub(crate) region: Bytes,
    pub(crate) schema: SchemaRef,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Those that were selected, as indexes into what is stored; `None`: all.
    pub(crate) columns: Option<Arc<[usize]>>,
    /// The rows that were selected; `None`: all.
    pub(crate) parts: Option<Arc<[Part]>>,
    pub(crate) source: Arc<Source>,
}

/// Some rows of a batch that is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    batch: usize,
    first: usize,
    len: usize,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// Readers over the shared memory itself, in row order; each keeps the lease.
    Mapped {
        readers: Vec<SegmentReader>,
        /// Address and length of each segment's bytes.
        mappings: Vec<(usize, usize)>,
        /// The mappings that they lie in.
        within: Vec<Arc<ReadMapping>>,
        /// The process that got the frame.
        process: u32,
    },
    /// Private copies, and why the frame is not mapped.
    Streamed { batches: Vec<RecordBatch>, why: String },
}

impl Frame {
    /// The frame's name, without version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version's number.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// UUID of the region that it is of, where its name and number are given once. Another region at the same address may
    /// have another frame of both.
    pub fn region(&self) -> String {
        crate::info::region(&self.region)
    }

    /// The schema of all batches: of the columns that are selected.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Rows of all batches.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the version's Arrow IPC files, of all columns; of its values, where it was streamed by an agent that does
    /// not tell.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// True if the batches' buffers lie in the shared memory.
    pub fn zero_copy(&self) -> bool {
        matches!(*self.source, Source::Mapped { .. })
    }

    /// Returns why the frame is not mapped, if it is not.
    pub fn why(&self) -> Option<&str> {
        match &*self.source {
            Source::Mapped { .. } => None,
            Source::Streamed { why, .. } => Some(why),
        }
    }

    /// Returns where this process has the frame's segments mapped: address and length in bytes of each. Empty if
    /// streamed.
    pub fn mappings(&self) -> &[(usize, usize)] {
        match &*self.source {
            Source::Mapped { mappings, .. } => mappings,
            Source::Streamed { .. } => &[],
        }
    }

    /// Checks that this process can read it: it got the frame, or was forked by a process that could and inherited what is
    /// mapped.
    ///
    /// # Errors
    /// [`ClientError::ForkedFrame`].
    pub fn check_inherited(&self) -> Result<(), ClientError> {
        match &*self.source {
            Source::Mapped { within, process, .. } if !within.iter().all(|mapping| mapping.is_here()) => {
                Err(ClientError::ForkedFrame { parent: *process, child: std::process::id() })
            }
            Source::Mapped { .. } | Source::Streamed { .. } => Ok(()),
        }
    }

    /// Record batches.
    pub fn num_batches(&self) -> usize {
        match (&self.parts, &*self.source) {
            (Some(parts), _) => parts.len(),
            (None, Source::Mapped { readers, .. }) => readers.iter().map(SegmentReader::num_batches).sum(),
            (None, Source::Streamed { batches, .. }) => batches.len(),
        }
    }

    /// Batch `index`, decoded now. Its arrays keep the lease, and so may outlive the frame.
    ///
    /// # Errors
    /// [`ClientError::Ipc`]; [`ClientError::ForkedFrame`] in a forked child that has not inherited what is mapped.
    ///
    /// # Panics
    /// If there is no such batch, as indexing a slice does.
    pub fn batch(&self, index: usize) -> Result<RecordBatch, ClientError> {
        self.check_inherited()?;
        match &self.parts {
            Some(parts) => {
                let Part { batch, first, len } = parts[index];
                Ok(self.stored(batch)?.slice(first, len))
            }
            None => self.stored(index),
        }
    }

    fn stored(&self, index: usize) -> Result<RecordBatch, ClientError> {
        match &*self.source {
            Source::Streamed { batches, .. } => match &self.columns {
                None => Ok(batches[index].clone()),
                Some(columns) => batches[index].project(columns).map_err(ClientError::Arrow),
            },
            Source::Mapped { readers, .. } => {
                let mut within = index;
                for reader in readers {
                    if within < reader.num_batches() {
                        return Ok(match &self.columns {
                            None => reader.batch(within)?,
                            Some(columns) => reader.batch_columns(within, columns)?,
                        });
                    }
                    within -= reader.num_batches();
                }
                panic!("batch {index} of a frame with {}", self.num_batches())
            }
        }
    }

    /// All batches in row order, each decoded when it is asked for.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = Result<RecordBatch, ClientError>> + '_ {
        (0..self.num_batches()).map(|index| self.batch(index))
    }

    /// All batches in row order, each decoded when it is read, for whoever takes a reader. It keeps the frame.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let frame = client.get("sales/orders").await?;
    /// let mut rows = 0;
    /// for batch in frame.reader() {
    ///     rows += batch.expect("sealed batches decode").num_rows();
    /// }
    /// assert_eq!(rows, 3);
    /// # Ok(()) });
    /// ```
    pub fn reader(&self) -> impl RecordBatchReader + Send + use<> {
        FrameReader { frame: self.clone(), next: 0 }
    }

    /// These rows of the frame, counted from 0; those that there are not are left out. Nothing is copied, and no batch
    /// without any of them is decoded.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let frame = client.get("sales/orders").await?.slice(1..3);
    /// assert_eq!((frame.rows(), frame.batch(0)?.num_rows()), (2, 2));
    /// # Ok(()) });
    /// ```
    pub fn slice(&self, rows: Range<u64>) -> Self {
        let (mut parts, mut before) = (Vec::new(), 0_u64);
        for Part { batch, first, len } in self.parts() {
            let end = before + len as u64;
            let (start, stop) = (rows.start.clamp(before, end), rows.end.clamp(before, end));
            if start < stop {
                // Within a batch, and so no more than its length.
                let within = |row: u64| usize::try_from(row - before).unwrap_or(len);
                parts.push(Part { batch, first: first + within(start), len: within(stop) - within(start) });
            }
            before = end;
        }
        let rows = parts.iter().map(|part| part.len as u64).sum();
        Self { rows, parts: Some(parts.into()), ..self.clone() }
    }

    fn parts(&self) -> Vec<Part> {
        let whole = |(batch, len)| Part { batch, first: 0, len };
        match (&self.parts, &*self.source) {
            (Some(parts), _) => parts.to_vec(),
            (None, Source::Mapped { readers, .. }) => {
                let blocks = readers.iter().flat_map(|reader| reader.layout().batches());
                blocks
                    .map(|block| usize::try_from(block.rows).unwrap_or(usize::MAX))
                    .enumerate()
                    .map(whole)
                    .collect()
            }
            (None, Source::Streamed { batches, .. }) => {
                batches.iter().map(RecordBatch::num_rows).enumerate().map(whole).collect()
            }
        }
    }

    /// The same rows with these columns only, in this order. Nothing is copied, and no other column is decoded or
    /// validated. Of columns with the same name it is the first.
    ///
    /// ```
    /// # farrow_integration_tests::Example::new().run(async |client| {
    /// let amounts = client.get("sales/orders").await?.select(&["amount"])?;
    /// assert_eq!(amounts.batch(0)?.num_columns(), 1);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// [`ClientError::NoColumn`].
    pub fn select<S: AsRef<str>>(&self, names: &[S]) -> Result<Self, ClientError> {
        let of = (self.name.as_str(), self.version);
        let (schema, columns) = selected(of, &self.schema, self.columns.as_deref(), names)?;
        Ok(Self { schema, columns: Some(columns), ..self.clone() })
    }
}

/// The schema of the columns called `names`, and where they are stored: `columns` are those of `schema`. Of a version
/// `of` some frame, for the error.
pub(crate) fn selected<S: AsRef<str>>(
    of: (&str, u64),
    schema: &Schema,
    columns: Option<&[usize]>,
    names: &[S],
) -> Result<(SchemaRef, Arc<[usize]>), ClientError> {
    let index = |name: &S| {
        schema.index_of(name.as_ref()).map_err(|_| ClientError::NoColumn {
            frame: format!("{}@{}", of.0, of.1),
            column: name.as_ref().to_owned(),
            columns: some_names(schema),
        })
    };
    let found = names.iter().map(index).collect::<Result<Vec<usize>, ClientError>>()?;
    let schema = Arc::new(schema.project(&found).map_err(ClientError::Arrow)?);
    let stored = |column: usize| columns.map_or(column, |columns| columns[column]);
    Ok((schema, found.into_iter().map(stored).collect()))
}

/// The batches of a frame, one after another.
struct FrameReader {
    frame: Frame,
    next: usize,
}

impl Iterator for FrameReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.frame.num_batches() {
            return None;
        }
        let batch = self.frame.batch(self.next);
        self.next += 1;
        Some(batch.map_err(|error| ArrowError::ExternalError(Box::new(error))))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.frame.num_batches() - self.next;
        (left, Some(left))
    }
}

impl RecordBatchReader for FrameReader {
    fn schema(&self) -> SchemaRef {
        self.frame.schema()
    }
}

/// The names of columns, as far as they fit a message.
fn some_names(schema: &Schema) -> String {
    let names: Vec<String> =
        schema.fields().iter().take(NAMES).map(|field| format!("`{}`", cut(field.name(), NAME))).collect();
    match schema.fields().len() {
        0 => "none".to_owned(),
        count if count > NAMES => format!("{} and {} more", names.join(", "), count - NAMES),
        _ => names.join(", "),
    }
}
