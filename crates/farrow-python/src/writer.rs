//! `farrow.Writer`.

use std::sync::Arc;

use arrow_array::RecordBatch;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::answers::info;
use crate::call::Call;
use crate::data::{self, Reader};
use crate::errors::Fault;

/// A version that is being written.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Writer {
    name: String,
    open: Arc<Mutex<Option<farrow_client::Writer>>>,
}

#[pymethods]
impl Writer {
    /// Writes what offers `__arrow_c_stream__` or `__arrow_c_array__`; rows and bytes so far. If it fails or is given
    /// up, the writer is aborted. What is `once` can be read once only.
    #[pyo3(signature = (data, once=false))]
    fn write(&self, data: &Bound<'_, PyAny>, once: bool) -> PyResult<Call> {
        let reader = data::reader(data, once)?;
        let (name, open) = (self.name.clone(), self.open.clone());
        Ok(Call::new(async move {
            let mut open = open.lock().await;
            let mut writer = open.take().ok_or(Fault::WriterClosed { name })?;
            write_all(&mut writer, reader).await?;
            let written = writer.written();
            *open = Some(writer);
            Ok::<_, Fault>((written.rows, written.bytes))
        }))
    }

    /// Publishes what was written.
    fn finish(&self) -> Call {
        let (name, open) = (self.name.clone(), self.open.clone());
        Call::new(async move {
            let writer = open.lock().await.take().ok_or(Fault::WriterClosed { name })?;
            Ok::<_, Fault>(info(writer.finish().await?))
        })
    }

    /// Forgets what was written.
    fn abort(&self) -> Call {
        let open = self.open.clone();
        Call::new(async move {
            open.lock().await.take();
            Ok::<_, Fault>(())
        })
    }
}

impl Writer {
    pub(crate) fn new(name: String, writer: farrow_client::Writer) -> Self {
        Self { name, open: Arc::new(Mutex::new(Some(writer))) }
    }
}

async fn write_all(
    writer: &mut farrow_client::Writer,
    mut reader: Reader,
) -> Result<(), farrow_client::ClientError> {
    let mut empty = Some(RecordBatch::new_empty(reader.schema()));
    loop {
        let (rest, batch) = data::next(reader).await?;
        // Data without batches have columns, too, which must be the writer's.
        let last = batch.is_none();
        let Some(batch) = batch.or_else(|| empty.take()) else { return Ok(()) };
        writer.write(batch).await?;
        if last {
            return Ok(());
        }
        empty = None;
        reader = rest;
    }
}
