//! Making farrow's files on a mounted famfs.

use famfs_format::{
    ALLOC_UNIT, EntryBody, FILE_FLAGS, FileEntry, FileMap, FormatError, LogEntry, MkdirEntry, Namespace,
    RelPath,
};
use farrow_region::Access;
use uuid::Uuid;

use super::{FamfsTools, Mount, MountFault};
use crate::catalog::{CatalogFault, CatalogFile};
use crate::error::{Result, StoreError};
use crate::mkfs::{FormatReport, check_catalog_len, check_hosts_len, share, zero};
use crate::volume::{CATALOG_FILE, FARROW_DIR, HOSTS_FILE, POOL_DIR, Volume, pool_path};

/// The options of making farrow's files on a mounted famfs. Lengths are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOptions {
    /// This host, which must be the master.
    pub host: Uuid,
    /// Length of the catalog: a multiple of 4096, from 32 KiB to 64 GiB. `None` is an eighth of the pool, and of more than a
    /// gigabyte less.
    pub catalog_len: Option<u64>,
    /// Length of the file with a slot for each host: a multiple of 4096.
    pub hosts_len: u64,
    /// Length of the pool file, rounded up to units of 2 MiB. `None` is the largest free range but for `reserve`.
    pub pool_len: Option<u64>,
    /// Bytes left free, rounded up to units of 2 MiB: for famfs files of others.
    pub reserve: u64,
    /// Empty the region even if farrow's files are there already; the frames in them are lost.
    pub force: bool,
}

impl MountOptions {
    /// The usual region: all that is free.
    pub fn new(host: Uuid) -> Self {
        Self { host, catalog_len: None, hosts_len: ALLOC_UNIT, pool_len: None, reserve: 0, force: false }
    }
}

impl Mount {
    /// Makes a region of a mounted famfs: farrow's files, by the famfs tools, and an empty catalog.
    ///
    /// Files that are there stay, with the length they have; famfs cannot remove them. The catalog is written last:
    /// whoever is cut off can do this again. [`FormatReport::replaced`] is the region if it had frames.
    ///
    /// # Errors
    /// [`StoreError::NotMaster`]; [`MountFault::Occupied`] and [`MountFault::OccupiedUnreadable`] unless it is
    /// forced; [`MountFault::NoRoom`], [`MountFault::Resize`]; what the famfs tools say; what is wrong with the
    /// log or the mount's files; [`InUse`](farrow_region::RegionError::InUse) while an agent runs.
    pub fn format(&self, tools: &FamfsTools, options: &MountOptions) -> Result<FormatReport> {
        let volume = self.volume()?;
        let (host, master) = (options.host, volume.superblock.system_uuid);
        if host != master {
            return Err(StoreError::NotMaster { host, master });
        }
        self.what_is_there(&volume, options.force)?;
        let plan = self.plan(&volume, options)?;

        let pools = RelPath::parse(POOL_DIR)?;
        if volume.namespace.dir(&pools).is_none() {
            let command = tools.mkdir(&self.path_of(&pools))?;
            if self.volume()?.namespace.dir(&pools).is_none() {
                return Err(MountFault::NotMade { command, path: pools, len: 0 }.into());
            }
        }
        for Wanted { path, len } in plan.iter().filter(|wanted| volume.namespace.file(&wanted.path).is_none())
        {
            let command = tools.creat(&self.path_of(path), *len)?;
            // It ends well, too, if something of that length lies there that the log does not know.
            if self.volume()?.namespace.file(path).map(|made| made.size) != Some(*len) {
                return Err(MountFault::NotMade { command, path: path.clone(), len: *len }.into());
            }
        }
        self.empty(options.force)
    }

    /// Writes an empty catalog into files that are there.
    fn empty(&self, force: bool) -> Result<FormatReport> {
        let media = self.media(Access::ReadWrite)?;
        let volume = Volume::read(&media)?;
        // Again, now that nobody else can change it.
        let replaced = self.what_is_there(&volume, force)?;
        let files = volume.farrow_files()?;
        let (catalog, catalog_len) = files.catalog;
        if let Some(hosts) = volume.namespace.file(&RelPath::parse(HOSTS_FILE)?) {
            hosts.runs().try_for_each(|(offset, len)| zero(&media, offset, len))?;
        }
        CatalogFile::create(&media, catalog, catalog_len, volume.superblock.uuid)?;
        Ok(FormatReport {
            catalog_len,
            pool_len: files.pools.iter().map(|pool| pool.len).sum(),
            unpooled: volume.namespace.free_bytes(),
            log_entries: volume.log.next_index(),
            replaced,
            superblock: volume.superblock,
        })
    }

    /// Returns what superblock and log say now. A log that cannot be read to its end is an error.
    fn volume(&self) -> Result<Volume> {
        let mut volume = Volume::read(&self.log()?)?;
        match volume.log_fault.take() {
            // The tools take it as it is.
            None | Some(FormatError::Counters { .. }) => Ok(volume),
            Some(fault) => Err(fault.into()),
        }
    }

    /// The region that is there already, if it may be emptied.
    fn what_is_there(&self, volume: &Volume, force: bool) -> Result<Option<Uuid>> {
        if volume.namespace.file(&RelPath::parse(CATALOG_FILE)?).is_none() {
            return Ok(None);
        }
        let region = volume.superblock.uuid;
        let mount = || self.root.clone();
        match self.open_catalog(volume) {
            Ok(_) if force => Ok(Some(region)),
            Ok(_) => Err(MountFault::Occupied { mount: mount(), region }.into()),
            // The file is there, and the catalog was not written yet: its memory holds whatever it held.
            Err(StoreError::Catalog(
                CatalogFault::HeadMagic { .. }
                | CatalogFault::HeadRegion { .. }
                | CatalogFault::CommitWord { word: 0, .. },
            )) => Ok(None),
            // This one will never be a catalog.
            Err(error @ StoreError::Catalog(CatalogFault::File { .. })) => Err(error),
            Err(StoreError::Catalog(_)) if force => Ok(Some(region)),
            Err(StoreError::Catalog(fault)) => {
                Err(MountFault::OccupiedUnreadable { mount: mount(), fault }.into())
            }
            Err(error) => Err(error),
        }
    }

    fn open_catalog(&self, volume: &Volume) -> Result<CatalogFile> {
        let media = self.media(Access::ReadOnly)?;
        let (offset, len) = volume.catalog()?;
        CatalogFile::open(&media, offset, len, volume.superblock.uuid)
    }

    /// The files that there should be, in the order in which they are made; those that are there keep their length.
    fn plan(&self, volume: &Volume, options: &MountOptions) -> Result<Vec<Wanted>> {
        // Of what farrow gets: others may have most of the device.
        let space = volume.namespace.largest_free().saturating_sub(options.hosts_len);
        let most = share::of_space(space);
        let usual = options.pool_len.map_or(most, |len| share::of_pool(len).min(most));
        let catalog_len = options.catalog_len.unwrap_or(usual);
        check_catalog_len(catalog_len)?;
        check_hosts_len(options.hosts_len)?;
        let is_there = |path: &RelPath, asked: Option<u64>, option| match (volume.namespace.file(path), asked)
        {
            (Some(found), Some(asked)) if found.size != asked => {
                Err(MountFault::Resize { path: path.clone(), found: found.size, asked, option })
            }
            _ => Ok(()),
        };
        is_there(&RelPath::parse(CATALOG_FILE)?, options.catalog_len, "--catalog")?;
        let mut trial = Trial::new(volume)?;
        let mut plan = Vec::new();
        for (path, len) in [(CATALOG_FILE, catalog_len), (HOSTS_FILE, options.hosts_len)] {
            plan.push(trial.add(self, Wanted { path: RelPath::parse(path)?, len }, 0)?);
        }
        let path = RelPath::parse(&pool_path(0))?;
        let units = |bytes: u64| bytes.div_ceil(ALLOC_UNIT).saturating_mul(ALLOC_UNIT);
        let (asked, reserve) = (options.pool_len.map(units), units(options.reserve));
        is_there(&path, asked, "--size")?;
        let all = trial.namespace.largest_free().saturating_sub(reserve) / ALLOC_UNIT * ALLOC_UNIT;
        // Nothing left is asked for as the least that a pool can be, so that the error tells what is missing.
        let len = asked.unwrap_or(all).max(ALLOC_UNIT);
        plan.push(trial.add(self, Wanted { path, len }, reserve)?);
        Ok(plan)
    }
}

/// A file that is to be made.
struct Wanted {
    path: RelPath,
    len: u64,
}

/// The log as it would be: nothing is made before everything has been found to fit.
struct Trial {
    namespace: Namespace,
}

impl Trial {
    fn new(volume: &Volume) -> Result<Self> {
        let mut trial = Self { namespace: volume.namespace.clone() };
        for path in [FARROW_DIR, POOL_DIR] {
            let path = RelPath::parse(path)?;
            if trial.namespace.dir(&path).is_none() {
                trial.apply(EntryBody::Mkdir(MkdirEntry { path, uid: 0, gid: 0, mode: 0o755 }))?;
            }
        }
        Ok(trial)
    }

    /// Adds a file that is missing, and leaves `reserve` bytes beside it. Returns it with the length it will have.
    fn add(&mut self, mount: &Mount, wanted: Wanted, reserve: u64) -> Result<Wanted> {
        let Wanted { path, len } = wanted;
        if let Some(found) = self.namespace.file(&path) {
            return Ok(Wanted { len: found.size, path });
        }
        let (free, largest_free) = (self.namespace.free_bytes(), self.namespace.largest_free());
        let no_room = |need| {
            let (mount, path) = (mount.root.clone(), path.clone());
            StoreError::from(MountFault::NoRoom { mount, path, need, largest_free, free })
        };
        let need = len.saturating_add(reserve);
        if need > free {
            return Err(no_room(need));
        }
        let extent = self.namespace.allocate(len).map_err(|error| match error {
            FormatError::NoSpace { .. } => no_room(need),
            error => error.into(),
        })?;
        let file = FileEntry {
            path: path.clone(),
            size: len,
            flags: FILE_FLAGS,
            uid: 0,
            gid: 0,
            mode: 0o600,
            map: FileMap::Simple(vec![extent]),
        };
        self.apply(EntryBody::File(file))?;
        Ok(Wanted { path, len })
    }

    fn apply(&mut self, body: EntryBody) -> Result<()> {
        Ok(self.namespace.apply(&LogEntry { seqnum: self.namespace.next_index(), body })?)
    }
}
