//! Tickets that select columns and rows of a segment.

use farrow_ipc::{IpcError, SegmentReader, StreamEncoder, Trust};
use farrow_proto::v1::{Columns, Selection, Ticket};

use crate::ipc::segment_seeds;
use crate::published::{decode, encoded};

/// Bytes of the input that say which segment it is, and how large messages are.
const HEAD: usize = 2;

/// [`farrow_proto::decode_ticket`], and a stream of what the ticket selects: the columns and rows that a reader of the whole
/// segment takes of it, or the error that one of the columns is not there or is there twice.
pub fn selection(input: &[u8]) {
    let Some((&[segment, about], ticket)) = input.split_first_chunk::<HEAD>() else { return };
    let ticket = match farrow_proto::decode_ticket(ticket) {
        Ok(ticket) => ticket,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let again = farrow_proto::decode_ticket(&farrow_proto::encode_ticket(&ticket));
    assert_eq!(again.expect("it was encoded here"), ticket);
    let selection = ticket.selection.unwrap_or_default();
    let mut segments = segment_seeds();
    let file = segments.swap_remove(usize::from(segment) % segments.len());
    let reader = SegmentReader::open(file.clone(), Trust::Validated).expect("a segment");
    let count = reader.schema().fields().len();
    let places = selection.places().unwrap_or_else(|| (0..count).collect());

    let mut encoder = StreamEncoder::open(&file[..], Trust::Validated).expect("a segment");
    encoder = encoder.with_rows(selection.rows());
    let encoder = match selection.places() {
        None => encoder,
        Some(places) => match encoder.with_columns(&places) {
            Ok(encoder) => encoder,
            Err(IpcError::NoColumn { index, .. }) => return assert!(index >= count),
            Err(IpcError::ColumnTwice { index }) => {
                return assert!(places.iter().filter(|place| **place == index).count() > 1);
            }
            Err(error) => panic!("{error}"),
        },
    };
    assert!(places.iter().all(|place| *place < count));
    let sent = decode(&encoded(encoder, usize::from(about) + 1).expect("a valid segment")).expect("is valid");

    let (rows, mut before) = (selection.rows(), 0_u64);
    let mut sent = sent.into_iter();
    for batch in reader.batches() {
        let batch = batch.expect("a valid segment").project(&places).expect("columns of it");
        let end = before + batch.num_rows() as u64;
        let within = |row: u64| usize::try_from(row.clamp(before, end) - before).expect("a few rows");
        let (mut at, stop) = (within(rows.start), within(rows.end));
        while at < stop {
            let part = sent.next().expect("as many rows as were selected");
            assert!(part.num_rows() > 0 && at + part.num_rows() <= stop);
            assert_eq!(part, batch.slice(at, part.num_rows()));
            at += part.num_rows();
        }
        before = end;
    }
    assert!(sent.all(|part| part.num_rows() == 0), "more rows than were selected");
}

pub(crate) fn selection_seeds() -> Vec<Vec<u8>> {
    let ticket = |indexes: Option<Vec<u32>>, first_row, end_row| {
        let columns = indexes.map(|indexes| Columns { indexes });
        let selection = Some(Selection { columns, first_row, end_row });
        let ticket = Ticket { version: 1, commit: 1, name: "a".to_owned(), selection, ..Ticket::default() };
        farrow_proto::encode_ticket(&ticket)
    };
    let tickets = [
        ticket(None, 0, None),
        ticket(Some(vec![3, 0, 11]), 1, Some(3)),
        ticket(Some((0..12).collect()), 3, Some(u64::MAX)),
        ticket(Some(vec![]), 2, Some(1)),
        ticket(Some(vec![5, 5]), u64::MAX, None),
        ticket(Some(vec![0]), 0, Some(2)),
        farrow_proto::encode_ticket(&Ticket { name: "a".to_owned(), ..Ticket::default() }),
    ];
    // The first segments have no columns, and all; of the others each has one.
    let seed = |(number, ticket): (usize, &bytes::Bytes)| {
        let segment = [1, 1, 1, 0, 1, 7, 5][number];
        [&[segment, 200][..], ticket].concat()
    };
    tickets.iter().enumerate().map(seed).collect()
}
