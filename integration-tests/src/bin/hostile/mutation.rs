//! Bytes made worse.

use fastrand::Rng;

/// Numbers that lengths, counts and offsets are not prepared for.
const ODD: [u64; 12] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Changes bytes in one to four places, or all of them.
pub(crate) fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.u8(1..=4) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..12) {
            0 => bytes.truncate(at),
            1 => bytes.extend((0..rng.usize(1..64)).map(|_| rng.u8(..))),
            2 => {
                let end = rng.usize(at..=bytes.len());
                bytes.drain(at..end);
            }
            3 => {
                let end = rng.usize(at..=bytes.len()).min(at + 256);
                let part = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, part);
            }
            4 => bytes.splice(at..at, varint(ODD[rng.usize(..ODD.len())])).for_each(drop),
            5..8 => {
                // A field of a flatbuffer, or of anything else that is little-endian.
                let number = ODD[rng.usize(..ODD.len())].to_le_bytes();
                let width = [1, 2, 4, 8][rng.usize(..4)];
                let at = at & !(width - 1);
                if let Some(field) = bytes.get_mut(at..at + width) {
                    field.copy_from_slice(&number[..width]);
                }
            }
            8 if rng.u8(..8) == 0 => *bytes = (0..rng.usize(..300)).map(|_| rng.u8(..)).collect(),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
        }
    }
}

/// A number as protobuf writes it.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
