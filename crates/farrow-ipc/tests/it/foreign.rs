//! Files that another program wrote.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::MetadataVersion;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use farrow_ipc::{ArrayProblem, IpcError, Layout, SegmentReader, Trust};

use crate::samples::every_type;

fn written_with(batch: &RecordBatch, options: IpcWriteOptions) -> Buffer {
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write_metadata("program", "another");
    writer.write(batch).unwrap();
    Buffer::from(writer.into_inner().unwrap().as_slice())
}

#[test]
fn eight_byte_alignment_is_read_but_is_no_segment() {
    let batch = every_type(99);
    let bytes = written_with(&batch, IpcWriteOptions::try_new(8, false, MetadataVersion::V5).unwrap());
    let error = Layout::verify(&bytes).unwrap_err();
    let misaligned = |problem: &_| matches!(problem, ArrayProblem::Misaligned { need: 64, .. });
    assert!(matches!(&error, IpcError::Array { problem, .. } if misaligned(problem)), "{error}");

    Layout::verify_foreign(&bytes).unwrap().validate_values(bytes.clone()).unwrap();
    for trust in [Trust::Untrusted, Trust::Validated] {
        assert_eq!(SegmentReader::open(bytes.clone(), trust).unwrap().batch(0).unwrap(), batch);
    }
}

#[test]
fn old_metadata_is_refused() {
    let batch = every_type(9);
    let bytes = written_with(&batch, IpcWriteOptions::try_new(64, false, MetadataVersion::V4).unwrap());
    let error = Layout::verify_foreign(&bytes).unwrap_err();
    assert!(error.to_string().starts_with("footer: metadata version V4, only V5 is read"), "{error}");
}
