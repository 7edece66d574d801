//! The store, with few and with many versions.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use farrow_region::{Access, FileMedia};
use farrow_store::{
    Follower, FormatOptions, FrameName, NewSegment, NewVersion, Owner, Store, Validation, Version,
};
use uuid::Uuid;

use crate::latency::Latency;
use crate::{memory, table};

const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// Versions of each frame that is there before anything is timed.
const VERSIONS_OF_A_FRAME: u64 = 10;
/// Bytes of catalog to set aside for each version; it needs less.
const CATALOG_OF_A_VERSION: u64 = 400;
/// So many versions that their heap can be told from everything else's.
const MANY: u64 = 10_000;
/// The number of times of an operation that takes long.
const FEW: u64 = 5;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Numbers of versions before anything is timed: one column for each number
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1_000, 1_000_000])]
    versions: Vec<u64>,
    /// The number of times of each operation; compaction and start five times
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    times: u64,
    /// The directory of the region: memory, to time farrow and not a disk. A version takes 5 KiB there
    #[arg(long, default_value = "/dev/shm")]
    directory: PathBuf,
}

/// Fills one region after the other, times everything, prints one table.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut columns = Vec::new();
    for &versions in &arguments.versions {
        eprintln!("a region with {versions} versions …");
        columns.push(measure(&arguments.directory, versions, arguments.times)?);
    }
    table::print(&rows(&arguments.versions, &columns));
    Ok(())
}

/// The measurements with so many versions.
struct Figures {
    operations: Vec<(&'static str, Latency)>,
    /// Bytes for each version: of the catalog, and of the heap.
    catalog: f64,
    heap: Option<f64>,
}

fn rows(versions: &[u64], columns: &[Figures]) -> Vec<Vec<String>> {
    let mut head = vec!["median (99th percentile) with".to_owned()];
    head.extend(versions.iter().map(|versions| format!("{versions} versions")));
    head.push("growth".to_owned());
    let mut rows = vec![head];
    let operations = columns.first().map_or(0, |figures| figures.operations.len());
    for operation in 0..operations {
        let latencies: Vec<&Latency> =
            columns.iter().map(|figures| &figures.operations[operation].1).collect();
        let mut row = vec![columns[0].operations[operation].0.to_owned()];
        row.extend(latencies.iter().map(|latency| latency.text()));
        if let [first, .., last] = latencies[..] {
            row.push(format!("{:.1} x", last.median().as_secs_f64() / first.median().as_secs_f64()));
        }
        rows.push(row);
    }
    let mut catalog = vec!["catalog for each version".to_owned()];
    catalog.extend(columns.iter().map(|figures| format!("{:.0} B", figures.catalog)));
    let mut heap = vec!["heap for each version".to_owned()];
    heap.extend(
        columns.iter().map(|figures| figures.heap.map_or_else(|| "-".into(), |heap| format!("{heap:.0} B"))),
    );
    rows.extend([catalog, heap]);
    rows
}

fn measure(directory: &Path, versions: u64, times: u64) -> anyhow::Result<Figures> {
    let path = region(directory, versions, times)?;
    let media: Arc<FileMedia> = Arc::new(FileMedia::open(&path, Access::ReadWrite)?);
    let heap_before = memory::private()?;
    let store = Store::open(media.clone(), HOST)?;
    store.lift_quarantine()?;
    let frames = versions.div_ceil(VERSIONS_OF_A_FRAME);
    for number in 0..versions {
        put(&store, &name(number % frames)?)?;
    }
    store.compact()?;
    // With few of them, what the allocator kept of earlier regions is more.
    let heap = memory::private()?.saturating_sub(heap_before);
    let heap = (versions >= MANY).then(|| heap as f64 / versions as f64);
    let catalog = store.view().usage().catalog_committed as f64 / versions as f64;

    let mut operations = Vec::new();
    let mut add = |what, latency: anyhow::Result<Latency>| -> anyhow::Result<()> {
        operations.push((what, latency?));
        Ok(())
    };
    // Spread over all frames, each time another.
    let frame = |n: u64| name(n.wrapping_mul(7919) % frames);

    add("look up the latest", Latency::of(times, frame, |name| Ok(store.view().get(&name, None)?)))?;
    add("list a page of 100", Latency::of(times, frame, |name| Ok(store.view().list("", Some(&name), 100))))?;
    let hold = |name| Ok(store.release(&*store.view().acquire(&name, None)?)?);
    add("acquire and release", Latency::of(times, frame, hold))?;
    add("reserve and commit a page", Latency::of(times, frame, |name| put(&store, &name)))?;
    let latest = |n| Ok(store.view().get(&frame(n)?, None)?);
    let drop_one = |version: Arc<Version>| Ok(store.drop_frame(&version.name, Some(version.number))?);
    add("drop a version", Latency::of(times.min(versions), latest, drop_one))?;
    let growing = |n| {
        // As many segments as a day has hours.
        let name = FrameName::parse("growing")?;
        if n % 24 == 0 && n > 0 {
            store.drop_frame(&name, None)?;
        }
        Ok(name)
    };
    add("reserve and append a page", Latency::of(times, growing, |name| append(&store, &name)))?;

    let follower = &mut Follower::open(media.clone())?;
    add("poll, nothing new", Latency::of(times, Ok, |_| Ok(follower.poll()?)))?;
    add("poll, one version more", Latency::of(times, |n| put(&store, &frame(n)?), |_| Ok(follower.poll()?)))?;
    add("compact", Latency::of(FEW, Ok, |_| Ok(store.compact()?)))?;
    let pauses = (0..FEW).map(|_| longest_look_up_while_compacting(&store, frame));
    let pauses: Vec<Duration> = pauses.collect::<anyhow::Result<_>>()?;
    add("longest look-up meanwhile", Latency::of_times(pauses))?;
    drop(store);
    add("start", Latency::of(FEW, Ok, |_| Ok(Store::open(media.clone(), HOST)?)))?;
    Ok(Figures { operations, catalog, heap })
}

/// The longest look-up of a reader during a compaction.
fn longest_look_up_while_compacting(
    store: &Store,
    frame: impl Fn(u64) -> anyhow::Result<FrameName>,
) -> anyhow::Result<Duration> {
    std::thread::scope(|scope| {
        let compaction = scope.spawn(|| store.compact());
        let mut longest = Duration::ZERO;
        for n in 0.. {
            let name = frame(n)?;
            let start = Instant::now();
            store.view().get(&name, None)?;
            longest = longest.max(start.elapsed());
            if compaction.is_finished() {
                break;
            }
        }
        compaction.join().map_err(|_| anyhow!("a compaction panicked"))??;
        Ok(longest)
    })
}

const HOST: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const OWNER: Owner = Owner { host: HOST, uid: 1000, pid: 1, start_time: 1 };

fn name(number: u64) -> anyhow::Result<FrameName> {
    Ok(FrameName::parse(&format!("bench/{:04}/{:04}", number / 1000, number % 1000))?)
}

fn put(store: &Store, name: &FrameName) -> anyhow::Result<Arc<Version>> {
    Ok(store.commit(version(store.reserve(OWNER, PAGE)?.id, name))?)
}

fn append(store: &Store, name: &FrameName) -> anyhow::Result<Arc<Version>> {
    Ok(store.append(version(store.reserve(OWNER, PAGE)?.id, name))?)
}

/// A version of one page, as an agent commits it. Nobody writes the page here: that is the client's time.
fn version(reservation: u64, name: &FrameName) -> NewVersion {
    let segment = NewSegment {
        reservation,
        len: PAGE,
        rows: PAGE / 8,
        batches: 1,
        validation: Validation::Values,
        metadata_digest: 1,
        checksums: Vec::new(),
    };
    NewVersion { name: name.clone(), schema_fingerprint: 1, committed_at_micros: 1, segments: vec![segment] }
}

/// A region with room for what is to be in it, in a file that goes with the returned value.
fn region(directory: &Path, versions: u64, times: u64) -> anyhow::Result<tempfile::TempPath> {
    // Everything but look-ups adds at most one version each time.
    let most = versions + 5 * times;
    let catalog = (2 * (most * CATALOG_OF_A_VERSION + MIB)).next_multiple_of(2 * MIB);
    let len = (16 * MIB + catalog + most * PAGE).next_multiple_of(2 * MIB);
    let stat = rustix::fs::statvfs(directory).with_context(|| directory.display().to_string())?;
    let room = stat.f_bavail * stat.f_frsize;
    ensure!(
        len <= room,
        "{versions} versions need {} MiB in {}, which has {} MiB. Try: fewer, or another --directory",
        len / MIB,
        directory.display(),
        room / MIB,
    );
    let path = tempfile::Builder::new().prefix("farrow-bench-").tempfile_in(directory)?.into_temp_path();
    let media = FileMedia::create(&path, len, true)?;
    Store::format(&media, &FormatOptions { catalog_len: Some(catalog), ..FormatOptions::new(HOST) })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_figure_for_each_number_of_versions() {
        let directory = tempfile::tempdir().unwrap();
        let versions = [1, 25];
        let columns = versions.map(|versions| measure(directory.path(), versions, 30).unwrap());
        let rows = rows(&versions, &columns);
        assert_eq!(rows.len(), 1 + 11 + 2);
        for row in &rows[..12] {
            assert_eq!(row.len(), 4, "{row:?}");
            assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
