//! A frame as a table.

use std::sync::Arc;

use arrow_59::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_common::{Result, Statistics};
use datafusion_expr::{Expr, TableType};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_session::{Session, TableProvider};
use farrow_client::Frame;

use crate::bridge::Bridge;
use crate::scan::FrameScan;

/// One version of a frame as a table. It keeps the frame, and so its lease, as long as it is registered somewhere;
/// arrays of results that point into the mapping keep it too.
#[derive(Debug)]
pub struct FrameTable {
    frame: Frame,
    bridge: Bridge,
}

impl FrameTable {
    /// # Errors
    /// If the schema has a type that DataFusion's Arrow does not know.
    pub fn try_new(frame: Frame) -> Result<Self> {
        Ok(Self { bridge: Bridge::try_new(frame.schema())?, frame })
    }

    /// The frame.
    pub fn frame(&self) -> &Frame {
        &self.frame
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
        Ok(Arc::new(FrameScan::try_new(&self.frame, projection, limit, state.config())?))
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(crate::scan::statistics(&self.frame, self.bridge.schema(), true))
    }
}
