//! `farrow export`

use std::path::PathBuf;

use anyhow::{Context, bail};
use famfs_format::RelPath;
use farrow_region::counted;
use farrow_region::shell::operand;
use farrow_region::{Access, FileMedia};
use farrow_store::{FrameRef, HostId, Mount, export};

use crate::args::{Export, variable};
use crate::exit::Failure;
use crate::output;

pub(crate) fn run(args: &Export) -> anyhow::Result<()> {
    let frame = FrameRef::parse(&args.frame)?;
    let path = RelPath::parse(&args.famfs_path).with_context(|| format!("{:?}", args.famfs_path))?;
    let place = args.path.clone().or_else(|| variable("FARROW_REGION").map(PathBuf::from));
    let Some(place) = place else {
        let message = "no region is named: give its path behind FAMFS-PATH, or set $FARROW_REGION";
        return Err(Failure::usage(message.to_owned()).into());
    };
    if let Some(mount) = Mount::find(&place)? {
        bail!(
            "a famfs is mounted at {0}, and only its own tools make files there. Try: `farrow get -o FILE {1}`, then \
             `famfs cp FILE {2}`",
            mount.root().display(),
            operand(&args.frame),
            operand(mount.path_of(&path).display())
        );
    }
    let host = HostId::discover(args.system_uuid_file.as_deref())?;
    // Opening it for writing takes the region's lock, which an agent has as long as it runs.
    let media = FileMedia::open(&place, Access::ReadWrite)?;
    let exported = export(&media, host, &frame, &path)?;
    output::note(format_args!(
        "{}@{}: {} to {path}, {} left in the famfs log",
        exported.version.name,
        exported.version.number,
        output::size(exported.file.size),
        counted(exported.log_left, "entry")
    ));
    Ok(())
}
