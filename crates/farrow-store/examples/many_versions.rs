//! What a store with many versions costs: `many_versions VERSIONS FRAMES`.
//!
//! A region in this process's memory gets so many versions, spread over so many frames, each of one page and with one
//! checksum. Then everything that a store does is timed, one line of JSON for each run. Build it with `--release`.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::unwrap_used, reason = "nothing is expected to fail")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use farrow_region::{Media, MemMedia};
use farrow_store::{FormatOptions, FrameName, NewVersion, Owner, Store, Validation};
use uuid::Uuid;

const HOST: Uuid = Uuid::from_u128(1);
const OWNER: Owner = Owner { host: HOST, uid: 0, pid: 1, start_time: 1 };
const PAGE: u64 = 4096;
const MIB: u64 = 1024 * 1024;
/// Bytes of the catalog for each version: two halves, each with room for its checkpoint and as long a log.
const CATALOG_SHARE: u64 = 1200;
/// How often what is quick is done.
const ROUNDS: u64 = 10_000;

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().unwrap());
    let (versions, frames) = (args.next().unwrap_or(1000), args.next().unwrap_or(1000));
    let catalog_len = (versions * CATALOG_SHARE).next_multiple_of(2 * MIB).max(2 * MIB);
    let metadata_len = 10 * MIB + catalog_len + 2 * MIB;
    let len = metadata_len + ((versions + 1) * PAGE).next_multiple_of(2 * MIB);
    let media = Arc::new(MemMedia::new(usize::try_from(len).unwrap()));
    // So that what the process takes more from here on is the store's own.
    let zeros = vec![0; usize::try_from(MIB).unwrap()];
    (0..metadata_len / MIB).for_each(|at| media.write_at(at * MIB, &zeros).unwrap());
    let options = FormatOptions { catalog_len: Some(catalog_len), ..FormatOptions::new(HOST) };
    Store::format(&*media, &options).unwrap();

    let store = Store::open(media.clone(), HOST).unwrap();
    let before = resident();
    let fill = timed(|| (0..versions).for_each(|i| assert!(put(&store, i % frames) > 0)));
    let memory = resident().saturating_sub(before);

    // Spread over all frames, and over the versions of each.
    let places = (0..ROUNDS).map(|i| (name(i * 7919 % frames), i * 7919 / frames % (versions / frames) + 1));
    let places: Vec<(FrameName, u64)> = places.collect();
    let get =
        timed(|| places.iter().for_each(|(name, number)| drop(store.get(name, Some(*number)).unwrap())));
    let hold = timed(|| {
        for (name, _) in &places {
            let held = store.acquire(name, None).unwrap();
            store.release(&held).unwrap();
        }
    });
    let list = timed(|| assert!(!store.list("frame/5", None, 100).is_empty() || frames < 6));
    let put_and_drop = timed(|| {
        for i in 0..ROUNDS {
            let number = put(&store, i * 7919 % frames);
            store.drop_frame(&name(i * 7919 % frames), Some(number)).unwrap();
        }
    });
    let (compact, longest_get) = compact(&store, &places);
    let usage = store.usage();
    drop(store);
    let mut opened = None;
    let open = timed(|| opened = Some(Store::open(media.clone(), HOST).unwrap()));
    let drop_all = timed(|| {
        let dropped = opened.as_ref().unwrap().drop_prefix("frame/").unwrap();
        assert_eq!(dropped.versions, versions);
    });

    println!(
        "{{\"versions\": {versions}, \"frames\": {frames}, \"memory_bytes\": {}, \
         \"checkpoint_per_version_bytes\": {}, \"fill_put_us\": {:.2}, \"get_us\": {:.2}, \"acquire_release_us\": {:.2}, \
         \"list_100_us\": {:.1}, \"put_and_drop_us\": {:.2}, \"compact_ms\": {:.1}, \"longest_get_meanwhile_us\": {:.1}, \"open_ms\": {:.1}, \"drop_all_ms\": {:.1}}}",
        memory,
        usage.catalog_live / usage.versions,
        micros(fill) / as_float(versions),
        micros(get) / as_float(ROUNDS),
        micros(hold) / as_float(ROUNDS),
        micros(list),
        micros(put_and_drop) / as_float(ROUNDS),
        micros(compact) / 1000.0,
        micros(longest_get),
        micros(open) / 1000.0,
        micros(drop_all) / 1000.0,
    );
}

/// How long a compaction takes, and the longest look-up meanwhile.
fn compact(store: &Store, places: &[(FrameName, u64)]) -> (Duration, Duration) {
    std::thread::scope(|scope| {
        let compaction = scope.spawn(|| timed(|| store.compact().unwrap()));
        let mut longest = Duration::ZERO;
        for (name, number) in places.iter().cycle() {
            if compaction.is_finished() {
                break;
            }
            longest = longest.max(timed(|| drop(store.get(name, Some(*number)).unwrap())));
        }
        (compaction.join().unwrap(), longest)
    })
}

fn name(frame: u64) -> FrameName {
    FrameName::parse(&format!("frame/{frame}")).unwrap()
}

fn put(store: &Store, frame: u64) -> u64 {
    let reservation = store.reserve(OWNER, PAGE).unwrap();
    let new = NewVersion {
        name: name(frame),
        len: PAGE,
        rows: 1,
        batches: 1,
        validation: Validation::Values,
        metadata_digest: 1,
        checksums: vec![1],
        schema_fingerprint: 1,
        committed_at_micros: 1,
    };
    store.commit(reservation.id, new).unwrap().number
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn as_float(count: u64) -> f64 {
    u32::try_from(count).map(f64::from).unwrap()
}

/// Bytes of this process that are in memory: proc_pid_statm(5).
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * PAGE
}
