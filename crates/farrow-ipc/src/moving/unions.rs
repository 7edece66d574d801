//! Unions: each type id and each offset is looked at once.

use std::ops::Range;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_buffer::NullBuffer;

use super::{Arrays, Checked};
use crate::column::Column;
use crate::error::IpcError;
use crate::problem::ValueProblem;

/// Elements that are copied at a time.
const PIECE: usize = 2 << 10;

/// The range that an element may refer to.
struct Child {
    checked: Checked,
    /// The last offset into it: they do not go back.
    last: usize,
}

impl Arrays<'_> {
    /// A union, dense if it has offsets; its nulls, if they are asked for.
    pub(super) fn union<'c>(
        &mut self,
        column: &Column,
        ids: &Range<usize>,
        offsets: Option<&Range<usize>>,
        fields: impl Iterator<Item = (i8, &'c Column)>,
        nulls: bool,
    ) -> Result<Option<NullBuffer>, IpcError> {
        let mut children: [Option<Child>; 128] = [const { None }; 128];
        for (id, field) in fields {
            let checked = self.array(field, nulls)?;
            // Arrow does not see it within the union.
            self.restrict(field, &checked.data)?;
            if let Some(child) = usize::try_from(id).ok().and_then(|id| children.get_mut(id)) {
                *child = Some(Child { checked, last: 0 });
            }
        }
        let mut found = nulls.then(|| BooleanBufferBuilder::new(column.len));
        let (mut own_ids, mut own_offsets) = ([0; PIECE], [[0; 4]; PIECE]);
        for begin in (0..column.len).step_by(PIECE) {
            let count = PIECE.min(column.len - begin);
            own_ids[..count].copy_from_slice(&self.bytes[ids.start + begin..][..count]);
            if let Some(offsets) = offsets {
                let bytes = &self.bytes[offsets.start + 4 * begin..][..4 * count];
                own_offsets.as_flattened_mut()[..4 * count].copy_from_slice(bytes);
            }
            for (index, id) in (begin..).zip(&own_ids[..count]) {
                let child = children.get_mut(usize::from(*id)).and_then(Option::as_mut);
                let Some(child) = child else {
                    let id = i8::from_le_bytes([*id]);
                    return Err(
                        self.refuse(format!("Type id {id} at index {index} is of none of the fields"))
                    );
                };
                let at = match offsets {
                    None => index,
                    Some(_) => {
                        let offset = i32::from_le_bytes(own_offsets[index - begin]);
                        self.offset(column, child, index, offset)?
                    }
                };
                if let Some(found) = &mut found {
                    found.append(child.checked.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(at)));
                }
            }
        }
        Ok(found.map(|mut found| found.finish().into()))
    }

    fn offset(
        &self,
        column: &Column,
        child: &mut Child,
        index: usize,
        offset: i32,
    ) -> Result<usize, IpcError> {
        let len = child.checked.data.len();
        let Some(at) = usize::try_from(offset).ok().filter(|at| *at < len) else {
            return Err(self.refuse(format!("Offset {offset} at index {index} is not within {len} elements")));
        };
        if at < child.last {
            let before = i32::try_from(child.last).unwrap_or(i32::MAX);
            let problem = ValueProblem::UnionOffset { index, found: offset, before };
            let (place, field) = (self.place, column.field.name().clone());
            return Err(IpcError::Value { place, column: self.column, field, problem });
        }
        child.last = at;
        Ok(at)
    }
}
