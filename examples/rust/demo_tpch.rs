//! Generates the tables of TPC-H with nothing of farrow: the demo's independent copy.
//!
//! `demo_tpch SCALE_FACTOR` writes the tables to its output, in the order of `tpch::tables`: one Arrow IPC
//! stream behind the other.

#![forbid(unsafe_code)]

mod tpch;

use std::io::{BufWriter, Write, stdout};

use arrow_ipc::writer::StreamWriter;

fn main() -> anyhow::Result<()> {
    let scale = tpch::scale_argument(std::env::args().nth(1))?;
    let mut output = BufWriter::new(stdout().lock());
    for (_, table) in tpch::tables(scale) {
        let mut writer = StreamWriter::try_new(&mut output, &table.schema())?;
        for batch in table {
            writer.write(&batch?)?;
        }
        writer.finish()?;
    }
    Ok(output.flush()?)
}
