//! Reading a frame in parallel.

use std::fmt;
use std::sync::Arc;

use arrow_59::array::RecordBatch;
use arrow_59::datatypes::Schema;
use datafusion_common::stats::Precision;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{DataFusionError, Result, Statistics, internal_err};
use datafusion_execution::TaskContext;
use datafusion_execution::config::SessionConfig;
use datafusion_physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion_physical_plan::coop::cooperative;
use datafusion_physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion_physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion_physical_plan::statistics::StatisticsArgs;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
    ReplaceChildrenOptions, SendableRecordBatchStream,
};
use farrow_client::Frame;
use futures::stream;

use crate::bridge::Bridge;

/// Some columns of a frame, in partitions of about as many rows each.
#[derive(Debug, Clone)]
pub(crate) struct FrameScan {
    frame: Frame,
    /// Whether it has all of its columns.
    whole: bool,
    bridge: Bridge,
    /// Rows that are enough, of each partition.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FrameScan {
    pub(crate) fn try_new(
        frame: &Frame,
        projection: Option<&[usize]>,
        fetch: Option<usize>,
        config: &SessionConfig,
    ) -> Result<Self> {
        let frame = match projection {
            Some(columns) => {
                let schema = frame.schema().project(columns).map_err(external)?;
                let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
                frame.select(&names).map_err(external)?
            }
            None => frame.clone(),
        };
        let bridge = Bridge::try_new(frame.schema())?;
        // More partitions than batches of DataFusion's size would have threads wait for nothing.
        let rows = rows(&frame).min(fetch.unwrap_or(usize::MAX));
        let partitions = rows.div_ceil(config.batch_size()).clamp(1, config.target_partitions().max(1));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(bridge.schema())),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            frame,
            whole: projection.is_none(),
            bridge,
            fetch,
            properties: Arc::new(properties.with_scheduling_type(SchedulingType::Cooperative)),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }
}

/// What is known of a frame's rows without reading one; `whole`: with all of its columns.
pub(crate) fn statistics(frame: &Frame, schema: &Schema, whole: bool) -> Statistics {
    let bytes = usize::try_from(frame.bytes()).unwrap_or(usize::MAX);
    let mut statistics = Statistics::new_unknown(schema)
        .with_num_rows(Precision::Exact(rows(frame)))
        .with_total_byte_size(if whole { Precision::Inexact(bytes) } else { Precision::Absent });
    statistics.calculate_total_byte_size(schema);
    statistics
}

impl ExecutionPlan for FrameScan {
    fn name(&self) -> &'static str {
        "FrameScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("a scan has no children") }
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let slices = Slices {
            scan: self.clone(),
            partition,
            next: partition * self.frame.num_batches() / self.partitions(),
            current: None,
            left: self.fetch.unwrap_or(usize::MAX),
            batch_size: context.session_config().batch_size(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let schema = Arc::clone(self.bridge.schema());
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(schema, stream::iter(slices)))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut found = statistics(&self.frame, self.bridge.schema(), self.whole);
        if args.partition().is_some() {
            // The partitions are as even as the batches are.
            let share = |of: &Precision<usize>| of.map(|all| all / self.partitions()).to_inexact();
            found.num_rows = share(&found.num_rows);
            found.total_byte_size = share(&found.total_byte_size);
            return Ok(Arc::new(found.with_fetch(self.fetch, 0, 1)?));
        }
        Ok(Arc::new(found.with_fetch(self.fetch, 0, self.partitions())?))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }
}

impl DisplayAs for FrameScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> =
            self.bridge.schema().fields().iter().map(|field| field.name().as_str()).collect();
        write!(
            f,
            "FrameScan: frame={}@{}, mapped={}, partitions={}, projection=[{}]",
            self.frame.name(),
            self.frame.version(),
            self.frame.zero_copy(),
            self.partitions(),
            columns.join(", ")
        )?;
        self.fetch.map_or(Ok(()), |rows| write!(f, ", fetch={rows}"))
    }
}

/// The rows of one partition, in slices of the size that DataFusion works with.
///
/// With B batches and P partitions, a partition is B of the B * P shares that there are if each batch is cut into P: so
/// every row is in one partition, also where there are fewer batches than threads.
struct Slices {
    scan: FrameScan,
    partition: usize,
    /// The batch to decode next.
    next: usize,
    /// What of the last one is not yet handed out.
    current: Option<RecordBatch>,
    /// Rows until there are enough.
    left: usize,
    batch_size: usize,
    metrics: BaselineMetrics,
}

impl Slices {
    /// This partition's rows of the next batch; `None` behind the last.
    fn open(&mut self) -> Option<Result<RecordBatch>> {
        let scan = &self.scan;
        let (batches, partitions) = (scan.frame.num_batches(), scan.partitions());
        let shares = self.partition * batches..(self.partition + 1) * batches;
        let index = self.next;
        if index * partitions >= shares.end || index >= batches {
            return None;
        }
        self.next += 1;
        let decode = || {
            let batch = scan.frame.batch(index).map_err(external)?;
            let rows = batch.num_rows();
            let row =
                |share: usize| rows * share.saturating_sub(index * partitions).min(partitions) / partitions;
            let (start, end) = (row(shares.start), row(shares.end));
            Ok(scan.bridge.batch(batch)?.slice(start, end - start))
        };
        Some(decode())
    }
}

impl Iterator for Slices {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            let current = match self.current.take().filter(|batch| batch.num_rows() > 0) {
                Some(batch) => batch,
                None => match self.open()? {
                    Ok(batch) => {
                        self.current = Some(batch);
                        continue;
                    }
                    Err(error) => {
                        self.left = 0;
                        return Some(Err(error));
                    }
                },
            };
            let rows = current.num_rows().min(self.batch_size).min(self.left);
            self.left -= rows;
            self.current = Some(current.slice(rows, current.num_rows() - rows));
            self.metrics.record_output(rows);
            return Some(Ok(current.slice(0, rows)));
        }
        None
    }
}

fn rows(frame: &Frame) -> usize {
    usize::try_from(frame.rows()).unwrap_or(usize::MAX)
}

fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataFusionError {
    DataFusionError::External(error.into())
}
