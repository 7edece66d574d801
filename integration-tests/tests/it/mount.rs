//! A region on a mounted famfs: a directory that looks like one, and a real one where there is one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use farrow_client::{Address, Client};
use farrow_integration_tests::{Holder, Region, batch, famfs, farrow, map_socket, program, sum};

use crate::leases::until;

const UNIT: u64 = 2 << 20;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn refused(output: &Output, told: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    for word in told {
        assert!(stderr(output).contains(word), "{word}: {}", stderr(output));
    }
}

fn set_len(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// Publishes, replaces, maps, and drops under `prefix`, with a kill of the agent on the way; leaves nothing.
pub(crate) async fn a_life_of_frames(region: &Region, prefix: &str) {
    let agent = region.agent();
    let client = agent.client().await;
    let (a, b) = (format!("{prefix}a"), format!("{prefix}b"));
    let before = client.usage().await.unwrap().used;
    let rows = batch(0, 100_000);
    client.put(&a, rows.schema(), vec![rows.clone()]).await.unwrap();
    client.put(&b, rows.schema(), vec![batch(5, 10)]).await.unwrap();
    let frame = client.get(&a).await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(frame.batch(0).unwrap(), rows);
    let mut reader = Holder::of_frame(agent.socket(), &a);
    let expected = reader.sum();
    assert_eq!(sum(&frame).unwrap(), expected);
    // The next version, beside the first.
    client.put(&a, rows.schema(), vec![batch(7, 1000)]).await.unwrap();
    drop((frame, client));
    // Else the next agent would wait for this process to end.
    let holders = region.holders();
    until("the record is tidy", async || (!holders().contains(&std::process::id())).then_some(())).await;
    agent.kill();
    region.assert_clean();

    let agent = region.agent();
    let client = agent.client().await;
    assert_eq!(reader.sum(), expected, "what is mapped stays mapped");
    assert_eq!(client.get(&format!("{a}@1")).await.unwrap().batch(0).unwrap(), rows);
    let latest = client.get(&a).await.unwrap();
    assert!(latest.zero_copy() && latest.batch(0).unwrap() == batch(7, 1000), "{:?}", latest.why());
    drop(latest);
    reader.kill();
    client.drop(&a).await.unwrap();
    client.drop(&b).await.unwrap();
    until("all is freed", async || (client.usage().await.unwrap().held == 0).then_some(())).await;
    assert_eq!(client.usage().await.unwrap().used, before);
    drop((client, agent));
    region.assert_clean();
}

#[tokio::test]
async fn frames_live_on_a_mount() {
    let region = Region::mounted(24);
    a_life_of_frames(&region, "").await;
}

#[tokio::test]
async fn a_segment_in_several_pieces_is_mapped_from_its_pool_file() {
    let region = Region::mounted(14);
    let agent = region.agent();
    let client = agent.client().await;
    // 12 units of pool: holes are left between what stays.
    let rows = batch(0, 50_000);
    let mut count = 0;
    while client.put(&format!("f{count}"), rows.schema(), vec![rows.clone()]).await.is_ok() {
        count += 1;
    }
    for even in (0..count).step_by(2) {
        client.drop(&format!("f{even}")).await.unwrap();
    }
    let usage = client.usage().await.unwrap();
    let larger = batch(0, 100_000);
    let info = client.put("pieces", larger.schema(), vec![larger.clone()]).await.unwrap();
    assert!(info.bytes > usage.largest_free, "{} in {}", info.bytes, usage.largest_free);
    let frame = client.get("pieces").await.unwrap();
    assert!(frame.zero_copy() && frame.batch(0).unwrap() == larger, "{:?}", frame.why());

    // Rows for whoever cannot map: the agent reads them through the mount.
    let stream = farrow(&["get", "pieces", "--address", agent.socket()]);
    assert!(stream.status.success() && stream.stdout.len() > 1_000_000, "{}", stderr(&stream));
    let second = region.command(&["--socket", region.beside("second.sock").to_str().unwrap()]);
    refused(&{ second }.output().unwrap(), &["region/farrow is in use by another agent"]);
}

#[tokio::test]
async fn a_pool_file_made_by_the_tools_is_more_room() {
    let region = Region::mounted_empty(24);
    assert!(region.mkfs(&["--size", "8M"]).status.success());
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 50_000);
    let fill = async |client: &Client, from: usize| {
        let mut count = from;
        while client.put(&format!("f{count}"), rows.schema(), vec![rows.clone()]).await.is_ok() {
            count += 1;
        }
        count
    };
    let first = fill(&client, 0).await;
    let told = ["famfs creat", "farrow/pool/0001"];
    refused(&farrow(&["grow", "--address", agent.socket()]), &told);
    refused(&farrow(&["grow", region.path.to_str().unwrap()]), &told);
    drop((client, agent));

    let mut creat = Command::new(famfs());
    creat.args(["creat", "-C", "0", "-N", "0", "-B", "0", "-m", "0600", "-s", "16777216"]);
    assert!(creat.arg(region.path.join("farrow/pool/0001")).status().unwrap().success());
    let agent = region.agent();
    let client = agent.client().await;
    assert_eq!(client.usage().await.unwrap().pool_bytes, 24 << 20);
    let all = fill(&client, first).await;
    assert!(all > 2 * first, "{first} frames, then {all}");
    for number in 0..all {
        let frame = client.get(&format!("f{number}")).await.unwrap();
        assert!(frame.zero_copy() && frame.batch(0).unwrap() == rows, "{number}: {:?}", frame.why());
    }
    drop((client, agent));
    region.assert_clean();
}

#[test]
fn mkfs_makes_farrows_files_by_the_tools() {
    let region = Region::mounted_empty(24);
    let path = region.path.to_str().unwrap();
    refused(&region.mkfs(&["--log-len", "16M"]), &["--log-len", "mkfs.famfs"]);
    refused(&region.mkfs(&["--omf", "2.1"]), &["--omf", "mkfs.famfs"]);
    refused(&region.mkfs(&["--size", "8M", "--reserve", "2M"]), &["--size", "--reserve"]);
    refused(&region.mkfs(&["--size", "1G"]), &["farrow/pool/0000", "1.0 GiB", "40.0 MiB"]);
    refused(&farrow(&["mkfs", "--famfs", "/nowhere/famfs", path]), &["/nowhere/famfs", "--famfs"]);
    assert_eq!(fs::read_dir(path).unwrap().count(), 1, "only .meta");

    let made = region.mkfs(&["--reserve", "4M"]);
    assert!(made.status.success() && stderr(&made).contains("4.0 MiB in no file"), "{}", stderr(&made));
    assert_eq!(fs::metadata(region.path.join("farrow/pool/0000")).unwrap().len(), 18 * UNIT);
    region.assert_clean();
    refused(&region.mkfs(&[]), &["--force"]);
    assert!(region.mkfs(&["--force"]).status.success());

    // The verbs that need no agent.
    let log = farrow(&["log", path]);
    let told = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.status.success() && told.contains("farrow/pool/0000") && told.contains("0600"), "{told}");
    let df = farrow(&["df", "--json", path]);
    let df: serde_json::Value = serde_json::from_slice(&df.stdout).unwrap();
    assert_eq!((df["pool_bytes"].as_u64(), df["unallocated"].as_u64()), (Some(18 * UNIT), Some(2 * UNIT)));
    let cat = farrow(&["cat", path, "farrow/catalog"]);
    assert!(cat.stdout == fs::read(region.path.join("farrow/catalog")).unwrap());
    let nothing = farrow(&["cat", path, "farrow/nothing"]);
    assert_eq!(nothing.status.code(), Some(3));
    assert!(stderr(&nothing).contains("farrow/nothing"), "{}", stderr(&nothing));
    refused(&farrow(&["export", "--file", "a", "a.arrow", path]), &["famfs cp", "farrow get -o FILE a"]);
}

#[test]
fn famfs_is_found_on_the_path() {
    let region = Region::mounted_empty(8);
    let directory = region.beside("bin");
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(famfs(), directory.join("famfs")).unwrap();
    let mkfs = |search: &Path| {
        let mut command = Command::new(program("farrow"));
        command.env_remove("FARROW_FAMFS").env("PATH", search).arg("mkfs").arg(&region.path).output().unwrap()
    };
    refused(&mkfs(Path::new("/nowhere")), &["cannot run famfs", "--famfs"]);
    assert!(mkfs(&directory).status.success());
    region.assert_clean();
}

#[test]
fn mkfs_that_was_cut_off_can_be_run_again() {
    for stop in ["farrow/catalog", "farrow/hosts", "farrow/pool/0000"] {
        let region = Region::mounted_empty(8);
        let path = region.path.to_str().unwrap();
        let mut command = Command::new(program("farrow"));
        command.env("FAMFS_STAND_IN_STOPS", stop).args(["mkfs", "--famfs"]).arg(famfs());
        refused(&command.arg(path).output().unwrap(), &["told to stop", stop]);
        // What lies there is not in the log, and the tools take it for done.
        refused(&region.mkfs(&[]), &[stop, "famfs mount"]);
        // A new mount has what the log has.
        fs::remove_file(region.path.join(stop)).unwrap();
        assert!(region.mkfs(&[]).status.success(), "{stop}");
        region.assert_clean();
        drop(region.agent());
    }
}

#[test]
fn bad_mounts_are_refused_by_name() {
    let region = Region::mounted(8);
    let path = region.path.to_str().unwrap();
    let agent = || stderr(&region.command(&[]).output().unwrap());
    let both = |told: &[&str]| {
        let fsck = farrow(&["fsck", path]);
        assert_eq!(fsck.status.code(), Some(2), "{}", stderr(&fsck));
        for told_by in [agent(), stderr(&fsck)] {
            assert!(!told_by.contains("panicked"), "{told_by}");
            for word in told {
                assert!(told_by.contains(word), "{word}: {told_by}");
            }
        }
    };
    let file = |name: &str| region.path.join(name);
    let aside = region.beside("aside");

    set_len(&file("farrow/pool/0000"), 5 * UNIT);
    both(&["farrow/pool/0000", "10485760", "12582912"]);
    set_len(&file("farrow/pool/0000"), 6 * UNIT);
    for name in ["farrow/pool/0000", "farrow/catalog", ".meta/.superblock", ".meta/.log"] {
        fs::rename(file(name), &aside).unwrap();
        both(&[name]);
        fs::rename(&aside, file(name)).unwrap();
    }
    // The log of another file system, whose pool is larger.
    let other = Region::mounted(12);
    fs::rename(file(".meta/.log"), &aside).unwrap();
    fs::copy(other.path.join(".meta/.log"), file(".meta/.log")).unwrap();
    assert!(agent().contains("ERROR"));
    assert_ne!(farrow(&["fsck", path]).status.code(), Some(0));
    fs::rename(&aside, file(".meta/.log")).unwrap();
    // Its superblock.
    fs::rename(file(".meta/.superblock"), &aside).unwrap();
    fs::copy(other.path.join(".meta/.superblock"), file(".meta/.superblock")).unwrap();
    assert!(agent().contains("catalog belongs to region"));
    assert_eq!(farrow(&["fsck", path]).status.code(), Some(1));
    fs::rename(&aside, file(".meta/.superblock")).unwrap();

    region.assert_clean();
    drop(region.agent());
    // Any directory.
    let plain = region.beside("plain");
    fs::create_dir(&plain).unwrap();
    let plain = Region::at(plain);
    assert!(stderr(&plain.command(&[]).output().unwrap()).contains("no famfs is mounted"));
    refused(&plain.mkfs(&[]), &["no famfs is mounted"]);
}

#[test]
fn a_file_of_the_mount_that_shrinks_ends_the_agent() {
    for name in ["farrow/pool/0000", ".meta/.log"] {
        let region = Region::mounted(8);
        let agent = region.agent();
        set_len(&region.path.join(name), 1 << 20);
        let (code, log) = agent.ended();
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains(name) && log.contains("has 1048576 now"), "{log}");
    }
}

#[tokio::test]
async fn a_client_maps_no_other_file_systems_pool() {
    let (region, other) = (Region::mounted(8), Region::mounted(8));
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 100);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    fs::rename(region.path.join(".meta/.superblock"), region.beside("aside")).unwrap();
    fs::copy(other.path.join(".meta/.superblock"), region.path.join(".meta/.superblock")).unwrap();
    // The agent passes what it has open. Without its map socket there is only the path.
    let fresh = agent.client().await;
    assert!(fresh.get("a").await.unwrap().zero_copy());
    fs::remove_file(map_socket(agent.socket())).unwrap();
    let fresh = Client::connect(Address::Unix(agent.socket().into())).await.unwrap();
    let frame = fresh.get("a").await.unwrap();
    assert!(!frame.zero_copy() && frame.batch(0).unwrap() == rows);
    let why = format!("{:?}", frame.why());
    assert!(why.contains("region"), "{why}");
}

/// Returns where a real famfs is mounted: named by $FARROW_TEST_FAMFS, to be filled and left with farrow's files; or
/// found in /proc/mounts, to be looked at only.
fn real_famfs() -> Option<(PathBuf, bool)> {
    if let Some(named) = std::env::var_os("FARROW_TEST_FAMFS") {
        return Some((named.into(), true));
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let found = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        let path = PathBuf::from(path);
        (kind.contains("famfs") || kind.starts_with("fuse"))
            .then_some(path)
            .filter(|path| path.join(".meta/.superblock").exists())
    });
    Some((found?, false))
}

/// Says so on the run's own output, in a line of its own: what a test prints is shown only if it fails.
fn skipped(what: &str) {
    std::io::stdout().write_all(format!("\nskipped: {what}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn a_real_famfs() {
    let Some((mount, to_be_filled)) = real_famfs() else {
        return skipped("a mounted famfs (none in /proc/mounts, and FARROW_TEST_FAMFS names none)");
    };
    let region = Region::at(mount);
    let path = region.path.to_str().unwrap();
    if to_be_filled {
        let made = farrow(&["mkfs", path]);
        let there_already = made.status.code() == Some(1) && stderr(&made).contains("--force");
        assert!(made.status.success() || there_already, "{}", stderr(&made));
        a_life_of_frames(&region, "farrow-test/").await;
    } else {
        skipped(&format!("frames on {path} (FARROW_TEST_FAMFS={path} lets farrow's files be put there)"));
    }
    region.assert_clean();
    assert!(farrow(&["log", path]).status.success());
}
