//! Some columns and rows of a frame.

use std::ops::Range;
use std::sync::Arc;

use arrow_flight::{FlightInfo, Ticket};
use arrow_schema::{Schema, SchemaRef};
use farrow_proto::v1;
use farrow_region::counted;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::frame::{Frame, selected};

/// The columns and rows of a frame that are wanted; the default is all. A stream has no others, nor their
/// dictionaries.
///
/// ```
/// # farrow_integration_tests::Example::new().run(async |client| {
/// use farrow_client::Selection;
///
/// let wanted = Selection::default().columns(["amount"]).rows(0..2);
/// let frame = client.get_selected("sales/orders", &wanted).await?;
/// assert_eq!((frame.rows(), frame.schema().fields().len()), (2, 1));
/// # Ok(()) });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    columns: Option<Vec<String>>,
    rows: Option<Range<u64>>,
}

impl Selection {
    /// Only these columns, in this order; none at all: rows without columns. Of columns with the same name it is the first.
    pub fn columns<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { columns: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Only these rows, counted from 0. Those that there are not are left out.
    pub fn rows(self, rows: Range<u64>) -> Self {
        Self { rows: Some(rows), ..self }
    }

    /// That of a frame which is here as a whole.
    pub(crate) fn of(&self, frame: Frame) -> Result<Frame, ClientError> {
        let frame = match &self.columns {
            Some(names) => frame.select(names)?,
            None => frame,
        };
        Ok(match &self.rows {
            Some(rows) => frame.slice(rows.clone()),
            None => frame,
        })
    }

    /// The ticket of the selection, and what its stream has to be; `None`: all that the ticket is for.
    pub(crate) async fn ticket(
        &self,
        connection: &Connection,
        info: &FlightInfo,
        ticket: &Ticket,
    ) -> Result<Option<Selected>, ClientError> {
        if *self == Self::default() {
            return Ok(None);
        }
        let mut named = farrow_proto::decode_ticket(&ticket.ticket)?;
        let schema = connection.schema_in(info, &named).await?;
        let (all, mut sent, mut places) = (schema.fields().len(), None, None);
        if let Some(names) = &self.columns {
            let of = (named.name.as_str(), named.version);
            let (_, columns) = selected(of, &schema, None, names)?;
            // Each is sent once, however often it is wanted.
            let mut once: Vec<usize> = Vec::new();
            let place = |column: &usize| {
                once.iter().position(|known| known == column).unwrap_or_else(|| {
                    once.push(*column);
                    once.len() - 1
                })
            };
            places = Some(columns.iter().map(place).collect::<Arc<[usize]>>());
            sent = Some(once);
        }
        let indexes = sent.clone().unwrap_or_else(|| (0..all).collect());
        let schema = Arc::new(schema.project(&indexes).map_err(ClientError::Arrow)?);
        let columns = sent.map(|sent| v1::Columns {
            indexes: sent.into_iter().map(|index| u32::try_from(index).unwrap_or(u32::MAX)).collect(),
        });
        let rows = self.rows.clone().unwrap_or(0..u64::MAX);
        let end_row = (rows.end != u64::MAX).then_some(rows.end.max(rows.start));
        named.selection = Some(v1::Selection { columns, first_row: rows.start, end_row });
        let ticket = Ticket::new(farrow_proto::encode_ticket(&named));
        Ok(Some(Selected { ticket, schema, places, rows }))
    }
}

/// A selection as it is streamed.
pub(crate) struct Selected {
    pub(crate) ticket: Ticket,
    /// Of the stream.
    pub(crate) schema: SchemaRef,
    /// The places in the stream of the columns that were asked for.
    pub(crate) places: Option<Arc<[usize]>>,
    rows: Range<u64>,
}

impl Selected {
    /// Returns how many of `all` rows it has.
    pub(crate) fn count(&self, all: u64) -> u64 {
        self.rows.end.min(all).saturating_sub(self.rows.start.min(all))
    }

    /// Checks that a stream is the one that was asked for.
    pub(crate) fn check(&self, found: &Schema) -> Result<(), ClientError> {
        if found.fields() == self.schema.fields() {
            return Ok(());
        }
        let (found, expected) = (found.fields().len(), self.schema.fields().len());
        let what = format!("DoGet: {}, and not the {expected} that were asked for", counted(found, "column"));
        Err(ClientError::Answer { what })
    }
}
