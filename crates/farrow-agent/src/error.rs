//! Errors of requests.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use arrow_schema::ArrowError;
use bytes::Bytes;
use farrow_ipc::IpcError;
use farrow_proto::{Advice, FramingError};
use farrow_region::RegionError;
use farrow_region::counted;
use farrow_region::shell::operand;
use farrow_store::{FrameName, StoreError, Version};
use uuid::Uuid;

use crate::rights::Right;

/// The reasons why a request was refused or failed. `status.rs` says what each becomes for the caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Bytes that are no Arrow IPC file that farrow takes.
    #[error(transparent)]
    Ipc(IpcError),
    /// The bytes of an Arrow file that another program put into famfs are none, or cannot be served.
    #[error(
        "famfs file `{name}` of {len} bytes: {source}. If it is still being written (famfs names a file before its \
         bytes are there), try again"
    )]
    Foreign {
        /// The file.
        name: FrameName,
        /// Its length.
        len: u64,
        /// The problem.
        source: IpcError,
    },
    /// An Arrow file that another program may still be writing.
    #[error(
        "famfs file `{name}`: {by} has the famfs log locked, and may still be writing the file that the log names \
         already. Try again when it has ended"
    )]
    BeingWritten {
        /// The file.
        name: FrameName,
        /// The holder of the lock, in words.
        by: String,
    },
    /// The medium failed.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// A ticket or descriptor that is none of farrow's.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The region's path cannot be resolved.
    #[error("region {}: {source}", path.display())]
    Medium {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Arrow could not encode what is stored.
    #[error("encode for the wire: {0}")]
    Arrow(#[source] ArrowError),
    /// The body of an action is no message of that action.
    #[error(
        "action {action}: its body of {len} bytes is not the message that proto/farrow/v1/actions.proto names for it"
    )]
    Body {
        /// The action's type.
        action: &'static str,
        /// Bytes of the body.
        len: usize,
        /// The decoder's reason.
        #[source]
        source: prost::DecodeError,
    },
    /// A Flight descriptor that names no frame.
    #[error(
        "descriptor of type {found}: a frame is named by a PATH descriptor, its components joined by '/'"
    )]
    Descriptor {
        /// The type found.
        found: &'static str,
    },
    /// A request about a name and a prefix at once.
    #[error("one request for {name:?} and for the prefix {prefix:?}: name one of the two")]
    NameAndPrefix {
        /// The name.
        name: String,
        /// The prefix.
        prefix: String,
    },
    /// A retention that is taken back and set by one request.
    #[error(
        "a retention of {} and {} that is unset: leave out `unset` to set it, or both numbers to take it back",
        counted(*last, "version"), counted(*max_age_seconds, "second")
    )]
    UnsetAndSet {
        /// The number of versions in the request.
        last: u64,
        /// The age in the request, in seconds.
        max_age_seconds: u64,
    },
    /// A ticket of another region.
    #[error("ticket for region {}, this agent serves region {here}: ask this agent for a ticket", hex(found))]
    ForeignTicket {
        /// The UUID in the ticket.
        found: Bytes,
        /// This region's.
        here: Uuid,
    },
    /// A ticket that GetFlightInfo has not given: its version has another commit.
    #[error(
        "the ticket names commit {ticketed} for `{frame}`, which is commit {found}. Ask for a new ticket"
    )]
    StaleTicket {
        /// Name and number.
        frame: String,
        /// The commit in the ticket.
        ticketed: u64,
        /// The commit of what is there.
        found: u64,
    },
    /// An endpoint without a ticket and without a lease: it names nothing.
    #[error("an endpoint with neither a ticket nor a lease names nothing: send one that GetFlightInfo gave")]
    NoTicket,
    /// More of something in one request than is taken.
    #[error("{count} {what}, at most {limit} are taken: ask several times")]
    TooMany {
        /// The word for them.
        what: &'static str,
        /// The number that came.
        count: usize,
        /// The most that may come.
        limit: usize,
    },
    /// A DoExchange that is no session.
    #[error("DoExchange with the descriptor {found}: what is offered is the command `farrow.session.v1`")]
    NoSession {
        /// The descriptor found, in words.
        found: String,
    },
    /// A message that no client may send in a session.
    #[error("session: {what}. It ends here; proto/farrow/v1/session.proto says who sends what")]
    Session {
        /// The problem.
        what: String,
    },
    /// A session in a version that this agent does not speak.
    #[error(
        "session in version {offered:?} of its protocol, this agent speaks 1: use programs of one release"
    )]
    SessionVersions {
        /// The versions that the client speaks.
        offered: Vec<u32>,
    },
    /// A request of a session that is of no kind this agent knows.
    #[error("request {seq} is of no kind that this agent knows: use an agent and a client of one release")]
    UnknownRequest {
        /// Its number.
        seq: u64,
    },
    /// A client's stream broke off.
    #[error("the client's stream broke off: {}", .0.message())]
    Stream(#[source] tonic::Status),
    /// A request to the map socket about another region.
    #[error(
        "map socket: asked for region {}, this agent serves {here}: ask its agent for the frame again",
        hex(found)
    )]
    OtherRegion {
        /// The UUID in the request.
        found: Bytes,
        /// This region's.
        here: Uuid,
    },
    /// A request to the map socket for a file that there is not.
    #[error(
        "map socket: no file of this region has index {index:#x}: ask for a PoolFile.index of a mapping descriptor"
    )]
    NoSuchFile {
        /// The index in the request.
        index: u32,
    },
    /// A request to the map socket that cannot be one.
    #[error(
        "map socket: a request of {len} bytes, it has at most {most} (proto/farrow/v1/map_socket.proto). Flight is \
         spoken on the other socket"
    )]
    MapRequest {
        /// The length that it gives.
        len: usize,
        /// The most that it may give.
        most: usize,
    },
    /// A user with too many connections to the map socket.
    #[error("map socket: {} of user {uid} wait already: try again", counted(*count, "connection"))]
    MapConnections {
        /// The most that are served at once.
        count: usize,
        /// The user.
        uid: u32,
    },
    /// Children cannot be counted.
    #[error("no page for this process, so that its forked children cannot read what it maps: {why}")]
    NoPages {
        /// The reason why the agent gives none.
        why: String,
    },
    /// A descriptor could not be passed on.
    #[error("map socket: pass a descriptor: {0}")]
    Pass(#[source] std::io::Error),
    /// A request that gives something to a process came from nowhere the kernel knows.
    #[error("{verb} gives memory to a process of this host, and {}", unknown_process(*address))]
    NeedsUnixSocket {
        /// The verb or action.
        verb: &'static str,
        /// The address that the request came from, over TCP.
        address: Option<SocketAddr>,
    },
    /// No rule lets the caller do that.
    #[error("{caller} may not {right} {what}: {has}. Ask the operator for a [[rights]] rule")]
    Denied {
        /// The caller.
        caller: String,
        /// The right that is missing.
        right: Right,
        /// On what.
        what: String,
        /// The caller's rights.
        has: String,
    },
    /// An `authorization` header without a known token.
    #[error(
        "{caller} has sent a token that this agent does not know. Try: the operator's token in $FARROW_TOKEN or the \
         file $FARROW_TOKEN_FILE (on the wire: `authorization: Bearer TOKEN`); or none"
    )]
    BadToken {
        /// The caller, apart from the token.
        caller: String,
    },
    /// A reservation that is not the caller's.
    #[error("{what} {id} is not held by pid {pid}: it ended, or it is another process's")]
    NotHeld {
        /// The kind of thing that was named.
        what: &'static str,
        /// Its number.
        id: u64,
        /// The caller.
        pid: u32,
    },
    /// A commit of more than was reserved.
    #[error("commit of {len} bytes into a reservation of {reserved}: reserve the exact size first")]
    LongerThanReserved {
        /// Bytes to be committed.
        len: u64,
        /// Bytes reserved.
        reserved: u64,
    },
    /// A commit that names its segments in both ways.
    #[error(
        "a commit names the reservation {reservation} and a list of {}: put all of them into the \
         list, or the only one into `reservation` and `len`",
        counted(*segments, "segment")
    )]
    CommittedTwofold {
        /// The one outside the list; 0 if only its length is there.
        reservation: u64,
        /// Segments in the list.
        segments: usize,
    },
    /// A commit of a reservation that another request commits.
    #[error("reservation {id} is being committed by an earlier request: wait for its answer")]
    BeingCommitted {
        /// The reservation.
        id: u64,
    },
    /// A commit whose caller went away before it was published.
    #[error("the caller of this commit went away before it was done: nothing was published")]
    Abandoned,
    /// A commit that names a reservation twice.
    #[error("reservation {id} is in this commit twice: each segment has a reservation of its own")]
    SameReservation {
        /// The reservation.
        id: u64,
    },
    /// Segments of one commit that are not of one schema.
    #[error(
        "segment {segment} of this commit has another schema than the first: {difference}. A version has one schema"
    )]
    MixedSchemas {
        /// Its place in the request, from 0.
        segment: usize,
        /// The first difference, in words.
        difference: String,
    },
    /// Something is appended to a frame of another schema.
    #[error("appended to `{name}@{version}`, which has another schema{}", told(difference))]
    OtherSchema {
        /// The frame to which it was to be appended.
        name: FrameName,
        /// Its latest version.
        version: u64,
        /// The first difference and what to do, in words, for who may read the frame; else empty.
        difference: String,
        /// The remedy, if there is one.
        advice: Option<Advice>,
    },
    /// A command that is none.
    #[error(
        "the command is none that this agent knows: {error}. It is JSON: {{\"name\": \"sales/orders\", \"columns\": \
         [\"id\"], \"rows\": [0, 100]}}, without columns or rows for all of them (proto/README.md)"
    )]
    Command {
        /// The problem with it.
        error: serde_json::Error,
    },
    /// Rows that end before they begin.
    #[error("rows {from} to {to}: expected the first row, from 0, and the one behind the last")]
    Rows {
        /// The first.
        from: u64,
        /// The one behind the last.
        to: u64,
    },
    /// A column that a frame does not have.
    #[error("`{frame}` has no column `{column}`; it has {columns}")]
    NoColumn {
        /// The frame.
        frame: FrameName,
        /// The requested column.
        column: String,
        /// The names of the columns that there are, or of the first of them.
        columns: String,
    },
    /// A DoPut that wants something unknown.
    #[error("{header}: {found:?}; it is {expected}, or left out")]
    PutHeader {
        /// The header's name.
        header: &'static str,
        /// The accepted values, in words.
        expected: &'static str,
        /// The header's value.
        found: String,
    },
    /// A DoPut to a version that it names itself.
    #[error("`{name}@{version}` is put: the agent numbers versions itself. Name the frame alone, `{name}`")]
    PutVersion {
        /// The frame.
        name: FrameName,
        /// The version asked for.
        version: u64,
    },
    /// As many DoPuts as are taken at a time.
    #[error(
        "{puts} DoPut streams are under way, {has} of them this user's, which may have no more than are left to others \
         (limits.puts of the agent): try again when one has ended"
    )]
    Busy {
        /// The number of the user's DoPuts.
        has: usize,
        /// The number of all DoPuts.
        puts: usize,
    },
    /// A DoPut whose client went away, or gave up, before it had said that all rows were sent.
    #[error("the stream ended before its client had completed it: nothing was published")]
    CutOff,
    /// A reservation for which nobody waits any more.
    #[error("the caller has given up: nothing is reserved")]
    GivenUp,
    /// A DoPut whose client sends nothing any more.
    #[error("no message came for {limit:?} (limits.stall of the agent): nothing was published")]
    NothingSent {
        /// The time that it was waited for.
        limit: Duration,
    },
    /// A request that was begun, and not completed in time.
    #[error(
        "a request of which {came} bytes came was not complete {limit:?} after the first of them: send it again"
    )]
    Incomplete { came: u64, limit: Duration },
    /// A message of a stream could not be received.
    #[error("receive a message: {0}")]
    Received(#[source] Box<tonic::Status>),
    /// A message of a DoPut that is none, or too long.
    #[error("a message of the put is refused: {why}")]
    PutMessage {
        /// The problem with it.
        why: String,
    },
    /// A segment that no one mapping of a mounted famfs can hold.
    #[error(
        "a segment's {extents} extents are in several pool files, which a mounted famfs does not map side by side. \
         Publish it anew: `farrow put NAME FILE`"
    )]
    SeveralFiles {
        /// The number of its extents.
        extents: usize,
    },
    /// A foreign file was to be compared with what its commit recorded.
    #[error(
        "`{name}` is a famfs file that another program made: no checksums of it were recorded, and every reader \
         validates it. Try: `farrow get -o FILE {}`",
        operand(name)
    )]
    NothingRecorded {
        /// The file.
        name: FrameName,
    },
    /// A segment is not what was committed.
    #[error("`{frame}` is not what was committed: segment {segment}, {source}")]
    Differs {
        /// The version.
        frame: String,
        /// The segment, from 0.
        segment: usize,
        /// The difference.
        source: IpcError,
    },
    /// A user with as many streams as it may have.
    #[error(
        "{has} of {} are this user's, and it may have no more than are left to others (limits.streams of the agent): try \
         again when one has ended",
        counted(*all, "stream")
    )]
    ManyStreams {
        /// The number of the user's streams.
        has: usize,
        /// The number of all streams.
        all: usize,
    },
    /// A stream of a user whose streams have as much metadata in memory as they may.
    #[error(
        "metadata and dictionaries of this frame take {needs} bytes of memory, and this user's streams have {has} \
         already, of limits.stream-bytes of the agent: try again when one has ended, or read fewer frames at a time"
    )]
    ManyOpen {
        /// Bytes for this stream.
        needs: u64,
        /// Bytes of all streams of its user.
        has: u64,
    },
    /// A request for names whose answer would be too long.
    #[error(
        "to say where the {names} frames lie takes about {bytes} bytes, at most {limit} are sent in one answer: ask for \
         fewer names at a time"
    )]
    LongAnswer {
        /// Frames that are there.
        names: usize,
        /// Bytes of the answer.
        bytes: u64,
        /// Most bytes of an answer for more than one name.
        limit: u64,
    },
    /// A user with as many leases as it may have.
    #[error(
        "processes of user {uid} have {}; all users have {all} of {limit} (limits.leases of the agent), and one may have \
         no more than are left to others. Try: release frames (`farrow leases` tells which processes map them), or ask \
         whoever runs the agent to raise limits.leases",
        counted(*has, "lease")
    )]
    ManyLeases {
        /// The user.
        uid: u32,
        /// The number that it has.
        has: u64,
        /// The number that all users have.
        all: u64,
        /// The most that there may be.
        limit: usize,
    },
    /// A user with as many processes that hold something as it may have.
    #[error(
        "user {uid} has {} that have mapped or written something and still run; all users have {all} of {limit}, and one may \
         have no more than are left to others: each takes a file descriptor of the agent. Try: end some of them (`farrow \
         leases` tells those that hold a frame), or ask whoever runs the agent for more descriptors (LimitNOFILE= of a \
         systemd unit)",
        counted(*has, "process")
    )]
    ManyProcesses {
        /// The user.
        uid: u32,
        /// The number that it has.
        has: u64,
        /// The number that all users have.
        all: u64,
        /// The most that there may be.
        limit: u64,
    },
    /// A user with as many sessions, watches, health watches, or incomplete requests as it may have.
    #[error(
        "{has} {what} are this user's, and it may have no more than are left to others: try again when one has ended"
    )]
    ManyOf {
        /// The word for them.
        what: &'static str,
        /// The number that the user has.
        has: usize,
    },
    /// A client that took nothing, while others of its user waited.
    #[error(
        "the stream was ended: its client took, or sent, nothing for a while, and others of the same user waited for \
         its place. Ask again, and read the rows as they come"
    )]
    GaveWay,
    /// A segment that was changed since its commit, and cannot be read for it.
    #[error(
        "`{frame}` was changed since its commit: segment {segment}, {source}. Try: `farrow verify {}`; then publish it \
         again",
        operand(frame)
    )]
    Damaged {
        /// The version.
        frame: String,
        /// The segment, from 0.
        segment: usize,
        /// The problem.
        source: IpcError,
    },
    /// A client that takes nothing of a stream.
    #[error(
        "the stream was ended: its client took nothing for {limit:?} (limits.stall of the agent). Ask again, and read \
         the rows as they come"
    )]
    Stalled {
        /// The longest time that a stream may stand still.
        limit: Duration,
    },
    /// A version without bytes: the catalog must not hold one.
    #[error("a version without segments: the catalog is damaged. Try: `farrow fsck PATH`")]
    NoSegments,
    /// An action that is not offered.
    #[error("action {name:?} is not offered: ListActions tells which are")]
    UnknownAction {
        /// The type asked for.
        name: String,
    },
    /// A Flight verb that is not offered.
    #[error("{verb} is not offered: use {instead}")]
    Unimplemented {
        /// The verb.
        verb: &'static str,
        /// The verb or action to use instead.
        instead: &'static str,
    },
    /// The record of processes that hold something could not be written.
    #[error(
        "the record of processes that map this region could not be written, so nothing is granted: {0}. \
         Try: make room in the agent's state directory (--state-dir), or make it writable"
    )]
    Holders(#[source] std::io::Error),
    /// The kernel does not tell of the end of processes.
    #[error("the end of a process cannot be watched, so nothing is granted to it: {0}")]
    Watch(#[source] std::io::Error),
    /// Stored bytes could not be read, for no reason that was foreseen.
    #[error("reading what is stored ended in a panic, please report: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// A worker ended without an answer: the agent is stopping, or the request hit a bug.
    #[error("the request was cut off: {0}")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl From<IpcError> for AgentError {
    fn from(error: IpcError) -> Self {
        // Memory that went away is no matter of Arrow.
        let IpcError::Read { position, len, source } = error else { return Self::Ipc(error) };
        match source.downcast::<RegionError>() {
            Ok(lost) => Self::Region(*lost),
            Err(source) => Self::Ipc(IpcError::Read { position, len, source }),
        }
    }
}

impl AgentError {
    /// The problem with the segment of a committed version.
    pub(crate) fn of_segment(version: &Version, segment: usize, source: IpcError) -> Self {
        match Self::from(source) {
            Self::Ipc(IpcError::LargeMessage { place, row, most }) => {
                Self::Ipc(IpcError::LargeMessage { place, row, most })
            }
            Self::Ipc(source) => {
                Self::Damaged { frame: format!("{}@{}", version.name, version.number), segment, source }
            }
            error => error,
        }
    }
}

/// An error and its causes in one line, each said once: some messages hold their cause already.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    message
}

/// A difference of schemas behind what they are of.
fn told(difference: &str) -> String {
    if difference.is_empty() {
        return ". Publish it as a frame of its own".to_owned();
    }
    format!(": {difference}")
}

/// The reason why a request's process is not known, and advice.
fn unknown_process(address: Option<SocketAddr>) -> String {
    match address {
        Some(address) => format!(
            "only the agent's unix socket tells which one (this came from {address}): connect to the unix socket"
        ),
        None => "the kernel does not tell the agent which one this is: it must be in the agent's own pid namespace or \
                 one below it. Run the agent outside the container"
            .to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    Uuid::from_slice(bytes).map_or_else(|_| format!("of {} bytes", bytes.len()), |uuid| uuid.to_string())
}
