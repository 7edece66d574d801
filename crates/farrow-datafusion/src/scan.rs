//! Reading a frame in parallel.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_59::datatypes::Schema;
use datafusion_common::stats::Precision;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, Statistics, internal_err};
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
use futures::{StreamExt, TryStreamExt, stream};

use crate::bridge::Bridge;
use crate::source::Source;

/// Some columns of a frame, in partitions of about as many rows each.
#[derive(Debug, Clone)]
pub(crate) struct FrameScan {
    source: Source,
    /// True if it has all columns.
    whole: bool,
    bridge: Bridge,
    /// The first so many rows are enough.
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FrameScan {
    pub(crate) fn try_new(
        source: &Source,
        projection: Option<&[usize]>,
        fetch: Option<usize>,
        config: &SessionConfig,
    ) -> Result<Self> {
        let source = match projection {
            Some(columns) => source.project(columns)?,
            None => source.clone(),
        };
        let bridge = Bridge::try_new(source.schema())?;
        // More partitions than batches of DataFusion's size would have threads wait for nothing.
        let rows = rows(&source).unwrap_or(usize::MAX).min(fetch.unwrap_or(usize::MAX));
        let most = config.target_partitions().min(source.most_partitions()).max(1);
        let partitions = rows.div_ceil(config.batch_size()).clamp(1, most);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(bridge.schema())),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            source,
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

    /// The rows of a partition: consecutive ones, so that every row is in one partition, also where there are fewer record
    /// batches than threads.
    fn range(&self, partition: usize) -> Range<u64> {
        let fetch = self.fetch.map_or(u64::MAX, |rows| rows as u64);
        let all = self.source.rows().map_or(fetch, |rows| rows.min(fetch));
        let (all, partitions) = (u128::from(all), self.partitions() as u128);
        // No larger than `all`.
        let row = |share: usize| u64::try_from(all * share as u128 / partitions).unwrap_or(u64::MAX);
        row(partition)..row(partition + 1)
    }
}

/// Statistics that are known without reading a row; `whole`: of all columns.
pub(crate) fn statistics(source: &Source, schema: &Schema, whole: bool) -> Statistics {
    let bytes = source.bytes().filter(|_| whole).and_then(|bytes| usize::try_from(bytes).ok());
    let mut statistics = Statistics::new_unknown(schema)
        .with_num_rows(rows(source).map_or(Precision::Absent, Precision::Exact))
        .with_total_byte_size(bytes.map_or(Precision::Absent, Precision::Inexact));
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
        let (bridge, size) = (self.bridge.clone(), context.session_config().batch_size());
        let slices = self.source.batches(self.range(partition)).map(move |batch| -> Result<_> {
            let batch = bridge.batch(batch?)?;
            let starts = (0..batch.num_rows()).step_by(size);
            Ok(stream::iter(starts.map(move |at| Ok(batch.slice(at, size.min(batch.num_rows() - at))))))
        });
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let slices = slices.try_flatten().inspect_ok(move |slice| metrics.record_output(slice.num_rows()));
        let schema = Arc::clone(self.bridge.schema());
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(schema, slices))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let found = statistics(&self.source, self.bridge.schema(), self.whole);
        let mut found = found.with_fetch(self.fetch, 0, 1)?;
        if args.partition().is_some() {
            // The partitions are as even as rows can be divided.
            let share = |of: &Precision<usize>| of.map(|all| all / self.partitions()).to_inexact();
            found.num_rows = share(&found.num_rows);
            found.total_byte_size = share(&found.total_byte_size);
        }
        Ok(Arc::new(found))
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
        let (name, version) = self.source.version();
        write!(
            f,
            "FrameScan: frame={name}@{version}, mapped={}, partitions={}, projection=[{}]",
            self.source.is_mapped(),
            self.partitions(),
            columns.join(", ")
        )?;
        self.fetch.map_or(Ok(()), |rows| write!(f, ", fetch={rows}"))
    }
}

fn rows(source: &Source) -> Option<usize> {
    source.rows().map(|rows| usize::try_from(rows).unwrap_or(usize::MAX))
}
