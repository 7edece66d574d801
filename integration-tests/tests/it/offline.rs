//! The verbs that need no agent, on regions and on images that the famfs tools wrote.

use std::io::Read;
use std::process::{Command, Output, Stdio};

use farrow_integration_tests::{Region, batch, famfs_image, farrow, program};
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(args: &[&str]) -> Output {
    let output = farrow(args);
    let told = text(&output.stderr);
    assert!(!told.contains("panicked") && output.status.code().is_some(), "{args:?}: {told}");
    output
}

fn json(args: &[&str]) -> Value {
    serde_json::from_slice(&run(args).stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

#[test]
fn images_of_the_famfs_tools_are_read_as_they_are() {
    let region = Region::unmade();
    for name in ["empty", "onefile", "nested100", "interleaved"] {
        let (path, dump) = famfs_image(&region, name);
        let path = path.to_str().unwrap();
        let checked = run(&["fsck", path]);
        assert_eq!(checked.status.code(), Some(0), "{name}: {}", text(&checked.stdout));

        let log = json(&["log", "--json", path]);
        assert_eq!(log["problems"], serde_json::json!([]), "{name}");
        for field in ["uuid", "dev_uuid", "system_uuid", "dd_size", "log_len", "version"] {
            assert_eq!(log["superblock"][field], dump["superblock"][field], "{name}: {field}");
        }
        let (found, expected) = (log["entries"].as_array().unwrap(), dump["entries"].as_array().unwrap());
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found["type"], expected["kind"], "{name}");
            for field in ["index", "path", "size", "mode", "uid", "gid", "extents", "chunk_size"] {
                if !expected[field].is_null() {
                    assert_eq!(found[field], expected[field], "{name}: {field} of {expected}");
                }
            }
        }
        let df = json(&["df", "--json", path]);
        assert_eq!(df["log_entries"].as_u64(), Some(expected.len() as u64));
        assert_eq!(df["device_bytes"], dump["superblock"]["dd_size"]);
        let shown = text(&run(&["log", path]).stdout);
        assert_eq!(shown.lines().count(), expected.len() + 2, "{shown}");
    }
}

#[tokio::test]
async fn a_version_is_exported_and_read_by_who_knows_nothing_of_farrow() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    let made = run(&["mkfs", "--size", "64M", "--reserve", "4M", path]);
    assert!(text(&made.stderr).contains("4.0 MiB are left outside the pool"), "{}", text(&made.stderr));
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a/b", rows.schema(), vec![rows.clone()]).await.unwrap();
    let info = client.stat("a/b").await.unwrap();

    let export = ["export", "--file", "a/b@1", "out/ab.arrow", path];
    let busy = run(&export);
    assert_eq!(busy.status.code(), Some(4), "an agent has the region open");
    drop((client, agent));
    let exported = run(&export);
    assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
    region.assert_clean();

    let file = region.beside("ab.arrow");
    let bytes = run(&["cat", path, "out/ab.arrow"]).stdout;
    assert_eq!(bytes.len() as u64, info.bytes);
    std::fs::write(&file, bytes).unwrap();
    let agent = region.agent();
    let put = run(&["put", "again", file.to_str().unwrap(), "--address", agent.socket()]);
    assert_eq!(put.status.code(), Some(0), "{}", text(&put.stderr));
    assert_eq!(agent.client().await.get("again").await.unwrap().batch(0).unwrap(), rows);
    assert_eq!(run(&export).status.code(), Some(4), "the path exists, and an agent runs");
}

#[test]
fn both_versions_of_the_format_can_be_made() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    for (omf, version) in [("2.2", 48), ("2.1", 47)] {
        assert_eq!(run(&["mkfs", "--force", "--size", "64M", "--omf", omf, path]).status.code(), Some(0));
        let log = json(&["log", "--json", path]);
        assert_eq!(
            (log["superblock"]["omf"].as_str(), log["superblock"]["version"].as_u64()),
            (Some(omf), Some(version))
        );
        region.assert_clean();
        drop(region.agent());
    }
    for bad in [["--log-len", "12M"], ["--log-len", "4M"], ["--omf", "3.0"], ["--size", "4X"]] {
        let refused = run(&["mkfs", "--force", "--size", "64M", bad[0], bad[1], path]);
        assert_eq!(refused.status.code(), Some(2), "{bad:?}");
    }
    region.assert_clean();
}

#[test]
fn a_catalog_is_as_long_as_it_is_asked_for() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    let mkfs =
        |size, catalog: &[&str]| run(&[&["mkfs", "--force", "--size", size], catalog, &[path]].concat());
    let pool = |size, catalog: &[&str], told| {
        let made = text(&mkfs(size, catalog).stderr);
        assert!(made.contains(told), "{made}");
        region.assert_clean();
        let df = json(&["df", "--json", path]);
        (df["pool_bytes"].as_u64().unwrap() >> 20, df["catalog_bytes"].as_u64().unwrap())
    };
    assert_eq!(
        pool("64M", &[], "46.0 MiB of them for frames, 6.0 MiB for their catalog"),
        (46, (3 << 20) - 4096)
    );
    assert_eq!(
        pool("64M", &["--catalog", "16M"], "36.0 MiB of them for frames, 16.0 MiB for"),
        (36, (8 << 20) - 4096)
    );
    for bad in ["100", "4K", "65M1", "1T"] {
        assert_eq!(mkfs("64M", &["--catalog", bad]).status.code(), Some(2), "{bad}");
    }
    let told = text(&mkfs("64M", &["--catalog", "1T"]).stderr);
    assert!(
        told.contains("catalog of 1099511627776 bytes asked for, need a multiple of 4096 from 32768 to"),
        "{told}"
    );
    let full = mkfs("64M", &["--catalog", "60M"]);
    let told = text(&full.stderr);
    assert!(full.status.code() == Some(1) && told.contains("need at least 74.0 MiB: "), "{told}");
    assert!(told.contains("a catalog of 60.0 MiB"), "{told}");
    region.assert_clean();
    assert_eq!(
        json(&["df", "--json", path])["pool_bytes"].as_u64(),
        Some(36 << 20),
        "a refusal writes nothing"
    );
}

#[test]
fn a_region_that_shrinks_is_an_error_and_no_signal() {
    let region = Region::new("64MiB");
    let mut command = Command::new(program("farrow"));
    let mut child = command
        .args(["cat", region.path.to_str().unwrap(), "farrow/pool/0000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is at work, and stops when the pipe is full.
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 4096]).unwrap();
    std::fs::OpenOptions::new().write(true).open(&region.path).unwrap().set_len(1 << 20).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(7), "{}", ended.status);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("had 67108864 bytes and has 1048576 now"), "{told}");
}
