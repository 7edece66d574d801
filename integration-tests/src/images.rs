//! Images that the famfs tools wrote.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Region;

/// A file of the images' test data.
pub fn famfs_testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/famfs-format/testdata").join(name)
}

/// An image that the famfs tools wrote, beside the region and as large as its device was, and what its dump says
/// of it. What follows the first 16 MiB is a hole.
///
/// # Panics
/// If there is none of that name, or no room for it.
pub fn famfs_image(region: &Region, name: &str) -> (PathBuf, Value) {
    let dump = fs::read(famfs_testdata(&format!("{name}.dump.json"))).expect("a dump");
    let dump: Value = serde_json::from_slice(&dump).expect("JSON");
    let path = region.beside(name);
    let packed = File::open(famfs_testdata(&format!("{name}.head16m.zst"))).expect("an image");
    let mut head = ruzstd::decoding::StreamingDecoder::new(packed).expect("a zstd frame");
    let mut file = File::create(&path).expect("can be made");
    io::copy(&mut head, &mut file).expect("can be unpacked");
    file.set_len(dump["superblock"]["dd_size"].as_u64().expect("a length")).expect("can be extended");
    (path, dump)
}
