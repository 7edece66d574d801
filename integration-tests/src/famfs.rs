//! Other programs on a famfs file system, on its medium.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use famfs_format::{
    ENTRY_LEN, EntryBody, Extent, FILE_FLAGS, FileEntry, FileMap, LOG_HEADER_LEN, LOG_OFFSET, LogEntry,
    LogHeader, MkdirEntry, Namespace, RelPath, SUPERBLOCK_LEN, Superblock, entry_offset,
};

/// A famfs file system that is written behind the agent's back.
pub struct Famfs {
    medium: File,
    superblock: Superblock,
}

impl Famfs {
    /// Opens the file system in the file at `path`.
    ///
    /// # Panics
    /// If there is none.
    pub fn open(path: &Path) -> Self {
        let medium = File::options().read(true).write(true).open(path).expect("a medium");
        let superblock = Superblock::decode(&read(&medium, 0, SUPERBLOCK_LEN)).expect("a superblock");
        Self { medium, superblock }
    }

    /// Copies a file in as `famfs cp` would, but its bytes come first; directories on its way are made. Returns where
    /// its bytes lie on the medium.
    ///
    /// # Panics
    /// If it does not fit.
    pub fn copy_in(&self, path: &str, bytes: &[u8]) -> u64 {
        let extent = self.space(bytes.len() as u64);
        self.write(extent.offset, bytes);
        self.name(path, bytes.len() as u64, FileMap::Simple(vec![extent]));
        extent.offset
    }

    /// Names a file of `len` bytes, all zeros: the state in which `famfs cp` leaves it for a while. Returns where its
    /// bytes are to lie.
    ///
    /// # Panics
    /// If it does not fit.
    pub fn name_only(&self, path: &str, len: u64) -> u64 {
        let extent = self.space(len);
        self.name(path, len, FileMap::Simple(vec![extent]));
        extent.offset
    }

    /// A file that goes round over `count` strips, of which the last come first.
    ///
    /// # Panics
    /// If it does not fit.
    pub fn interleave(&self, path: &str, bytes: &[u8], count: u64) {
        const UNIT: u64 = 2 << 20;
        let chunks: Vec<&[u8]> = bytes.chunks(2 << 20).collect();
        let len = (chunks.len() as u64).div_ceil(count) * UNIT;
        let start = self.space(len * count).offset;
        let strips: Vec<Extent> =
            (0..count).rev().map(|strip| Extent { dev_index: 0, offset: start + strip * len, len }).collect();
        for (index, chunk) in (0..).zip(chunks) {
            let strip = &strips[usize::try_from(index % count).expect("a few strips")];
            self.write(strip.offset + index / count * UNIT, chunk);
        }
        self.name(path, bytes.len() as u64, FileMap::Interleaved { chunk_size: UNIT, strips });
    }

    /// Makes a second file of the memory of the first, as `famfs clone` does.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn clone_of(&self, of: &str, path: &str) {
        let found = self.log().2.file(&RelPath::parse(of).expect("a path")).cloned().expect("a file");
        self.name(path, found.size, found.map);
    }

    /// Writes bytes of the medium.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        self.medium.write_all_at(bytes, offset).expect("the medium can be written");
    }

    /// Writes the log anew with its last entry before all others.
    ///
    /// # Panics
    /// If there is no entry.
    pub fn last_entry_first(&self) {
        let (header, mut entries, _) = self.log();
        entries.rotate_right(1);
        for (seqnum, entry) in (0..header.next_index()).zip(entries) {
            self.put(&LogEntry { seqnum, ..entry });
        }
    }

    fn name(&self, path: &str, size: u64, map: FileMap) {
        let path = RelPath::parse(path).expect("a path");
        if let Some(parent) = path.parent()
            && self.log().2.dir(&parent).is_none()
        {
            self.append(EntryBody::Mkdir(MkdirEntry { path: parent, uid: 0, gid: 0, mode: 0o755 }));
        }
        self.append(EntryBody::File(FileEntry {
            path,
            size,
            flags: FILE_FLAGS,
            uid: 0,
            gid: 0,
            mode: 0o644,
            map,
        }));
    }

    fn append(&self, body: EntryBody) {
        let (header, _, _) = self.log();
        self.put(&LogEntry { seqnum: header.next_index(), body });
        self.write(LOG_OFFSET, &header.advanced().expect("room in the log").encode());
    }

    fn put(&self, entry: &LogEntry) {
        self.write(entry_offset(entry.seqnum), &entry.encode().expect("a good entry"));
    }

    fn space(&self, len: u64) -> Extent {
        self.log().2.allocate(len).expect("space outside the pool")
    }

    fn log(&self) -> (LogHeader, Vec<LogEntry>, Namespace) {
        let header = LogHeader::decode(&read(&self.medium, LOG_OFFSET, LOG_HEADER_LEN), &self.superblock);
        let header = header.expect("a log");
        let mut namespace = Namespace::new(&self.superblock);
        let entries = (0..header.next_index())
            .map(|index| {
                let bytes = read(&self.medium, entry_offset(index), ENTRY_LEN);
                namespace.apply_bytes(&bytes).expect("a good entry")
            })
            .collect();
        (header, entries, namespace)
    }
}

fn read(medium: &File, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    medium.read_exact_at(&mut bytes, offset).expect("the medium can be read");
    bytes
}
