//! A directory served over FUSE as famfs's daemon serves a mount (commit 5d0919f): statfs of a file is an error, and so
//! is fallocate; locks on files are the daemon's to keep.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyStatfs, ReplyWrite, Request, WriteFlags,
};

/// A directory that is served over FUSE at another path, until this is dropped.
pub struct FuseMount {
    session: Option<BackgroundSession>,
    root: PathBuf,
    locked: Arc<Mutex<Vec<PathBuf>>>,
}

impl FuseMount {
    /// Serves `directory` at `at`, which is made. An error where the system does not let this process mount.
    ///
    /// # Errors
    /// The system's reason.
    ///
    /// # Panics
    /// If there is no directory.
    pub fn of(directory: &Path, at: &Path) -> io::Result<Self> {
        std::fs::create_dir(at).expect("a directory can be made");
        let locked = Arc::default();
        let nodes = vec![Node { path: directory.to_owned(), file: None }];
        let mirror = Mirror { nodes: Mutex::new(nodes), locked: Arc::clone(&locked) };
        let mut config = Config::default();
        config.mount_options.push(MountOption::FSName("famfs-stand-in".to_owned()));
        let session = fuser::spawn_mount(mirror, at, &config)?;
        Ok(Self { session: Some(session), root: at.to_owned(), locked })
    }

    /// Returns where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The files below the directory for which locks were asked, in the order in which they were.
    pub fn locked(&self) -> Vec<PathBuf> {
        lock(&self.locked).clone()
    }
}

impl Drop for FuseMount {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // A test that fails with the mount in use says so itself.
            let _ = session.umount_and_join();
        }
    }
}

struct Mirror {
    /// By inode number, from 1; the first is the root. None is forgotten.
    nodes: Mutex<Vec<Node>>,
    locked: Arc<Mutex<Vec<PathBuf>>>,
}

struct Node {
    path: PathBuf,
    file: Option<Arc<File>>,
}

impl Mirror {
    fn path(&self, ino: INodeNo) -> Result<PathBuf, Errno> {
        lock(&self.nodes).get(index(ino)).map(|node| node.path.clone()).ok_or(Errno::ENOENT)
    }

    fn file(&self, ino: INodeNo) -> Result<Arc<File>, Errno> {
        let mut nodes = lock(&self.nodes);
        let node = nodes.get_mut(index(ino)).ok_or(Errno::ENOENT)?;
        if let Some(file) = &node.file {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(&node.path)?);
        node.file = Some(Arc::clone(&file));
        Ok(file)
    }

    fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let path = self.path(parent)?.join(name);
        let found = std::fs::metadata(&path)?;
        let mut nodes = lock(&self.nodes);
        let there = nodes.iter().position(|node| node.path == path);
        let at = there.unwrap_or(nodes.len());
        if there.is_none() {
            nodes.push(Node { path, file: None });
        }
        Ok(attributes(INodeNo(at as u64 + 1), &found))
    }

    fn attributes(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        Ok(attributes(ino, &std::fs::metadata(self.path(ino)?)?))
    }

    fn read_up_to(&self, ino: INodeNo, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; size as usize];
        let file = self.file(ino)?;
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(&mut bytes[done..], offset + done as u64)? {
                0 => break,
                more => done += more,
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }
}

impl Filesystem for Mirror {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        config
            .add_capabilities(InitFlags::FUSE_FLOCK_LOCKS)
            .map_err(|_| io::Error::other("this kernel keeps locks to itself"))
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.find(parent, name) {
            Ok(found) => reply.entry(&Duration::ZERO, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino) {
            Ok(found) => reply.attr(&Duration::ZERO, &found),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read_up_to(ino, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.file(ino).and_then(|file| Ok(file.write_all_at(data, offset)?)) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(error),
        }
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.path(ino) {
            Ok(path) if path.is_dir() => reply.statfs(0, 0, 0, 0, 0, 512, 255, 0),
            Ok(_) => reply.error(Errno::EBADF),
            Err(error) => reply.error(error),
        }
    }

    fn setlk(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        _start: u64,
        _end: u64,
        _typ: i32,
        _pid: u32,
        _sleep: bool,
        reply: ReplyEmpty,
    ) {
        if let Ok(path) = self.path(ino) {
            lock(&self.locked).push(path);
        }
        reply.ok();
    }
}

fn attributes(ino: INodeNo, found: &Metadata) -> FileAttr {
    FileAttr {
        ino,
        size: found.len(),
        blocks: found.blocks(),
        // Those of the files change with each page that is written back, and the kernel would drop its cache.
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if found.is_dir() { FileType::Directory } else { FileType::RegularFile },
        perm: u16::try_from(found.mode() & 0o7777).unwrap_or(0o600),
        nlink: 1,
        uid: found.uid(),
        gid: found.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn index(ino: INodeNo) -> usize {
    usize::try_from(u64::from(ino)).map_or(usize::MAX, |ino| ino.wrapping_sub(1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
