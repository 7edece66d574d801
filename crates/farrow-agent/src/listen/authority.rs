//! Makes the `:authority` that gRPC C++ sends over a unix socket acceptable to h2.
//!
//! gRPC C++ (and so pyarrow) sends the percent-encoded path of the socket as `:authority`: `run%2Ffarrow%2Fagent.sock`.
//! RFC 3986 lets a registered name hold `%2F`; the `http` crate does not, and h2 answers with RST_STREAM. farrow
//! never looks at the authority, so its odd characters are overwritten, byte for byte, before h2 sees them. Lengths
//! stay what they were, so frames, and the peer's HPACK table, stay right.
//!
//! Only as much of HTTP/2 (RFC 9113, section 6.2) and HPACK (RFC 7541, section 6) is read as it takes to find the
//! value of a literal header whose name is `:authority`, spelled out (as gRPC C++ does) or as entry 1 of the static
//! table. Bytes may come in pieces of any size.
//! Anything unexpected ends the repair and leaves the connection to h2, which knows how to refuse it.

/// Length of the client's connection preface.
const PREFACE_LEN: usize = 24;
const FRAME_HEADER_LEN: usize = 9;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
const PRIORITY_LEN: usize = 5;

/// Index of `:authority` in HPACK's static table.
const AUTHORITY_INDEX: u32 = 1;
const AUTHORITY: &[u8; 10] = b":authority";

/// Rewrites the stream of one connection, from its first byte on.
#[derive(Debug)]
pub(crate) struct AuthorityRepair {
    state: State,
    block: Block,
}

#[derive(Debug)]
enum State {
    Preface {
        left: usize,
    },
    FrameHeader {
        bytes: [u8; FRAME_HEADER_LEN],
        filled: usize,
    },
    /// The pad length and the priority fields before a HEADERS frame's block.
    BeforeBlock {
        left: usize,
        pad_byte_next: bool,
        skip: usize,
        end_headers: bool,
    },
    /// A fragment of a header block, then padding.
    Block {
        left: usize,
        padding: usize,
        end_headers: bool,
    },
    Skip {
        left: usize,
    },
    /// Something that is no HTTP/2: nothing is changed any more.
    Off,
}

impl AuthorityRepair {
    /// At the start of a connection.
    pub(crate) fn new() -> Self {
        Self { state: State::Preface { left: PREFACE_LEN }, block: Block::Representation }
    }

    /// Overwrites, in the next `bytes` of the connection, what h2 would refuse in the value of `:authority`.
    pub(crate) fn process(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = self.step(bytes);
            bytes = &mut bytes[taken..];
        }
    }

    /// Takes at least one byte of `bytes`, which has one; returns how many.
    fn step(&mut self, bytes: &mut [u8]) -> usize {
        match &mut self.state {
            State::Preface { left } | State::Skip { left } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                if *left == 0 {
                    self.state = State::next_frame();
                }
                taken
            }
            State::FrameHeader { bytes: header, filled } => {
                let taken = bytes.len().min(FRAME_HEADER_LEN - *filled);
                header[*filled..*filled + taken].copy_from_slice(&bytes[..taken]);
                *filled += taken;
                if *filled == FRAME_HEADER_LEN {
                    let header = *header;
                    self.state = State::of_frame(header);
                }
                taken
            }
            State::BeforeBlock { left, pad_byte_next, skip, end_headers } => {
                let mut padding = 0;
                if *pad_byte_next {
                    padding = usize::from(bytes[0]);
                    *pad_byte_next = false;
                } else {
                    *skip -= 1;
                }
                *left -= 1;
                let (left, skip, end_headers) = (*left, *skip, *end_headers);
                if padding + skip > left {
                    self.state = State::Off;
                } else if padding > 0 {
                    // The padding is known: it stands at the end, so the priority fields can be skipped by hand.
                    self.state = State::Block { left: left - padding, padding, end_headers };
                    self.block = Block::Skip { left: skip };
                    self.end_fragment_if_over();
                } else if skip == 0 {
                    self.state = State::Block { left, padding: 0, end_headers };
                    self.end_fragment_if_over();
                }
                1
            }
            State::Block { left, .. } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                for byte in &mut bytes[..taken] {
                    self.block = std::mem::replace(&mut self.block, Block::Off).next(byte);
                }
                self.end_fragment_if_over();
                taken
            }
            State::Off => bytes.len(),
        }
    }

    fn end_fragment_if_over(&mut self) {
        if let State::Block { left: 0, padding, end_headers } = self.state {
            if end_headers {
                self.block = Block::Representation;
            }
            self.state = if padding > 0 { State::Skip { left: padding } } else { State::next_frame() };
        }
    }
}

impl Default for AuthorityRepair {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn next_frame() -> Self {
        Self::FrameHeader { bytes: [0; FRAME_HEADER_LEN], filled: 0 }
    }

    fn of_frame([l0, l1, l2, kind, flags, ..]: [u8; FRAME_HEADER_LEN]) -> Self {
        let left = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
        let end_headers = flags & END_HEADERS != 0;
        match kind {
            _ if left == 0 => Self::next_frame(),
            HEADERS => {
                let pad_byte_next = flags & PADDED != 0;
                let skip = if flags & PRIORITY != 0 { PRIORITY_LEN } else { 0 };
                if pad_byte_next || skip > 0 {
                    Self::BeforeBlock { left, pad_byte_next, skip, end_headers }
                } else {
                    Self::Block { left, padding: 0, end_headers }
                }
            }
            CONTINUATION => Self::Block { left, padding: 0, end_headers },
            _ => Self::Skip { left },
        }
    }
}

/// The place in a header block where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// At the first byte of a representation.
    Representation,
    /// In the following bytes of an index.
    Index {
        value: u32,
        shift: u32,
        literal: bool,
    },
    /// At the first byte of a string's length.
    StringStart {
        role: Role,
    },
    /// In the following bytes of a string's length.
    StringLen {
        value: u32,
        shift: u32,
        role: Role,
    },
    /// In a string's bytes.
    StringBytes {
        left: u32,
        role: Role,
    },
    /// Before the block: bytes of a frame's priority fields.
    Skip {
        left: usize,
    },
    Off,
}

/// The role of a string in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A name; `matched` bytes of it are those of [`AUTHORITY`], `None` once one was not.
    Name { matched: Option<usize> },
    /// A value, to be rewritten or not.
    Value { rewrite: bool },
}

impl Block {
    fn next(self, byte: &mut u8) -> Self {
        match self {
            Self::Representation => Self::first(*byte),
            Self::Index { value, shift, literal } => match continued(*byte, value, shift) {
                Integer::More { value, shift } => Self::Index { value, shift, literal },
                Integer::Done(value) => Self::after_index(value, literal),
                Integer::TooLarge => Self::Off,
            },
            Self::StringStart { role } => {
                let role = if *byte & 0x80 != 0 { role.huffman() } else { role };
                match u32::from(*byte & 0x7f) {
                    0x7f => Self::StringLen { value: 0x7f, shift: 0, role },
                    len => Self::string(len, role),
                }
            }
            Self::StringLen { value, shift, role } => match continued(*byte, value, shift) {
                Integer::More { value, shift } => Self::StringLen { value, shift, role },
                Integer::Done(len) => Self::string(len, role),
                Integer::TooLarge => Self::Off,
            },
            Self::StringBytes { left, role } => {
                let role = match role {
                    Role::Name { matched } => Role::Name {
                        matched: matched.filter(|at| AUTHORITY.get(*at) == Some(byte)).map(|at| at + 1),
                    },
                    Role::Value { rewrite } => {
                        if rewrite && !(byte.is_ascii_alphanumeric() || b".-_".contains(byte)) {
                            *byte = b'-';
                        }
                        role
                    }
                };
                Self::string(left - 1, role)
            }
            Self::Skip { left } if left > 1 => Self::Skip { left: left - 1 },
            Self::Skip { left: 1 } => Self::Representation,
            // No priority fields: this byte already belongs to the block.
            Self::Skip { .. } => Self::first(*byte),
            Self::Off => Self::Off,
        }
    }

    fn first(byte: u8) -> Self {
        let (prefix_mask, literal) = match byte {
            0x80.. => (0x7f, false),
            0x40..=0x7f => (0x3f, true),
            // A new size of the dynamic table.
            0x20..=0x3f => (0x1f, false),
            // Literals that are not, or never, indexed.
            _ => (0x0f, true),
        };
        match byte & prefix_mask {
            prefix if prefix == prefix_mask => Self::Index { value: u32::from(prefix), shift: 0, literal },
            index => Self::after_index(u32::from(index), literal),
        }
    }

    fn after_index(index: u32, literal: bool) -> Self {
        if !literal {
            return Self::Representation;
        }
        let role = match index {
            0 => Role::Name { matched: Some(0) },
            index => Role::Value { rewrite: index == AUTHORITY_INDEX },
        };
        Self::StringStart { role }
    }

    /// With `left` bytes of a string to come.
    fn string(left: u32, role: Role) -> Self {
        match (left, role) {
            (0, Role::Value { .. }) => Self::Representation,
            (0, Role::Name { matched }) => {
                Self::StringStart { role: Role::Value { rewrite: matched == Some(AUTHORITY.len()) } }
            }
            _ => Self::StringBytes { left, role },
        }
    }
}

impl Role {
    /// The same, coded with Huffman's code: its bytes are not compared and not rewritten. Neither gRPC C++ nor any
    /// client known to send a path codes it so.
    fn huffman(self) -> Self {
        match self {
            Self::Name { .. } => Self::Name { matched: None },
            Self::Value { .. } => Self::Value { rewrite: false },
        }
    }
}

enum Integer {
    More { value: u32, shift: u32 },
    Done(u32),
    TooLarge,
}

/// One more byte of an integer that did not fit its prefix (RFC 7541, section 5.1).
fn continued(byte: u8, value: u32, shift: u32) -> Integer {
    // 21 bits are more than any header that h2 takes.
    if shift > 14 {
        return Integer::TooLarge;
    }
    let value = value + (u32::from(byte & 0x7f) << shift);
    if byte & 0x80 == 0 { Integer::Done(value) } else { Integer::More { value, shift: shift + 7 } }
}

#[cfg(test)]
mod tests;
