//! The errors of a client.

use std::path::PathBuf;

use arrow_schema::ArrowError;
use farrow_ipc::IpcError;
use farrow_proto::{ADVICE_HEADER, Advice, FramingError, REASON_HEADER, Reason, Retry};
use farrow_region::trust::Distrust;
use farrow_region::{FileIdentity, RegionError};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::connection::root_cause;
use crate::map_socket::MapSocketError;
use crate::short::short;

/// The reasons why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// An address that is neither a path nor a URI of a kind that agents serve.
    #[error(
        "address {:?}: expected the path of a unix socket, HOST:PORT, http://HOST:PORT or https://HOST:PORT{}",
        short(found),
        if found.contains("://") || !found.contains(':') { String::new() } else { format!("; a socket of that name is ./{}", short(found)) }
    )]
    Address {
        /// The text that was given as an address.
        found: String,
    },
    /// A host without a port.
    #[error(
        "address {0:?} is a host without a port. Try: {1}:PORT, or ./{0} for a unix socket of that name",
        short(found),
        short(host)
    )]
    NoPort {
        /// The address.
        found: String,
        /// The host, as it stands before a port.
        host: String,
    },
    /// Nobody serves at the address.
    #[error("no agent at {}: {}{}. {}", short(address), short(what), short(passed_over), short(advice))]
    NoAgent {
        /// The place where it was looked for.
        address: String,
        /// The state of the address, in words.
        what: String,
        /// Other places where one is looked for if nobody says, and why it was not taken there; empty, or with a comma
        /// before it.
        passed_over: String,
        /// Advice.
        advice: String,
        /// The connection's error. It is no source of this one: `what` tells it, before the advice.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The agent's socket, or a directory on the way to it, is closed to this process.
    #[error("no permission to connect to {}: {problem}", socket.display())]
    SocketClosed {
        /// The socket.
        socket: PathBuf,
        /// Its owner, the groups that have access, and advice.
        problem: String,
    },
    /// A default place, or a file with a secret, that other users can change or read.
    #[error(transparent)]
    Distrusted(#[from] Distrust),
    /// Another user's process serves where agents are looked for if nobody says.
    #[error(
        "the agent at {} runs as user {peer}, and neither as this user ({user}), nor as root, nor as the directory's owner \
         ({owner}): nothing is sent to it. Name its address, by $FARROW_ADDRESS for example, if it is to be believed",
        path.display()
    )]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// The user of the process that serves there.
        peer: u32,
        /// The owner of the directory.
        owner: u32,
        /// This process's user.
        user: u32,
    },
    /// The two do not come to terms over TLS.
    #[error(
        "TLS with the agent at {}: {source}. The agent's certificate must be signed by a CA in $FARROW_TLS_CA, \
         be valid now and name that host; and the agent must speak TLS there (else: http://)",
        short(address)
    )]
    Tls {
        /// The agent's address.
        address: String,
        /// The root cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A credential that cannot be used.
    #[error("credentials: {what}: {problem}")]
    Credentials {
        /// A file or variable.
        what: String,
        /// The reason why it cannot be used.
        problem: String,
    },
    /// A token would be sent where others can read it.
    #[error(
        "{}: a token is not sent without TLS to another host, where who is on the way could read it: use https://, or \
         unset FARROW_TOKEN and FARROW_TOKEN_FILE",
        short(address)
    )]
    TokenExposed {
        /// The agent's address.
        address: String,
    },
    /// The agent refused, and says why.
    #[error("{message}{}", in_rust(*advice))]
    Refused {
        /// The reason, for programs; `None` if the agent gave none, or one of a later release.
        reason: Option<Reason>,
        /// The gRPC status code.
        code: Code,
        /// The agent's words.
        message: String,
        /// The remedy, if the agent named one that is known here.
        advice: Option<Advice>,
    },
    /// The connection broke, or the agent is gone.
    #[error("the agent at {} does not answer: {message}", short(address))]
    Unavailable {
        /// The agent's address.
        address: String,
        /// gRPC's words.
        message: String,
    },
    /// The agent's answer is not what `proto/` says.
    #[error("the agent's answer cannot be understood: {what}. Use an agent and a client of one release")]
    Answer {
        /// The part of the answer that cannot be understood, in words.
        what: String,
    },
    /// A descriptor that is none of farrow's.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// The region cannot be opened by this process.
    #[error("region {}: {source}", path.display())]
    Open {
        /// The medium's path, as the agent names it.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The agent gave no descriptor of the medium, and its path does not lead to it either.
    #[error("{path}. Asked for a descriptor first: {asked}")]
    NoDescriptor {
        /// The error of opening the path.
        path: Box<Self>,
        /// The error of asking the agent.
        asked: Box<Self>,
    },
    /// The agent could not be asked for a descriptor, or gave none.
    #[error(transparent)]
    MapSocket(#[from] MapSocketError),
    /// The path holds another region than the agent's.
    #[error(
        "region {}: holds region {found}, the agent speaks of {expected}: this process sees another file there than \
         the agent does (a container's mount, perhaps)",
        path.display()
    )]
    OtherRegion {
        /// The medium's path.
        path: PathBuf,
        /// The UUID that the agent named.
        expected: String,
        /// The UUID in the superblock found.
        found: String,
    },
    /// Another file lies at the path than the one that the agent has open.
    #[error(
        "region {}: another file than the agent serves (device {:#x} inode {}, the agent has device {:#x} inode {}): a \
         copy was put in its place, or this process has another mount there. Restart the agent if it is to serve this one",
        path.display(), found.device, found.inode, expected.device, expected.inode
    )]
    OtherFile {
        /// The medium's path.
        path: PathBuf,
        /// The one that the agent has open.
        expected: FileIdentity,
        /// The one that is there.
        found: FileIdentity,
    },
    /// The mapped bytes are not those that the agent has found there.
    #[error(
        "segment {segment}: metadata digest {found:#018x}, the agent found {expected:#018x}: the bytes were changed \
         behind the agent's back, or another program still writes its file. Try: `farrow fsck PATH`"
    )]
    OtherBytes {
        /// The segment's id.
        segment: u64,
        /// The digest in the descriptor.
        expected: u64,
        /// The digest of what is mapped.
        found: u64,
    },
    /// Memory could not be mapped.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The data is no Arrow that farrow takes, or what is stored is damaged.
    #[error("{}{}", .0, in_rust(advice_of(.0)))]
    Ipc(#[from] IpcError),
    /// Arrow could not decode what was streamed.
    #[error("decode the streamed rows: {0}")]
    Arrow(#[source] ArrowError),
    /// The data to be published could not be read to its end.
    #[error("the data's reader failed, and nothing was published: {0}")]
    Reader(#[source] ArrowError),
    /// A writer was used after one of its writes had failed, or was given up.
    #[error(
        "`{}`: a write failed before, or was given up, and nothing of it can be published: begin again with a new \
         writer",
        short(name)
    )]
    Aborted {
        /// The frame's name.
        name: String,
    },
    /// A column that a frame does not have.
    #[error("`{}` has no column `{}`; it has {columns}", short(frame), short(column))]
    NoColumn {
        /// Name and version.
        frame: String,
        /// The column that was asked for.
        column: String,
        /// The names of the columns that there are, or of the first of them.
        columns: String,
    },
    /// A frame was waited for, and is not there yet.
    #[error(
        "`{}` is not there after {waited:?}: nobody has put it yet. Wait longer, or look for its writer",
        short(name)
    )]
    NotYet {
        /// The frame's name, as it was asked for.
        name: String,
        /// The time that it was waited for.
        waited: std::time::Duration,
    },
    /// A client was used in a forked child: its connection and leases are the parent's.
    #[error("connected in process {parent}, used in its forked child {child}: connect again in the child")]
    Forked {
        /// The process that connected.
        parent: u32,
        /// This one.
        child: u32,
    },
    /// A frame that was got before a fork was read in a child that has not inherited what is mapped.
    #[error(
        "mapped in process {parent}, and not inherited by its forked child {child} (the agent gives no pages, or the medium \
         is a PCI BAR): connect and get again in the child"
    )]
    ForkedFrame {
        /// The process that got it.
        parent: u32,
        /// This one.
        child: u32,
    },
    /// The threads that drive requests could not be started in this process.
    #[error("no thread that drives requests can be started: {0}")]
    Runtime(#[source] std::io::Error),
    /// A thread of this process that did the work ended early.
    #[error("the work was cut off: {0}")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl ClientError {
    /// The agent's reason, where it refused and gave one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => *reason,
            _ => None,
        }
    }

    /// The remedy that has another name in each language. [`Display`](std::fmt::Display) names it as Rust does; a program
    /// whose users know it by another name takes [`in_words`](Self::in_words).
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Refused { advice, .. } => *advice,
            Self::Ipc(error) => advice_of(error),
            _ => None,
        }
    }

    /// The error and its causes in one line, as by [`chain`], with the remedy's name of `words`.
    pub fn in_words(&self, words: impl FnOnce(Advice) -> &'static str) -> String {
        match (self, self.advice()) {
            (Self::Refused { message, .. }, Some(advice)) => format!("{message}: {}", words(advice)),
            (Self::Ipc(error), Some(advice)) => format!("{error}: {}", words(advice)),
            _ => chain(self),
        }
    }

    /// True if the same request may succeed when it is made again at once: the connection broke, or the agent's reason
    /// [says so](Reason::retry). The client has done that by itself where it can do no harm (see the crate's page).
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            _ => self.reason().is_some_and(|reason| reason.retry() == Retry::Yes),
        }
    }

    /// Of a request that changes something, and is made only once.
    pub(crate) fn not_asked_again(mut self) -> Self {
        if let Self::Unavailable { message, .. } = &mut self {
            message.push_str(
                ". What was asked for may have been done or not, and was not asked for again: look before you do",
            );
        }
        self
    }

    /// The error that a status from the agent at `address` stands for.
    pub(crate) fn from_status(status: &Status, address: &crate::Address) -> Self {
        let reason = word(status.metadata(), REASON_HEADER).and_then(Reason::parse);
        let advice = word(status.metadata(), ADVICE_HEADER).and_then(Advice::parse);
        // An agent that is told to stop refuses new requests on old connections; tonic calls that INTERNAL.
        let cut_off =
            std::error::Error::source(status).is_some_and(|source| source.is::<tonic::transport::Error>());
        let lost = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled);
        if reason.is_none() && (lost || cut_off) {
            let cause = std::error::Error::source(status).map(root_cause).unwrap_or_default();
            let mut message = status.message().to_owned();
            if !message.contains(&cause) {
                message = format!("{message}: {cause}");
            }
            // The other end is only heard now: of TLS, the client's certificate is looked at last.
            message += match address {
                _ if address.is_tls() => {
                    ". It may refuse this client's certificate ($FARROW_TLS_CERT), or be gone"
                }
                crate::Address::Tcp(_) => ". It may be gone, or speak TLS (https://)",
                crate::Address::Unix(_) | crate::Address::Default(_) => "",
            };
            return Self::Unavailable { address: address.to_string(), message };
        }
        Self::Refused { reason, code: status.code(), message: status.message().to_owned(), advice }
    }
}

/// The value of a header, if it is text.
fn word<'a>(headers: &'a MetadataMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|word| word.to_str().ok())
}

/// The remedy for rows that were refused before they were sent.
fn advice_of(error: &IpcError) -> Option<Advice> {
    matches!(error, IpcError::BatchSchema { fits_by_name: true, .. }).then_some(Advice::ByName)
}

/// The remedy's name in Rust, behind a colon; empty if there is none.
fn in_rust(advice: Option<Advice>) -> &'static str {
    match advice {
        Some(Advice::ByName) => ": `Writer::by_name` or `PutOptions::by_name`",
        Some(_) | None => "",
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

#[cfg(test)]
mod tests;
