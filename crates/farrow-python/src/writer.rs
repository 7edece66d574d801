//! `farrow.Writer`.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::answers::info;
use crate::call::Call;
use crate::data::{self, Reader};
use crate::errors::exception;

/// A version that is being written.
#[pyclass(frozen, module = "farrow._farrow")]
pub(crate) struct Writer {
    name: String,
    open: Arc<Mutex<Option<farrow_client::Writer>>>,
}

#[pymethods]
impl Writer {
    /// Writes what offers `__arrow_c_stream__` or `__arrow_c_array__`; rows and bytes so far. If it fails or is given
    /// up, the writer is aborted.
    fn write(&self, data: &Bound<'_, PyAny>) -> PyResult<Call> {
        let reader = data::reader(data)?;
        let (name, open) = (self.name.clone(), self.open.clone());
        Ok(Call::of(async move {
            let mut open = open.lock().await;
            let mut writer = open.take().ok_or_else(|| closed(&name))?;
            write_all(&mut writer, reader).await.map_err(|error| exception(&error))?;
            let written = writer.written();
            *open = Some(writer);
            Ok((written.rows, written.bytes))
        }))
    }

    /// Publishes what was written.
    fn finish(&self) -> Call {
        let (name, open) = (self.name.clone(), self.open.clone());
        Call::of(async move {
            let writer = open.lock().await.take().ok_or_else(|| closed(&name))?;
            writer.finish().await.map(info).map_err(|error| exception(&error))
        })
    }

    /// Forgets what was written.
    fn abort(&self) -> Call {
        let open = self.open.clone();
        Call::of(async move {
            open.lock().await.take();
            Ok(())
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
    loop {
        let (rest, batch) = data::next(reader).await?;
        let Some(batch) = batch else { return Ok(()) };
        writer.write(batch).await?;
        reader = rest;
    }
}

fn closed(name: &str) -> PyErr {
    PyValueError::new_err(format!("the writer of {name} is finished or aborted: make another"))
}
