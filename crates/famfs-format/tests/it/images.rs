//! Images the real tools wrote, against what the famfs library read back from them (testdata/README.md).

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use famfs_format::{
    ENTRY_LEN, EntryBody, EntryError, Extent, FileEntry, FileMap, FormatError, FormatVersion, LOG_HEADER_LEN,
    LogEntry, LogHeader, Namespace, SUPERBLOCK_LEN, Structure, Superblock, entry_offset,
};
use serde_json::{Value, json};

use crate::region::{MIB, path};

const LOG: usize = 0x20_0000;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

struct Image {
    bytes: Vec<u8>,
    dump: Value,
    superblock: Superblock,
    header: LogHeader,
}

impl Image {
    fn open(name: &str) -> Self {
        let packed = fs::read(testdata(&format!("{name}.head16m.zst"))).expect("the image");
        let mut bytes = Vec::new();
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(packed.as_slice()).expect("a zstd frame");
        decoder.read_to_end(&mut bytes).expect("the whole image");
        assert_eq!(bytes.len() as u64, 16 * MIB);
        let dump = fs::read_to_string(testdata(&format!("{name}.dump.json"))).expect("the dump");
        let dump = serde_json::from_str(&dump).expect("JSON");
        let superblock = Superblock::decode(&bytes).expect("a valid superblock");
        let header = LogHeader::decode(&bytes[LOG..], &superblock).expect("a valid header");
        Self { bytes, dump, superblock, header }
    }

    fn at(&self, offset: u64, len: usize) -> &[u8] {
        let start = usize::try_from(offset).expect("inside the image");
        &self.bytes[start..start + len]
    }

    fn entry(&self, index: u64) -> &[u8] {
        self.at(entry_offset(index), ENTRY_LEN)
    }

    /// Replays the log and, on the way, holds each entry against the dump, its own encoding against its bytes,
    /// and the allocator against the place where famfs put the file.
    fn replay(&self) -> Namespace {
        let mut namespace = Namespace::new(&self.superblock);
        let expected = self.dump["entries"].as_array().expect("entries");
        assert_eq!(expected.len() as u64, self.header.next_index());
        for (index, expected) in (0..).zip(expected) {
            let before = namespace.clone();
            let entry = namespace.apply_bytes(self.entry(index)).expect("a valid entry");
            let mut described = describe(&entry);
            described["index"] = index.into();
            described["crc"] = expected["crc"].clone();
            described["errors"] = 0.into();
            assert_eq!(described, *expected);
            assert_eq!(entry.encode().expect("valid").as_slice(), self.entry(index));
            if let EntryBody::File(FileEntry { size, map: FileMap::Simple(extents), .. }) = &entry.body {
                assert_eq!(*extents, [before.allocate(*size).expect("room")], "entry {index}");
            }
            let taken: u64 = match &entry.body {
                EntryBody::File(file) => file.map.extents().iter().map(|extent| extent.len).sum(),
                _ => 0,
            };
            assert_eq!(before.free_bytes() - namespace.free_bytes(), taken);
        }
        assert_eq!(namespace.stopped_at(), None);
        // What follows the last entry was never written.
        namespace.clone().apply_bytes(self.entry(self.header.next_index())).expect_err("no entry");
        namespace
    }
}

/// An entry the way the famfs library's dump has it.
fn describe(entry: &LogEntry) -> Value {
    let extents = |extents: &[Extent]| -> Value {
        extents.iter().map(|e| json!({"dev": e.dev_index, "offset": e.offset, "len": e.len})).collect()
    };
    match &entry.body {
        EntryBody::File(file) => {
            let mut value = json!({
                "seqnum": entry.seqnum, "type": 0, "kind": "file", "path": file.path.as_str(),
                "size": file.size, "flags": file.flags, "uid": file.uid, "gid": file.gid,
                "mode": format!("0{:o}", file.mode),
            });
            match &file.map {
                FileMap::Simple(simple) => {
                    value["ext_type"] = 0.into();
                    value["extents"] = extents(simple);
                }
                FileMap::Interleaved { chunk_size, strips } => {
                    value["ext_type"] = 1.into();
                    value["niext"] = 1.into();
                    value["nstrips"] = strips.len().into();
                    value["chunk_size"] = (*chunk_size).into();
                    value["strips"] = extents(strips);
                }
            }
            value
        }
        EntryBody::Mkdir(dir) => json!({
            "seqnum": entry.seqnum, "type": 1, "kind": "mkdir", "path": dir.path.as_str(),
            "uid": dir.uid, "gid": dir.gid, "mode": format!("0{:o}", dir.mode),
        }),
        EntryBody::AddDaxdev(_) => panic!("no image has one"),
    }
}

#[test]
fn superblocks_and_headers_are_those_of_the_dumps() {
    for name in ["empty", "onefile", "nested100", "interleaved"] {
        let Image { bytes, dump, superblock, header } = Image::open(name);
        let expected = &dump["superblock"];
        assert_eq!(superblock.version, FormatVersion::V48);
        assert_eq!(superblock.log_len, expected["log_len"].as_u64().unwrap());
        assert_eq!(superblock.alloc_unit, expected["alloc_unit"].as_u64().unwrap());
        assert_eq!(superblock.uuid.to_string(), expected["uuid"].as_str().unwrap());
        assert_eq!(superblock.dev_uuid.to_string(), expected["dev_uuid"].as_str().unwrap());
        assert_eq!(superblock.system_uuid.to_string(), expected["system_uuid"].as_str().unwrap());
        assert_eq!(superblock.device_len, expected["dd_size"].as_u64().unwrap());
        assert_eq!(superblock.device_path, expected["dd_daxdev"].as_str().unwrap().as_bytes());
        assert_eq!(superblock.data_offset(), 10 * MIB);

        assert_eq!(header.len(), dump["log"]["len"].as_u64().unwrap());
        assert_eq!(header.last_index(), dump["log"]["last_index"].as_u64().unwrap());
        assert_eq!(header.next_index(), dump["log"]["next_index"].as_u64().unwrap());

        // The devices were zeroed files, so that even what mkfs does not write is as `encode` has it.
        assert_eq!(superblock.encode().unwrap(), bytes[..SUPERBLOCK_LEN]);
        assert_eq!(header.encode(), bytes[LOG..LOG + LOG_HEADER_LEN]);
    }
}

#[test]
fn each_struct_cut_at_any_byte_is_told_by_what_it_lacks() {
    for name in ["empty", "onefile", "nested100", "interleaved"] {
        let image = Image::open(name);
        for found in 0..SUPERBLOCK_LEN {
            let structure = Structure::Superblock;
            let expected = FormatError::Truncated { structure, need: SUPERBLOCK_LEN, found };
            assert_eq!(Superblock::decode(image.at(0, found)), Err(expected), "{name}");
        }
        for found in 0..LOG_HEADER_LEN {
            let structure = Structure::LogHeader;
            let expected = FormatError::Truncated { structure, need: LOG_HEADER_LEN, found };
            assert_eq!(LogHeader::decode(image.at(LOG as u64, found), &image.superblock), Err(expected));
        }
        for index in 0..image.header.next_index() {
            for found in 0..ENTRY_LEN {
                let cut = image.at(entry_offset(index), found);
                let expected = FormatError::Entry { index, problem: EntryError::Truncated { found } };
                assert_eq!(LogEntry::decode(cut, index, image.superblock.version), Err(expected), "{name}");
            }
        }
    }
}

#[test]
fn an_empty_file_system_is_all_free() {
    let image = Image::open("empty");
    let namespace = image.replay();
    assert_eq!((namespace.files().len(), namespace.dirs().len()), (0, 0));
    assert_eq!(namespace.free_bytes(), 4096 * MIB - 10 * MIB);
    assert_eq!(namespace.largest_free(), namespace.free_bytes());
}

#[test]
fn a_file_is_found_with_its_bytes() {
    let image = Image::open("onefile");
    let namespace = image.replay();
    let file = namespace.file(&path("data.bin")).unwrap();
    let (offset, len) = file.resolve(0).unwrap();
    assert_eq!(len, 5000);
    assert_eq!(image.at(offset, 5000), fs::read(testdata("data5000.bin")).unwrap());
    assert_eq!(file.resolve(4999), Some((offset + 4999, 1)));
    assert_eq!(file.resolve(5000), None);
}

#[test]
fn a_hundred_files_in_nested_directories_are_found() {
    let namespace = Image::open("nested100").replay();
    assert_eq!((namespace.files().len(), namespace.dirs().len()), (100, 6));
    let file = namespace.file(&path("a/b/c/f01")).unwrap();
    assert_eq!((file.size, file.uid, file.gid, file.mode), (4097, 1000, 100, 0o640));
    assert!(namespace.dir(&path("x/y/z")).is_some());
    assert_eq!(namespace.allocate(1).unwrap().offset, 375_390_208, "right behind the last file");
}

#[test]
fn an_interleaved_file_is_where_its_map_says() {
    let image = Image::open("interleaved");
    let namespace = image.replay();
    let file = namespace.file(&path("il4.bin")).unwrap();
    let mut pages = 0;
    let mut file_offset: u64 = 0;
    for (offset, len) in file.runs() {
        if offset + len <= 16 * MIB {
            for page in (0..len).step_by(4096) {
                let word = (file_offset + page).to_le_bytes();
                assert!(image.at(offset + page, 4096).chunks(8).all(|found| found == word));
                pages += 1;
            }
        }
        file_offset += len;
    }
    assert_eq!(file_offset, file.size);
    assert_eq!(pages, 3 * 512, "three chunks are in the head of the image");
}

#[test]
fn what_is_allocated_beside_strips_is_free() {
    let namespace = Image::open("interleaved").replay();
    assert_eq!(namespace.allocate(1).unwrap().offset, 39_845_888, "right behind plain.bin");
    // The first gap has 986 MiB; the next one, behind the strips in the second GiB, exactly 1000.
    let large = namespace.allocate(1000 * MIB).unwrap();
    assert_eq!(large, Extent { dev_index: 0, offset: 1_098_907_648, len: 1000 * MIB });
    assert_eq!(
        namespace.allocate(1008 * MIB + 1).unwrap_err().to_string(),
        "no room for a famfs file: \
        need 0x3f200000 contiguous bytes, largest free range 0x3f000000, 0x1f5200000 free in all"
    );
}
