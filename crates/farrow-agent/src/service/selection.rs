//! The part of a frame that a plain client asks for: all of it by a path, or some columns and rows by a command.

use std::ops::Range;

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_schema::Schema;
use farrow_proto::v1;
use farrow_store::{FrameName, FrameRef};
use serde::Deserialize;

use super::names;
use crate::caller::Named;
use crate::error::AgentError;

/// Names of columns that a refusal shows.
const NAMES: usize = 20;

/// Characters of each.
const NAME: usize = 60;

/// A frame, and what of it is wanted.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) frame: FrameRef,
    /// Names of columns; `None`: all.
    columns: Option<Vec<String>>,
    pub(super) rows: Option<Range<u64>>,
}

/// A command, as JSON: `{"name": "sales/orders", "columns": ["id"], "rows": [0, 100]}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    name: String,
    columns: Option<Vec<String>>,
    rows: Option<(u64, Option<u64>)>,
}

impl Named for Wanted {
    fn frame_name(&self) -> &FrameName {
        &self.frame.name
    }
}

impl Wanted {
    /// Returns what a descriptor asks for.
    pub(super) fn of(descriptor: &FlightDescriptor) -> Result<Self, AgentError> {
        if descriptor.r#type() != DescriptorType::Cmd {
            return Ok(Self { frame: names::frame_ref(descriptor)?, columns: None, rows: None });
        }
        let command: Command =
            serde_json::from_slice(&descriptor.cmd).map_err(|error| AgentError::Command { error })?;
        let frame = FrameRef::parse(&command.name)?;
        let rows = match command.rows {
            Some((from, Some(to))) if from > to => return Err(AgentError::Rows { from, to }),
            Some((from, to)) => Some(from..to.unwrap_or(u64::MAX)),
            None => None,
        };
        Ok(Self { frame, columns: command.columns, rows })
    }

    /// The same as a ticket says it, of a version of this schema; `None`: all of it.
    pub(super) fn selection(&self, schema: &Schema) -> Result<Option<v1::Selection>, AgentError> {
        if self.columns.is_none() && self.rows.is_none() {
            return Ok(None);
        }
        let index = |name: &String| {
            let found = schema.index_of(name).ok().and_then(|index| u32::try_from(index).ok());
            found.ok_or_else(|| AgentError::NoColumn {
                frame: self.frame.name.clone(),
                column: name.chars().take(NAME).collect(),
                columns: some_names(schema),
            })
        };
        let indexes = self.columns.as_ref().map(|names| names.iter().map(index).collect::<Result<_, _>>());
        let columns = indexes.transpose()?.map(|indexes| v1::Columns { indexes });
        let rows = self.rows.clone().unwrap_or(0..u64::MAX);
        let end_row = (rows.end != u64::MAX).then_some(rows.end);
        Ok(Some(v1::Selection { columns, first_row: rows.start, end_row }))
    }
}

/// The columns that a selection names, of so many.
pub(super) fn columns(
    selection: Option<&v1::Selection>,
    count: usize,
) -> Result<Option<Vec<usize>>, AgentError> {
    let Some(places) = selection.and_then(v1::Selection::places) else { return Ok(None) };
    // More than there are would be there twice.
    if places.len() > count {
        return Err(AgentError::TooMany { what: "columns", count: places.len(), limit: count });
    }
    Ok(Some(places))
}

/// The rows that it names.
pub(super) fn rows(selection: Option<&v1::Selection>) -> Range<u64> {
    selection.map_or(0..u64::MAX, v1::Selection::rows)
}

/// Returns how many of `all` rows are in a range.
pub(super) fn count(rows: &Range<u64>, all: u64) -> u64 {
    rows.end.min(all).saturating_sub(rows.start.min(all))
}

/// The names of columns, as far as they fit a message.
fn some_names(schema: &Schema) -> String {
    let fields = schema.fields();
    let names = fields.iter().take(NAMES).map(|field| field.name().chars().take(NAME).collect::<String>());
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match fields.len() {
        0 => "none".to_owned(),
        count if count > NAMES => format!("{} and {} more", names.join(", "), count - NAMES),
        _ => names.join(", "),
    }
}
