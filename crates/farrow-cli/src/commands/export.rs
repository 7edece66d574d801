//! `farrow export`

use anyhow::{Context, bail};
use famfs_format::RelPath;
use farrow_region::{Access, FileMedia};
use farrow_store::{FrameRef, HostId, Mount, export};

use crate::args::Export;
use crate::output;

pub(crate) fn run(args: &Export) -> anyhow::Result<()> {
    let frame = FrameRef::parse(&args.file)?;
    let path = RelPath::parse(&args.famfs_path).with_context(|| format!("{:?}", args.famfs_path))?;
    if let Some(mount) = Mount::find(&args.path)? {
        bail!(
            "a famfs is mounted at {0}, and only its own tools make files there. Try: farrow get {1} -o FILE, then famfs \
             cp FILE {0}/{2}",
            mount.root().display(),
            args.file,
            path.as_str()
        );
    }
    let host = HostId::discover(args.system_uuid_file.as_deref())?;
    // Opening it for writing takes the region's lock, which an agent has as long as it runs.
    let media = FileMedia::open(&args.path, Access::ReadWrite)?;
    let exported = export(&media, host, &frame, &path)?;
    output::note(format_args!(
        "{}@{}: {} to {path}, {} more entries fit the famfs log",
        exported.version.name,
        exported.version.number,
        output::size(exported.file.size),
        exported.log_left
    ));
    Ok(())
}
