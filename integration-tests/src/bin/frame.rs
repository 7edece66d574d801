//! Writes an Arrow IPC stream of ROWS numbers and texts to stdout: `frame ROWS`.
#![forbid(unsafe_code)]

use arrow_ipc::writer::StreamWriter;
use farrow_integration_tests::batch;

fn main() {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok()).expect("usage: frame ROWS");
    let batch = batch(0, rows);
    let mut writer = StreamWriter::try_new(std::io::stdout(), &batch.schema()).expect("stdout");
    writer.write(&batch).expect("stdout");
    writer.finish().expect("stdout");
}
