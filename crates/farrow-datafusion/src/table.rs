//! A frame as a table.

use std::sync::Arc;

use arrow_59::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_common::{DataFusionError, Result, Statistics};
use datafusion_expr::{Expr, TableType};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_session::{Session, TableProvider};
use farrow_client::{Client, Frame};

use crate::bridge::Bridge;
use crate::scan::FrameScan;
use crate::source::Source;

/// One version of a frame as a table.
///
/// A frame that is mapped is kept, and so its lease, as long as the table is registered somewhere; arrays of results that
/// point into the mapping keep it too. Of a frame that cannot be mapped nothing is kept: each scan streams the columns that
/// it needs and no others, no more rows than a LIMIT takes, and begins a stream that breaks again behind the last row that
/// came. Once the version is dropped, such a scan fails.
#[derive(Debug)]
pub struct FrameTable {
    source: Source,
    bridge: Bridge,
}

impl FrameTable {
    /// The latest version of the frame `name`, or a version `name@version`.
    ///
    /// # Errors
    /// [`DataFusionError::External`] with what [`Client::locate`] says; for a type that DataFusion's Arrow does not know.
    pub async fn open(client: &Client, name: &str) -> Result<Self> {
        let located = client.locate(name).await;
        Self::of(located.map_err(|error| DataFusionError::External(Box::new(error)))?.into())
    }

    /// A frame that was got: mapped, or all of its rows in the memory of this process.
    ///
    /// # Errors
    /// If the schema has a type that DataFusion's Arrow does not know.
    pub fn try_new(frame: Frame) -> Result<Self> {
        Self::of(Source::Here(frame))
    }

    /// The frame's name, without version.
    pub fn name(&self) -> &str {
        self.source.version().0
    }

    /// The version's number.
    pub fn version(&self) -> u64 {
        self.source.version().1
    }

    /// True if scans read the shared memory itself.
    pub fn zero_copy(&self) -> bool {
        self.source.is_mapped()
    }

    pub(crate) fn of(source: Source) -> Result<Self> {
        Ok(Self { bridge: Bridge::try_new(source.schema())?, source })
    }
}

#[async_trait]
impl TableProvider for FrameTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.bridge.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        // None is taken: `supports_filters_pushdown` says so by default.
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projection = projection.map(Vec::as_slice);
        Ok(Arc::new(FrameScan::try_new(&self.source, projection, limit, state.config())?))
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(crate::scan::statistics(&self.source, self.bridge.schema(), true))
    }
}
