//! Generates the tables of TPC-H into Arrow IPC files, with nothing of farrow: the demo's independent copy.
//!
//! `demo_tpch_files SCALE_FACTOR DIRECTORY` writes `DIRECTORY/<table>.arrow`.

#![forbid(unsafe_code)]

mod tpch;

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context;
use arrow_ipc::writer::FileWriter;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let scale = tpch::scale_argument(arguments.next())?;
    let directory = PathBuf::from(arguments.next().context("usage: demo_tpch_files SCALE_FACTOR DIRECTORY")?);
    for (table, reader) in tpch::tables(scale) {
        let path = directory.join(format!("{table}.arrow"));
        let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        let mut writer = FileWriter::try_new_buffered(file, &reader.schema())?;
        for batch in tpch::collect(reader)? {
            writer.write(&batch)?;
        }
        writer.finish().with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
