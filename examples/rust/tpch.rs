//! The eight tables of TPC-H as Arrow batches, generated the same for the same scale factor.

use arrow_array::RecordBatchReader;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

/// Rows of a batch: few large batches, because a reader's cost grows with batches and columns, not with rows.
const BATCH_ROWS: usize = 256 * 1024;

/// A table's name and its batches.
pub(crate) type Table = (&'static str, Box<dyn RecordBatchReader + Send>);

/// Every table at `scale`: 1.0 is about a gigabyte, 0.1 a tenth of it.
pub(crate) fn tables(scale: f64) -> Vec<Table> {
    macro_rules! table {
        ($arrow:ident, $generator:ident) => {
            Box::new($arrow::new($generator::new(scale, 1, 1)).with_batch_size(BATCH_ROWS))
        };
    }
    vec![
        ("region", table!(RegionArrow, RegionGenerator)),
        ("nation", table!(NationArrow, NationGenerator)),
        ("supplier", table!(SupplierArrow, SupplierGenerator)),
        ("customer", table!(CustomerArrow, CustomerGenerator)),
        ("part", table!(PartArrow, PartGenerator)),
        ("partsupp", table!(PartSuppArrow, PartSuppGenerator)),
        ("orders", table!(OrderArrow, OrderGenerator)),
        ("lineitem", table!(LineItemArrow, LineItemGenerator)),
    ]
}

/// The scale factor from the command line's first argument; 0.1 when there is none.
pub(crate) fn scale_argument(argument: Option<String>) -> anyhow::Result<f64> {
    let Some(text) = argument else { return Ok(0.1) };
    let scale: f64 = text.parse().map_err(|_| anyhow::anyhow!("scale factor `{text}` is not a number"))?;
    anyhow::ensure!(scale > 0.0 && scale <= 100.0, "scale factor {scale} is not above 0 and at most 100");
    Ok(scale)
}
