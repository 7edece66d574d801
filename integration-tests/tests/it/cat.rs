//! `farrow cat` on images that the famfs tools wrote: every file, byte for byte.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use farrow_integration_tests::{Region, famfs_image, famfs_testdata, farrow};
use serde_json::Value;

/// The images' first bytes are what the tools wrote, the rest are holes.
const HEAD: u64 = 16 << 20;
const PAGE: u64 = 4096;

/// Returns where the page at `offset` of a file lies on the device, by the dump's extents or strips.
fn on_device(file: &Value, offset: u64) -> u64 {
    let number = |value: &Value| value.as_u64().unwrap();
    if let Some(strips) = file["strips"].as_array() {
        let (chunk, count) = (number(&file["chunk_size"]), strips.len() as u64);
        let strip = &strips[usize::try_from(offset / chunk % count).unwrap()];
        return number(&strip["offset"]) + offset / chunk / count * chunk + offset % chunk;
    }
    let [extent] = file["extents"].as_array().unwrap().as_slice() else { panic!("one extent: {file}") };
    assert!(offset < number(&extent["len"]), "{file}");
    number(&extent["offset"]) + offset
}

/// A page whose words all name its file and its own offset in it.
fn page(tag: u64, offset: u64) -> Vec<u8> {
    (tag << 48 | offset).to_le_bytes().repeat(512)
}

/// Fills the holes of a file with [`page`]s, and leaves what is in the head of the image.
fn fill(image: &Path, file: &Value, tag: u64) {
    let device = OpenOptions::new().write(true).open(image).unwrap();
    for offset in (0..file["size"].as_u64().unwrap()).step_by(4096) {
        let at = on_device(file, offset);
        if at >= HEAD {
            device.write_all_at(&page(tag, offset), at).unwrap();
        }
    }
}

fn cat(image: &Path, file: &str) -> Vec<u8> {
    let output = farrow(&["cat", image.to_str().unwrap(), file]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(0) && told.is_empty(), "{file}: {told}");
    output.stdout
}

fn files(dump: &Value) -> impl Iterator<Item = &Value> {
    dump["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "file")
}

/// Holds what came out against the holes' pages; `in_head` is what the image's own pages must be.
fn assert_is(found: &[u8], file: &Value, tag: u64, in_head: impl Fn(u64) -> Vec<u8>) -> u64 {
    let mut own = 0;
    assert_eq!(found.len() as u64, file["size"].as_u64().unwrap(), "{file}");
    for (index, found) in (0..).zip(found.chunks(4096)) {
        let offset = index * PAGE;
        let expected = if on_device(file, offset) < HEAD {
            own += 1;
            in_head(offset)
        } else {
            page(tag, offset)
        };
        assert!(found == &expected[..found.len()], "page {offset:#x} of {}", file["path"]);
    }
    own
}

#[test]
fn interleaved_files_come_out_in_the_order_of_their_chunks() {
    let region = Region::unmade();
    let (image, dump) = famfs_image(&region, "interleaved");
    for (tag, file) in (0..).zip(files(&dump)) {
        fill(&image, file, tag);
        let path = file["path"].as_str().unwrap();
        let own = assert_is(&cat(&image, path), file, tag, |offset| page(0, offset));
        // Three chunks of il4.bin are as the famfs tools left them.
        assert_eq!(own, if path == "il4.bin" { 3 * 512 } else { 0 }, "{path}");
    }
}

#[test]
fn a_hundred_files_in_nested_directories_come_out_each_as_it_is() {
    let region = Region::unmade();
    let (image, dump) = famfs_image(&region, "nested100");
    let mut own = 0;
    for (tag, file) in (1..).zip(files(&dump)) {
        fill(&image, file, tag);
        let found = cat(&image, file["path"].as_str().unwrap());
        own += assert_is(&found, file, tag, |_| vec![0; 4096]);
    }
    assert_eq!((files(&dump).count(), own > 0), (100, true));
    for (dir, told) in [("a/b", "is a directory"), ("a/b/c/f1", "no file"), ("a/b/c/f01/x", "no file")] {
        let refused = farrow(&["cat", image.to_str().unwrap(), dir]);
        let code = if told == "no file" { 3 } else { 1 };
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(code), 0), "{dir}");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains(told) && text.contains(dir), "{dir}: {text}");
    }
}

#[test]
fn a_file_of_an_image_comes_out_byte_for_byte() {
    let region = Region::unmade();
    let (image, _) = famfs_image(&region, "onefile");
    assert!(cat(&image, "data.bin") == fs::read(famfs_testdata("data5000.bin")).unwrap());
    for (file, told) in [("nope", "no file"), ("../x", ".."), ("/data.bin", "absolute"), ("", "empty")] {
        let refused = farrow(&["cat", image.to_str().unwrap(), file]);
        let code = if told == "no file" { 3 } else { 1 };
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(code), 0), "{file}");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains(told), "{file}: {text}");
    }
}
