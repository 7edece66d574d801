use super::*;

/// Three entries: a program, tmpfs with some huge pages, hugetlbfs.
const SMAPS: &str = "\
55d0c0000000-55d0c0001000 r-xp 00000000 fe:00 123   /usr/bin/cat - and more
Size:                  4 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                   4 kB
ShmemPmdMapped:        0 kB
FilePmdMapped:         0 kB
VmFlags: rd ex mr mw me
7f0000000000-7f0000800000 rw-s 00000000 00:1b 7     /dev/shm/region
Size:               8192 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                6148 kB
AnonHugePages:         0 kB
ShmemPmdMapped:     4096 kB
FilePmdMapped:         0 kB
Shared_Hugetlb:        0 kB
VmFlags: rd wr sh mr mw me ms dc dd
7f0000800000-7f0000c00000 rw-s 00000000 00:0f 8     /dev/hugepages/region
Size:               4096 kB
KernelPageSize:     2048 kB
MMUPageSize:        2048 kB
Rss:                   0 kB
ShmemPmdMapped:        0 kB
Shared_Hugetlb:     4096 kB
VmFlags: rd wr sh mr mw me ms de ht
";

const MIB: u64 = 1 << 20;

#[test]
fn pages_of_each_kind() {
    for (addresses, expected, huge, text) in [
        (
            0x7f00_0000_0000..0x7f00_0080_0000,
            PageUse { mapped: 8 * MIB, huge: 4 * MIB, resident: 6148 << 10, direct: 0 },
            false,
            "4194304 of 8388608 bytes in huge pages",
        ),
        (
            0x7f00_0080_0000..0x7f00_00c0_0000,
            PageUse { mapped: 4 * MIB, huge: 4 * MIB, resident: 4 * MIB, direct: 0 },
            true,
            "all 4194304 bytes in huge pages",
        ),
        // A mapping that the kernel has split.
        (
            0x7f00_0000_0000..0x7f00_00c0_0000,
            PageUse { mapped: 12 * MIB, huge: 8 * MIB, resident: (6148 << 10) + 4 * MIB, direct: 0 },
            false,
            "8388608 of 12582912 bytes in huge pages",
        ),
        // One that the kernel has joined with another.
        (
            0x7f00_0000_0000..0x7f00_0020_0000,
            PageUse { mapped: 2 * MIB, huge: 2 * MIB, resident: 2 * MIB, direct: 0 },
            true,
            "all 2097152 bytes in huge pages",
        ),
        (
            0x55d0_c000_0000..0x55d0_c000_1000,
            PageUse { mapped: 4096, huge: 0, resident: 4096, direct: 0 },
            false,
            "0 of 4096 bytes in huge pages",
        ),
        (0x1000..0x2000, PageUse::default(), false, "0 of 0 bytes in huge pages"),
    ] {
        let found = PageUse::in_smaps(SMAPS, addresses);
        assert_eq!((found, found.is_huge(), found.to_string().as_str()), (expected, huge, text));
        assert_eq!(found.advice().is_none(), huge);
        assert_eq!(found.of_resident(), PageUse { mapped: expected.resident, ..expected });
    }
}

/// A device's memory behind a file system: smaps has the mapping, and no page of it.
#[test]
fn memory_of_a_device_is_called_that() {
    let smaps = "7f0000000000-7f0000800000 rw-s 00000000 00:2f 7 /mnt/famfs/farrow/pool/0000\nKernelPageSize: 4 kB\n\
                 Rss: 0 kB\nShmemPmdMapped: 0 kB\nFilePmdMapped: 0 kB\n";
    let found = PageUse::told(smaps, 0x7f00_0000_0000..0x7f00_0080_0000, true);
    assert_eq!(found, PageUse { mapped: 8 * MIB, huge: 0, resident: 8 * MIB, direct: 8 * MIB });
    assert_eq!(found.to_string(), "8388608 bytes of a device's memory, mapped directly");
    assert_eq!((found.advice(), found.of_resident()), (None, found));
    // Of several files: what is not the device's is judged as ever.
    let (huge, small) =
        (PageUse { mapped: 9 * MIB, huge: MIB, ..found }, PageUse { mapped: 9 * MIB, ..found });
    assert!(huge.is_huge() && huge.to_string().ends_with("; all 1048576 bytes in huge pages"), "{huge}");
    assert!(small.advice().is_some() && small.to_string().ends_with("; 0 of 1048576 bytes in huge pages"));
    let file = tempfile::tempfile().unwrap();
    assert!(!is_direct(std::os::fd::AsFd::as_fd(&file)), "of the file system of temporary files");
}

#[test]
fn odd_lines() {
    let smaps = "x\n-\nzz-zz\n7f0000000000-7f0000800000 rw-s\nKernelPageSize: many kB\nRss: 5\nShmemPmdMapped:\n\
                 FilePmdMapped: 99999999999999999999 kB\nRss: 18446744073709551615 kB\n";
    let found = PageUse::in_smaps(smaps, 0x7f00_0000_0000..0x7f00_0080_0000);
    assert_eq!(found, PageUse { mapped: 8 * MIB, huge: 0, resident: 8 * MIB, direct: 0 });
}
