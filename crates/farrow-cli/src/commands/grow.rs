//! `farrow grow`

use std::path::Path;
use std::sync::Arc;

use farrow_region::{Access, FileMedia};
use farrow_store::{HostId, Mount, Store};

use crate::args::{Agent, Grow};
use crate::output;

pub(crate) fn run(args: &Grow, agent: &Agent) -> anyhow::Result<()> {
    let by = args.by.map(|size| size.0);
    let len = match &args.path {
        Some(path) => grow_medium(path, args.system_uuid_file.as_deref(), by)?,
        None => agent.connect()?.grow(by)?,
    };
    output::note(format_args!("a pool file of {} more", output::size(len)));
    Ok(())
}

fn grow_medium(path: &Path, system_uuid_file: Option<&Path>, by: Option<u64>) -> anyhow::Result<u64> {
    if let Some(mount) = Mount::find(path)? {
        return Err(mount.refuse_to_grow().into());
    }
    let host = HostId::discover(system_uuid_file)?;
    // Opening it for writing takes the region's lock, which an agent has as long as it runs.
    let media = Arc::new(FileMedia::open(path, Access::ReadWrite)?);
    Ok(Store::open(media, host)?.add_pool(by)?.len)
}
