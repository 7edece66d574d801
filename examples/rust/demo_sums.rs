//! Maps data frames and sums every column: the demo's Rust reader.
//!
//! `demo_sums NAME...` prints one line for each column, tab-separated: frame, column, nulls, sum. Numbers and dates
//! are summed as the integers that Arrow stores (a decimal without its point), strings by their bytes' count. It fails
//! if a frame was streamed and not mapped, or if a column's type has no sum here.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the sums are this program's output")]

use anyhow::{Context, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use farrow_client::{Address, Client};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Address::find(None)?).await?;
    for name in std::env::args().skip(1) {
        let frame = client.get(&name).await?;
        if !frame.zero_copy() {
            bail!("{name} was streamed, not mapped: {}", frame.why().unwrap_or("no reason given"));
        }
        let batches: Vec<RecordBatch> = frame.batches().collect::<Result<_, _>>()?;
        for (index, field) in frame.schema().fields().iter().enumerate() {
            let (mut nulls, mut sum) = (0, 0);
            for batch in &batches {
                let column = batch.column(index);
                nulls += column.null_count();
                sum += sum_of(column.as_ref()).with_context(|| format!("{name}.{}", field.name()))?;
            }
            println!("{name}\t{}\t{nulls}\t{sum}", field.name());
        }
    }
    Ok(())
}

fn sum_of(column: &dyn Array) -> anyhow::Result<i128> {
    Ok(match column.data_type() {
        DataType::Int32 => sum_of_primitive::<Int32Type>(column),
        DataType::Int64 => sum_of_primitive::<Int64Type>(column),
        DataType::Date32 => sum_of_primitive::<Date32Type>(column),
        DataType::Decimal128(_, _) => sum_of_primitive::<Decimal128Type>(column),
        DataType::Timestamp(TimeUnit::Second, _) => sum_of_primitive::<TimestampSecondType>(column),
        DataType::Timestamp(TimeUnit::Millisecond, _) => sum_of_primitive::<TimestampMillisecondType>(column),
        DataType::Timestamp(TimeUnit::Microsecond, _) => sum_of_primitive::<TimestampMicrosecondType>(column),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => sum_of_primitive::<TimestampNanosecondType>(column),
        DataType::Utf8 => sum_of_lengths(column.as_string::<i32>().iter()),
        DataType::Utf8View => sum_of_lengths(column.as_string_view().iter()),
        other => bail!("no sum of {other}"),
    })
}

fn sum_of_primitive<T: ArrowPrimitiveType<Native: Into<i128>>>(column: &dyn Array) -> i128 {
    column.as_primitive::<T>().iter().flatten().map(Into::into).sum()
}

fn sum_of_lengths<'a>(strings: impl Iterator<Item = Option<&'a str>>) -> i128 {
    strings.flatten().map(|string| string.len() as i128).sum()
}
