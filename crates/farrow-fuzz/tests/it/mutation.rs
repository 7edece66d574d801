//! Inputs: a seed and what is done to it.

use std::fmt;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The bytes of one case. They print as hex, to be copied into a test.
#[derive(Clone)]
pub(crate) struct Input(pub(crate) Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Mutated seeds, and now and then bytes that come from none.
pub(crate) fn inputs(seeds: &Arc<Vec<Vec<u8>>>) -> impl Strategy<Value = Input> + use<> {
    let all = Arc::clone(seeds);
    let mutated = (any::<Index>(), vec(mutation(), 0..6)).prop_map(move |(seed, mutations)| {
        let mut bytes = seed.get(&all).clone();
        for mutation in mutations {
            mutation.apply(&mut bytes, &all);
        }
        bytes
    });
    prop_oneof![20 => mutated, 1 => vec(any::<u8>(), 0..2048)].prop_map(Input)
}

#[derive(Clone, Debug)]
enum Mutation {
    Flip {
        at: Place,
        bit: u8,
    },
    Byte {
        at: Place,
        value: u8,
    },
    /// A number of `width` bytes.
    Number {
        at: Place,
        width: usize,
        value: u64,
    },
    /// A number a little larger or smaller.
    Add {
        at: Place,
        width: usize,
        by: i8,
    },
    /// A piece of the input over another one.
    Copy {
        from: Place,
        to: Place,
        len: usize,
    },
    /// The end of another seed instead of this one's.
    Splice {
        at: Place,
        other: Index,
    },
    /// A piece twice, so that what follows moves.
    Insert {
        at: Place,
        len: usize,
    },
    Remove {
        at: Place,
        len: usize,
    },
    Cut {
        at: Place,
    },
}

/// A byte of an input that is not empty: any, or one of those that are not zero, where most of the meaning is.
#[derive(Clone, Debug)]
struct Place {
    index: Index,
    nonzero: bool,
}

impl Place {
    fn of(&self, bytes: &[u8]) -> usize {
        let nonzero = bytes.iter().filter(|byte| **byte != 0).count();
        if !self.nonzero || nonzero == 0 {
            return self.index.index(bytes.len());
        }
        let mut places = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        places.nth(self.index.index(nonzero)).map_or(0, |(at, _)| at)
    }

    /// The field of `width` bytes here; most fields lie on a multiple of their width.
    fn field<'a>(&self, bytes: &'a mut [u8], width: usize) -> &'a mut [u8] {
        let start = self.of(bytes) / width * width;
        let end = bytes.len().min(start + width);
        &mut bytes[start..end]
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at =
        || (any::<Index>(), prop::bool::weighted(0.7)).prop_map(|(index, nonzero)| Place { index, nonzero });
    let width = || select(vec![2_usize, 4, 8]);
    let piece = || select(vec![1_usize, 4, 8, 16, 24, 32, 64, 80, 544]);
    prop_oneof![
        2 => (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip { at, bit }),
        3 => (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Byte { at, value }),
        6 => (at(), width(), number()).prop_map(|(at, width, value)| Mutation::Number { at, width, value }),
        4 => (at(), width(), -8..=8_i8).prop_map(|(at, width, by)| Mutation::Add { at, width, by }),
        2 => (at(), at(), piece()).prop_map(|(from, to, len)| Mutation::Copy { from, to, len }),
        1 => (at(), any::<Index>()).prop_map(|(at, other)| Mutation::Splice { at, other }),
        1 => (at(), piece()).prop_map(|(at, len)| Mutation::Insert { at, len }),
        1 => (at(), piece()).prop_map(|(at, len)| Mutation::Remove { at, len }),
        1 => at().prop_map(|at| Mutation::Cut { at }),
    ]
}

/// Numbers at which arithmetic goes wrong, those that the formats count in, and any others.
fn number() -> impl Strategy<Value = u64> {
    let power = (0..64_u32, -1..=1_i64).prop_map(|(bit, by)| (1_u64 << bit).wrapping_add_signed(by));
    let units = (select(vec![8_u64, 544, 4096, 2 << 20]), 0..32_u64, -1..=1_i64)
        .prop_map(|(unit, count, by)| (unit * count).wrapping_add_signed(by));
    prop_oneof![
        3 => power,
        3 => units,
        2 => 0..64_u64,
        1 => (0..64_u64).prop_map(|n| u64::MAX - n),
        1 => any::<u64>(),
    ]
}

impl Mutation {
    fn apply(self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Flip { at, bit } => {
                let at = at.of(bytes);
                bytes[at] ^= 1 << bit;
            }
            Self::Byte { at, value } => {
                let at = at.of(bytes);
                bytes[at] = value;
            }
            Self::Number { at, width, value } => {
                let field = at.field(bytes, width);
                field.copy_from_slice(&value.to_le_bytes()[..field.len()]);
            }
            Self::Add { at, width, by } => {
                let field = at.field(bytes, width);
                let mut number = [0; 8];
                number[..field.len()].copy_from_slice(field);
                let number = u64::from_le_bytes(number).wrapping_add_signed(by.into());
                field.copy_from_slice(&number.to_le_bytes()[..field.len()]);
            }
            Self::Copy { from, to, len: piece } => {
                let (from, to) = (from.of(bytes), to.of(bytes));
                let piece = piece.min(len - from.max(to));
                bytes.copy_within(from..from + piece, to);
            }
            Self::Splice { at, other } => {
                let at = at.of(bytes);
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(seeds).get(at..).unwrap_or_default());
            }
            Self::Insert { at, len: piece } => {
                let at = at.of(bytes);
                let piece = bytes[at..len.min(at + piece)].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Remove { at, len: piece } => {
                let at = at.of(bytes);
                bytes.drain(at..len.min(at + piece));
            }
            Self::Cut { at } => {
                let at = at.of(bytes);
                bytes.truncate(at);
            }
        }
    }
}
