//! The place where the messages of a file are, as they come and as its footer says.

use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::{Block, Message, MessageHeader, root_as_footer};
use arrow_schema::Schema;
use farrow_region::counted;

use super::{CONTINUATION, END, Problem, check_byte_order};

/// The messages that came, by where they begin in the file.
pub(super) struct Messages {
    /// The place where the next one begins.
    next: u64,
    dictionaries: Vec<u64>,
    batches: Vec<u64>,
}

impl Messages {
    /// The first of them begins at `position`.
    pub(super) fn from(position: u64) -> Self {
        Self { next: position, dictionaries: Vec::new(), batches: Vec::new() }
    }

    /// The next one is this.
    pub(super) fn found(&mut self, message: &Message<'_>) {
        match message.header_type() {
            MessageHeader::RecordBatch => self.batches.push(self.next),
            MessageHeader::DictionaryBatch => self.dictionaries.push(self.next),
            _ => {}
        }
    }

    /// It began with `first`, and took so many bytes behind its prefix.
    pub(super) fn passed(&mut self, first: &[u8; 4], head: &[u8], body: &[u8]) {
        let prefix = if *first == CONTINUATION { END.len() } else { first.len() };
        self.next += (prefix + head.len() - END.len() + body.len()) as u64;
    }

    /// Compares them with the file's footer: other readers go by that, and would find other rows.
    pub(super) fn compare(&self, footer: &[u8], schema: &Schema) -> Result<(), Problem> {
        let footer = root_as_footer(footer).map_err(|error| format!("its footer is damaged: {error}"))?;
        let said = footer.schema().ok_or("its footer has no schema: damaged")?;
        check_byte_order(said)?;
        let said = try_fb_to_schema(said)?;
        if said.fields() != schema.fields() {
            return Err(format!(
                "its footer has another schema ({}) than its first message ({}): damaged",
                counted(said.fields().len(), "column"),
                counted(schema.fields().len(), "column")
            )
            .into());
        }
        same("record batch", &self.batches, footer.recordBatches().into_iter().flatten())?;
        same("dictionary batch", &self.dictionaries, footer.dictionaries().into_iter().flatten())
    }
}

fn same<'a>(kind: &str, found: &[u64], said: impl Iterator<Item = &'a Block>) -> Result<(), Problem> {
    let said: Vec<i64> = said.map(Block::offset).collect();
    if said.len() != found.len() {
        return Err(format!(
            "its footer says that it has {} messages of kind {kind}, and there are {}: damaged, or written only in part",
            said.len(),
            found.len()
        )
        .into());
    }
    let differs = said.iter().zip(found).position(|(said, found)| u64::try_from(*said) != Ok(*found));
    differs.map_or(Ok(()), |index| {
        let (said, found) = (said[index], found[index]);
        Err(format!("its footer says that {kind} {index} is at byte {said}, and it is at {found}: damaged")
            .into())
    })
}
