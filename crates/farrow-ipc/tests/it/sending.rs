//! Slices for the wire.

use arrow_array::{Int64Array, RecordBatch, StringViewArray};
use arrow_buffer::Buffer;
use arrow_select::concat::concat_batches;
use farrow_ipc::{Plan, SegmentReader, Trust, logical_bytes, slices};

use crate::samples::{every_type, one_column, segment};

#[test]
fn slices_are_all_rows_in_order() {
    let batch = every_type(500);
    for target in [1, 1000, 10_000, u64::MAX] {
        let cut: Vec<_> = slices(&batch, target).collect();
        assert_eq!(concat_batches(&batch.schema(), &cut).unwrap(), batch);
        assert_eq!(cut.len() == 1, target == u64::MAX);
    }
    assert_eq!(slices(&batch, 1).count(), 500);
    assert_eq!(slices(&batch.slice(0, 0), 1000).count(), 0);
}

#[test]
fn slices_are_about_as_large_as_asked_for() {
    let batch = one_column(Int64Array::from(vec![7; 100_000]));
    let cut: Vec<_> = slices(&batch, 100_000).collect();
    assert_eq!(cut.len(), 8);
    assert!(cut.iter().all(|slice| logical_bytes(slice) <= 100_000));
    assert_eq!(
        cut[1].column(0).to_data().buffers()[0].data_ptr(),
        batch.column(0).to_data().buffers()[0].data_ptr()
    );
}

/// Each buffer of a mapped batch says that it is as large as the whole mapping.
#[test]
fn mapped_batches_are_not_cut_by_the_size_of_the_mapping() {
    let views =
        |rows| StringViewArray::from_iter_values((0..rows).map(|i| format!("text that is not inline {i}")));
    let batches: Vec<_> = (0..20).map(|_| one_column(views(1000))).collect();
    let bytes = Buffer::from(segment(&batches[0].schema(), &batches).as_slice());
    let reader = SegmentReader::open(bytes, Trust::Validated).unwrap();
    let mapped = reader.batch(3).unwrap();
    assert_eq!(logical_bytes(&mapped), logical_bytes(&batches[3]));
    assert_eq!(slices(&mapped, 1 << 20).count(), 1);
}

#[test]
fn cut_views_and_unions_are_sent_once() {
    let texts = (0..5000).map(|i| format!("text that is not inline {i}"));
    let views = one_column(StringViewArray::from_iter_values(texts));
    let batch = every_type(5000);
    let of = |name| batch.project(&[batch.schema().index_of(name).unwrap()]).unwrap();
    for batch in
        [views, of("list of views"), of("dense union"), of("list view"), of("large list view"), of("map")]
    {
        let size = |batches: &[RecordBatch]| Plan::new(&batch.schema(), batches).unwrap().len;
        let cut: Vec<_> = slices(&batch, logical_bytes(&batch) / 10).collect();
        assert!(cut.len() >= 10);
        let (whole, sent) = (size(std::slice::from_ref(&batch)), size(&cut));
        assert!(sent < whole + whole / 4, "{sent} bytes sent of {whole}: {}", batch.schema().field(0).name());
        assert_eq!(concat_batches(&batch.schema(), &cut).unwrap(), batch);
    }
}
