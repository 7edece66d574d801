//! Verbs that look at a medium.

use std::path::PathBuf;

use clap::{Args as Group, ValueEnum};
use famfs_format::FormatVersion;
use farrow_proto::Size;

#[derive(Debug, Group)]
pub(crate) struct Mkfs {
    /// The place: a file, made or replaced (in a tmpfs such as /dev/shm it is memory), a device, or the mount point of a
    /// famfs, where farrow's files are made by the famfs program
    pub(crate) path: PathBuf,
    /// Bytes of the region: 4G, 64MiB; K, M, G and T are powers of 1024. famfs's own tools take no device under 4G,
    /// farrow does [default: the file's size, if it is there]. On a mounted famfs bytes of the pool [default: all that
    /// is free]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<Size>,
    /// Bytes of the famfs log: a power of two of at least 8M, which has room for 15420 files [default: 8M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) log_len: Option<Size>,
    /// Bytes of the catalog: a multiple of 4K. A version of one page, put or appended, needs about 420 [default: a ninth of
    /// catalog and pool together, of more than 1152M less: small regions can be full of such versions]
    #[arg(long, value_name = "SIZE")]
    pub(crate) catalog: Option<Size>,
    /// Version of the famfs format; a famfs tool reads exactly the one that it was built for [default: 2.2]
    #[arg(long, value_enum)]
    pub(crate) omf: Option<Omf>,
    /// Bytes left outside the pool, for other programs' famfs files for farrow export, and for farrow grow
    #[arg(long, value_name = "SIZE", default_value = "0")]
    pub(crate) reserve: Size,
    /// The famfs program, which makes the files on a mounted famfs [default: $FARROW_FAMFS, else famfs]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) famfs: Option<PathBuf>,
    /// File with this host's system UUID [default: /opt/famfs/system_uuid, or derived from /etc/machine-id]
    #[arg(long, value_name = "FILE")]
    pub(crate) system_uuid_file: Option<PathBuf>,
    /// Replace a file system that is there, with everything in it; on a mounted famfs, empty the region
    #[arg(long)]
    pub(crate) force: bool,
}

/// The famfs on-media format, by the numbers in the superblock.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Omf {
    /// Version 48: famfs from commit 5d0919f on
    #[value(name = "2.2")]
    V48,
    /// Version 47: famfs before it
    #[value(name = "2.1")]
    V47,
}

impl From<Omf> for FormatVersion {
    fn from(omf: Omf) -> Self {
        match omf {
            Omf::V48 => Self::V48,
            Omf::V47 => Self::V47,
        }
    }
}

#[derive(Debug, Group)]
pub(crate) struct Fsck {
    /// The region, an image that the famfs tools made, or the mount point of a famfs
    pub(crate) path: PathBuf,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Log {
    /// The region, an image that the famfs tools made, or the mount point of a famfs; a damaged one is read as far as
    /// it can be
    pub(crate) path: PathBuf,
    /// As JSON: superblock, entries, problems
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Cat {
    /// The region, an image that the famfs tools made, or the mount point of a famfs
    pub(crate) path: PathBuf,
    /// The file in it, relative to the mount: dir/file
    #[arg(value_name = "FAMFS-PATH")]
    pub(crate) file: String,
}

/// No agent may have the region open. The file takes space that mkfs --reserve left outside the pool, and famfs
/// never gives it back.
#[derive(Debug, Group)]
pub(crate) struct Export {
    /// The frame's name, or name@version
    #[arg(long, value_name = "NAME", alias = "file", required = true)]
    pub(crate) frame: String,
    /// The file to make, relative to the mount: dir/file.arrow. Missing directories are made
    #[arg(value_name = "FAMFS-PATH")]
    pub(crate) famfs_path: String,
    /// The region [default: $FARROW_REGION]
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// File with this host's system UUID [default: /opt/famfs/system_uuid, or derived from /etc/machine-id]
    #[arg(long, value_name = "FILE")]
    pub(crate) system_uuid_file: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Grow {
    /// A region to grow itself, which no agent has open, instead of asking an agent
    pub(crate) path: Option<PathBuf>,
    /// Bytes of the pool file, rounded up to units of 2 MiB [default: the largest range that is in no file]
    #[arg(long, value_name = "SIZE")]
    pub(crate) by: Option<Size>,
    /// File with this host's system UUID [default: /opt/famfs/system_uuid, or derived from /etc/machine-id]
    #[arg(long, value_name = "FILE", requires = "path")]
    pub(crate) system_uuid_file: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct Df {
    /// A region, famfs image or mount point of a famfs to look at itself, instead of asking an agent
    pub(crate) path: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
