//! Media cut short, damaged, or of somebody else: every verb says what is wrong, and nothing is written.

use std::fs;

use farrow_integration_tests::{Region, farrow};

const LOG: usize = 0x20_0000;
const ENTRIES: usize = LOG + 48;
const ENTRY: usize = 544;
const MIB: usize = 1 << 20;
const CATALOG: usize = 10 * MIB;

/// Each verb's words about a medium, by its exit code.
struct Told {
    verb: &'static str,
    code: i32,
    text: String,
    data: Vec<u8>,
}

/// Runs every verb that opens the region by its path, but mkfs --force.
fn ask(region: &Region) -> Vec<Told> {
    let path = region.path.to_str().unwrap();
    let mut asked: Vec<_> = [
        ("fsck", vec!["fsck", path]),
        ("log", vec!["log", path]),
        ("cat", vec!["cat", path, "farrow/catalog"]),
        ("df", vec!["df", path]),
        ("export", vec!["export", "--file", "a", "out.arrow", path]),
    ]
    .into_iter()
    .map(|(verb, args)| (verb, farrow(&args)))
    .collect();
    asked.push(("agent", region.command(&[]).output().unwrap()));
    // Last, as it may write.
    asked.push(("mkfs", farrow(&["mkfs", path])));
    let told = asked.into_iter().map(|(verb, output)| {
        let code = output.status.code().unwrap_or_else(|| panic!("{verb}: ended by a signal"));
        let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
        if matches!(verb, "fsck" | "log" | "df") {
            text += &String::from_utf8_lossy(&output.stdout);
        }
        assert!(!text.contains("panicked"), "{verb}: {text}");
        Told { verb, code, text, data: output.stdout }
    });
    told.collect()
}

#[test]
fn a_region_cut_short_is_told_by_every_verb() {
    let region = Region::new("16M");
    let whole = fs::read(&region.path).unwrap();
    let entries = (0..=5).map(|entries| ENTRIES + entries * ENTRY);
    let near =
        entries.chain([4096, LOG, CATALOG, CATALOG + 2 * MIB, whole.len()]).flat_map(|end| [end - 1, end]);
    for len in near.chain([0, 1, 199, 200]).filter(|&len| len < whole.len()) {
        fs::write(&region.path, &whole[..len]).unwrap();
        let expected = if len < 4096 {
            format!("has {len} bytes, and a medium needs at least 4096")
        } else {
            format!("device of 0x1000000 bytes recorded, the medium has {len:#x}")
        };
        for Told { verb, code, text, data } in ask(&region) {
            let whole_catalog = len >= CATALOG + 2 * MIB;
            let code_expected = match verb {
                "fsck" | "log" if len < 4096 => 2,
                // What is there is shown, with a note.
                "cat" if whole_catalog => 0,
                "df" if len >= ENTRIES => 0,
                "cat" | "df" | "export" if len >= 4096 => 7,
                _ => 1,
            };
            assert_eq!(code, code_expected, "{verb} of {len} bytes: {text}");
            match verb {
                "mkfs" if len >= 4096 => assert!(text.contains("--force"), "{len}: {text}"),
                _ => assert!(text.contains(&expected), "{verb} of {len} bytes: {text}"),
            }
            if verb == "cat" && code == 0 {
                assert!(data == whole[CATALOG..CATALOG + 2 * MIB], "cat of {len} bytes");
            }
        }
        let forced = farrow(&["mkfs", "--force", region.path.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&forced.stderr);
        assert_eq!(forced.status.code(), Some(1), "{len}: {text}");
        assert!(text.contains("at least"), "{len}: {text}");
        assert!(fs::read(&region.path).unwrap() == whole[..len], "{len} bytes: something was written");
    }
}

/// Bytes without a pattern, always the same ones (SplitMix64).
fn garbage(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.flatten().take(len).collect()
}

/// A region's bytes, to be changed.
#[derive(Clone)]
struct Image(Vec<u8>);

impl Image {
    fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Puts a checksum over `len` bytes at `at` right behind them, zero-extended.
    fn seal(self, at: usize, len: usize) -> Self {
        let crc = u64::from(crc32fast::hash(&self.0[at..at + len]));
        self.put(at + len, &crc.to_le_bytes())
    }

    /// Reverses the bytes of each integer of these sizes from `at` on.
    fn swap(mut self, mut at: usize, sizes: &[usize]) -> Self {
        for size in sizes {
            self.0[at..at + size].reverse();
            at += size;
        }
        self
    }
}

#[test]
fn damaged_and_foreign_images_are_told_and_left_alone() {
    let region = Region::new("16M");
    let whole = Image(fs::read(&region.path).unwrap());
    let image = || whole.clone();
    let counters = |a: u64, b: u64| image().put(LOG + 32, &[a.to_le_bytes(), b.to_le_bytes()].concat());
    let version = |number: u64, major: u32| {
        image().put(8, &number.to_le_bytes()).put(40, &major.to_le_bytes()).seal(0, 96)
    };
    let path_of_80 = [&[b'x'; 80][..], &[0; 428]].concat();
    // As a machine of the other byte order would store it, checksum and all.
    let superblock = [8, 8, 8, 8, 8, 4, 4, 16, 16, 16];
    let foreign = image().seal(0, 96).swap(0, &superblock[..7]).seal(0, 96).swap(96, &[8, 4, 4, 8]);
    let no_famfs = "no famfs file system here";
    let cases = [
        ("zeros", Image(vec![0; 16 * MIB]), no_famfs),
        ("text", Image(b"some other file\n".repeat(MIB)), no_famfs),
        ("garbage", Image(garbage(1, 16 * MIB)), no_famfs),
        ("garbage in the superblock", image().put(8, &garbage(2, 192)), "is not known"),
        ("garbage for a log", image().put(LOG, &garbage(3, 8 * MIB)), "log header: magic"),
        ("garbage for entries", image().put(ENTRIES, &garbage(4, MIB)), "log entry 0 at 0x200030: crc"),
        ("garbage for a catalog", image().put(CATALOG, &garbage(5, 2 * MIB)), "catalog"),
        ("another byte order", foreign, "byte order of another architecture"),
        ("version 49", version(49, 2), "famfs version 49 with OMF 2.2 is not known"),
        ("OMF 1", version(47, 1), "famfs version 47 with OMF 1.2 is not known"),
        ("OMF 3", version(48, 3), "famfs version 48 with OMF 3.2 is not known"),
        (
            "a path of 80 bytes",
            image().put(ENTRIES + 28, &path_of_80).seal(ENTRIES, 536),
            "log entry 0 at 0x200030: path of 80 bytes, at most 79 fit",
        ),
        (
            "2^63 entries",
            counters(1 << 63, 1 << 63),
            "next index 9223372036854775808, the log has room for 15420",
        ),
        ("2^64 - 1 entries", counters(u64::MAX, u64::MAX), "next index 18446744073709551615"),
        (
            "2^63 entries under a header that is damaged",
            counters(1 << 63, 1 << 63).put(LOG + 24, &[0; 8]),
            "log header: crc",
        ),
    ];
    for (what, Image(bytes), word) in cases {
        fs::write(&region.path, &bytes).unwrap();
        let free_memory = word == no_famfs;
        for Told { verb, code, text, .. } in ask(&region) {
            match verb {
                // What is no famfs at all is memory to be used; everything else is somebody's.
                "mkfs" if free_memory => assert_eq!(code, 0, "{what}: {text}"),
                "mkfs" => assert!(code == 1 && text.contains("--force"), "{what}: {text}"),
                // What can be shown is shown, with a note; a catalog is no business of log and cat.
                "log" | "cat" if code == 0 && word == "catalog" => {}
                "df" | "cat" if code == 0 => assert!(text.contains(word), "{what}: {verb}: {text}"),
                "cat" | "df" | "export" => {
                    assert!(code == 7 && text.contains(word), "{what}: {verb}: {code}, {text}");
                }
                _ => assert!(code == 1 && text.contains(word), "{what}: {verb}: {code}, {text}"),
            }
            if free_memory && verb == "mkfs" {
                fs::write(&region.path, &bytes).unwrap();
            }
        }
        assert!(fs::read(&region.path).unwrap() == bytes, "{what}: something was written");
    }
}

#[test]
fn a_log_that_claims_more_than_was_written_is_no_end_to_the_region() {
    let region = Region::new("16M");
    let whole = Image(fs::read(&region.path).unwrap());
    let (five, most) = (5_u64.to_le_bytes(), (1_u64 << 63).to_le_bytes());
    for (counters, word) in [
        ([most, five], "next sequence number 9223372036854775808, but next index 5"),
        ([five, most], "next sequence number 5, but next index 9223372036854775808"),
        ([15_420_u64.to_le_bytes(); 2], "log entry 5 at 0x200ad0: crc 0x0 stored"),
    ] {
        let Image(bytes) = whole.clone().put(LOG + 32, &counters.concat());
        fs::write(&region.path, bytes).unwrap();
        for verb in ["fsck", "log"] {
            let told = farrow(&[verb, region.path.to_str().unwrap()]);
            let text = String::from_utf8_lossy(&told.stdout);
            assert!(told.status.code() == Some(1) && text.contains(word), "{verb}: {text}");
        }
        drop(region.agent());
    }
}

#[test]
fn a_file_longer_than_addresses_reach_is_told() {
    let region = Region::unmade();
    let file = fs::File::create(&region.path).unwrap();
    if let Err(error) = file.set_len(1 << 60) {
        farrow_integration_tests::skipped(&format!(
            "a file of an exbibyte (the file system has none: {error})"
        ));
        return;
    }
    for Told { verb, code, text, .. } in ask(&region) {
        assert_eq!(code, if matches!(verb, "fsck" | "log") { 2 } else { 1 }, "{verb}: {text}");
        assert!(text.contains(region.path.to_str().unwrap()), "{verb}: {text}");
    }
}
