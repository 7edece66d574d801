//! Stands in for the famfs program: does to a directory that looks as a mount does what `famfs mkdir -p` and
//! `famfs creat` do to a mounted famfs, with the same options, locks and log entries.
//!
//! With `FAMFS_STAND_IN_STOPS=PATH` it ends with an error when it has made that file, but not logged it.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use famfs_format::{
    ENTRY_LEN, EntryBody, FILE_FLAGS, FileEntry, FileMap, LOG_HEADER_LEN, LOG_OFFSET, LogEntry, LogHeader,
    MkdirEntry, Namespace, RelPath, SUPERBLOCK_LEN, Superblock, entry_offset,
};
use rustix::fs::{FlockOperation, flock};

/// The bytes in memory that was somebody else's.
static OLD: [u8; 65536] = [0xa5; 65536];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.as_slice() {
        ["mkdir", "-p", "-m", mode, path] => mkdir(Path::new(path), octal(mode)),
        ["creat", "-C", "0", "-N", "0", "-B", "0", "-m", mode, "-s", size, path] => {
            creat(Path::new(path), size.parse().expect("bytes"), octal(mode))
        }
        other => Err(format!("not understood: {other:?}")),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    writeln!(std::io::stderr(), "famfs stand-in: {error}").expect("stderr");
    ExitCode::FAILURE
}

fn octal(mode: &str) -> u32 {
    u32::from_str_radix(mode, 8).expect("an octal mode")
}

fn mkdir(path: &Path, mode: u32) -> Result<(), String> {
    let mut log = Log::of(path);
    let mut missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    while let Some(directory) = missing.pop() {
        fs::create_dir(directory).map_err(|error| error.to_string())?;
        let path = log.relative(directory);
        log.append(EntryBody::Mkdir(MkdirEntry { path, uid: 0, gid: 0, mode }))?;
    }
    Ok(())
}

fn creat(path: &Path, size: u64, mode: u32) -> Result<(), String> {
    if let Ok(found) = fs::metadata(path) {
        let same = found.is_file() && found.len() == size;
        return if same { Ok(()) } else { Err(format!("{}: another size", path.display())) };
    }
    let mut log = Log::of(path);
    let extent = log.namespace.allocate(size).map_err(|error| error.to_string())?;
    let file = File::create_new(path).map_err(|error| error.to_string())?;
    file.set_len(size).map_err(|error| error.to_string())?;
    let old = OLD.len().min(usize::try_from(size).unwrap_or(OLD.len()));
    file.write_all_at(&OLD[..old], 0).map_err(|error| error.to_string())?;
    let path = log.relative(path);
    if std::env::var("FAMFS_STAND_IN_STOPS").is_ok_and(|stop| stop == path.as_str()) {
        return Err(format!("told to stop at {path}"));
    }
    let map = FileMap::Simple(vec![extent]);
    log.append(EntryBody::File(FileEntry { path, size, flags: FILE_FLAGS, uid: 0, gid: 0, mode, map }))
}

/// The log of the mount that a path lies in, locked as long as this is there.
struct Log {
    root: PathBuf,
    file: File,
    header: LogHeader,
    namespace: Namespace,
}

impl Log {
    fn of(path: &Path) -> Self {
        let root = path.ancestors().find(|path| path.join(".meta/.log").exists()).expect("under a mount");
        let file = OpenOptions::new().read(true).write(true).open(root.join(".meta/.log")).expect("a log");
        flock(&file, FlockOperation::LockExclusive).expect("a lock");
        let mut bytes = [0; SUPERBLOCK_LEN];
        let first = File::open(root.join(".meta/.superblock")).expect("a superblock");
        first.read_exact_at(&mut bytes, 0).expect("a superblock");
        let superblock = Superblock::decode(&bytes).expect("a superblock");
        let mut bytes = [0; LOG_HEADER_LEN];
        file.read_exact_at(&mut bytes, 0).expect("a log header");
        let header = LogHeader::decode(&bytes, &superblock).expect("a log header");
        let mut namespace = Namespace::new(&superblock);
        for index in 0..header.next_index() {
            let mut bytes = [0; ENTRY_LEN];
            file.read_exact_at(&mut bytes, entry_offset(index) - LOG_OFFSET).expect("an entry");
            namespace.apply_bytes(&bytes).expect("a valid entry");
        }
        Self { root: root.to_owned(), file, header, namespace }
    }

    fn relative(&self, path: &Path) -> RelPath {
        let path = path.strip_prefix(&self.root).expect("under the mount");
        RelPath::parse(path.to_str().expect("a plain path")).expect("a path of the log")
    }

    fn append(&mut self, body: EntryBody) -> Result<(), String> {
        let entry = LogEntry { seqnum: self.header.next_index(), body };
        self.namespace.apply(&entry).map_err(|error| error.to_string())?;
        self.header = self.header.advanced().map_err(|error| error.to_string())?;
        let bytes = entry.encode().map_err(|error| error.to_string())?;
        let at = entry_offset(entry.seqnum) - LOG_OFFSET;
        self.file.write_all_at(&bytes, at).map_err(|error| error.to_string())?;
        self.file.write_all_at(&self.header.encode(), 0).map_err(|error| error.to_string())
    }
}
