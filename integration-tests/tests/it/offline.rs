//! The verbs that need no agent, on regions and on images that the famfs tools wrote.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use farrow_integration_tests::{Region, batch, farrow, program};
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

/// An image that the famfs tools wrote, as large as its device was, and what its dump says of it.
fn famfs_image(region: &Region, name: &str) -> (PathBuf, Value) {
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/famfs-format/testdata");
    let dump: Value =
        serde_json::from_slice(&std::fs::read(data.join(format!("{name}.dump.json"))).unwrap()).unwrap();
    let path = region.beside(name);
    let compressed = std::fs::File::open(data.join(format!("{name}.head16m.zst"))).unwrap();
    let mut head = ruzstd::decoding::StreamingDecoder::new(compressed).unwrap();
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::copy(&mut head, &mut file).unwrap();
    // The rest was never written: a hole.
    file.set_len(dump["superblock"]["dd_size"].as_u64().unwrap()).unwrap();
    (path, dump)
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

#[test]
fn a_file_of_an_image_comes_out_byte_for_byte() {
    let region = Region::unmade();
    let (path, _) = famfs_image(&region, "onefile");
    let path = path.to_str().unwrap();
    let expected = std::fs::read(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/famfs-format/testdata/data5000.bin"),
    )
    .unwrap();
    assert!(run(&["cat", path, "data.bin"]).stdout == expected);
    for (file, told) in [("nope", "no file"), ("../x", ".."), ("/data.bin", "data.bin")] {
        let refused = run(&["cat", path, file]);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0), "{file}");
        assert!(text(&refused.stderr).contains(told), "{file}: {}", text(&refused.stderr));
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
    assert_eq!(busy.status.code(), Some(1), "an agent has the region open");
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
    assert_eq!(run(&export).status.code(), Some(1), "the path exists, and an agent runs");
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
        assert!(matches!(refused.status.code(), Some(1 | 2)), "{bad:?}");
    }
    region.assert_clean();
}

/// Runs every reading verb on what is at the path; returns the exit codes of fsck and log.
fn codes(path: &str) -> (Option<i32>, Option<i32>) {
    for args in [&["cat", path, "farrow/catalog"][..], &["df", path], &["log", path]] {
        run(args);
    }
    (run(&["fsck", path]).status.code(), run(&["log", "--json", path]).status.code())
}

#[test]
fn damaged_images_end_in_an_error_and_are_not_written() {
    let region = Region::new("16M");
    let path = region.path.to_str().unwrap();
    let whole = std::fs::read(path).unwrap();
    let check = |image: &[u8], what: &str| {
        std::fs::write(path, image).unwrap();
        let (fsck, log) = codes(path);
        assert!(
            matches!(fsck, Some(1 | 2)) && matches!(log, Some(1 | 2)),
            "{what}: fsck {fsck:?}, log {log:?}"
        );
        assert!(std::fs::read(path).unwrap() == image, "{what}: it was written");
    };
    let log = 0x20_0000;
    for len in [
        0,
        1,
        4095,
        4096,
        4097,
        log - 1,
        log + 1,
        log + 47,
        log + 48,
        log + 48 + 544,
        log + 4096,
        whole.len() - 1,
    ] {
        check(&whole[..len], &format!("cut to {len} bytes"));
    }
    let changed = |at: usize, bytes: &[u8]| {
        let mut image = whole.clone();
        image[at..at + bytes.len()].copy_from_slice(bytes);
        image
    };
    check(&vec![0; 16 << 20], "zeros");
    check(&b"some other file\n".repeat(1 << 20), "text");
    check(&changed(0, &0x87b2_82ff_u64.to_be_bytes()), "a magic of the other byte order");
    check(&changed(8, &99u64.to_le_bytes()), "another version");
    check(&changed(log + 32, &[[0xff; 8], [0xff; 8]].concat()), "a log that claims 2^64 - 1 entries");
    check(
        &changed(log + 32, &[(1u64 << 63).to_le_bytes(), (1u64 << 63).to_le_bytes()].concat()),
        "2^63 entries",
    );
    check(&changed(log + 48 + 28, &[b'x'; 80]), "a path of 80 bytes");
}

#[test]
fn what_is_no_file_is_told_by_its_kind() {
    let region = Region::unmade();
    let directory = region.path.parent().unwrap().to_str().unwrap().to_owned();
    for (path, word) in
        [(directory.as_str(), "directory"), ("/dev/null", "device"), ("/nowhere/at/all", "nowhere")]
    {
        for verb in ["fsck", "log"] {
            let refused = run(&[verb, path]);
            assert_eq!(refused.status.code(), Some(2), "{verb} {path}");
            assert!(text(&refused.stderr).contains(word), "{verb} {path}: {}", text(&refused.stderr));
        }
        assert_eq!(run(&["mkfs", "--force", path]).status.code(), Some(1), "mkfs {path}");
        assert_eq!(run(&["cat", path, "x"]).status.code(), Some(1), "cat {path}");
    }
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
    assert_eq!(ended.status.code(), Some(1), "{}", ended.status);
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("had 67108864 bytes and has 1048576 now"), "{told}");
}
