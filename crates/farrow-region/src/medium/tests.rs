use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

use super::*;
use crate::FileRange;
use crate::sysfs_double::DaxTree;

const PAGE: usize = 4096;
const MIB2: usize = 2 << 20;

#[test]
fn a_device_dax_device() {
    let tree = DaxTree::new(252, 5, "268435456", "2097152");
    let medium = dax_device(tree.root(), 252, 5, PAGE).unwrap();
    assert_eq!(medium, Some(Medium { kind: MediumKind::DeviceDax, len: 256 << 20, unit: MIB2 }));
    assert_eq!(dax_device(tree.root(), 252, 6, PAGE).unwrap(), None, "another number");
}

#[test]
fn sizes_and_alignments() {
    for (size, align, expected) in [
        ("4096", "4096", Some((4096, 4096))),
        ("1073741824\n", "1073741824\n", Some((1 << 30, 1 << 30))),
        ("0x10000000", "0x200000", Some((256 << 20, MIB2))),
        // What is past the last whole unit cannot be mapped.
        ("6291455", "2097152", Some((4 << 20, MIB2))),
        ("2097151", "2097152", Some((0, MIB2))),
        ("18446744073709551615", "4096", Some((u64::MAX - 4095, 4096))),
        ("18446744073709551616", "4096", None),
        ("0", "2097152", None),
        ("", "2097152", None),
        ("-1", "2097152", None),
        ("256M", "2097152", None),
        ("268435456", "", None),
        ("268435456", "0", None),
        ("268435456", "2048", None),
        ("268435456", "3145728", None),
        ("268435456", "2 MiB", None),
    ] {
        let tree = DaxTree::new(252, 0, size, align);
        match (dax_device(tree.root(), 252, 0, PAGE), expected) {
            (Ok(Some(medium)), Some((len, unit))) => assert_eq!((medium.len, medium.unit), (len, unit)),
            (Err(RegionError::Sysfs { path, .. }), None) => {
                assert!(path.ends_with("size") || path.ends_with("align"), "{path:?}");
            }
            (found, _) => panic!("{size:?}, {align:?}: {found:?}"),
        }
    }
}

#[test]
fn the_alignment_of_older_kernels_is_the_regions() {
    let tree = DaxTree::new(252, 0, "268435456", "4096");
    fs::remove_file(tree.device().join("align")).unwrap();
    let missing = dax_device(tree.root(), 252, 0, PAGE).unwrap_err();
    assert!(
        matches!(&missing, RegionError::Io { action: "read", what, .. } if what.contains("align")),
        "{missing}"
    );
    let region = tree.device().with_file_name("dax_region");
    fs::create_dir(&region).unwrap();
    fs::write(region.join("align"), "2097152\n").unwrap();
    assert_eq!(dax_device(tree.root(), 252, 0, PAGE).unwrap().unwrap().unit, MIB2);
}

#[test]
fn a_device_whose_driver_does_not_map() {
    let tree = DaxTree::new(252, 0, "268435456", "2097152");
    tree.driver("device_dax");
    dax_device(tree.root(), 252, 0, PAGE).unwrap().unwrap();
    for driver in ["kmem", "fsdev_dax"] {
        tree.driver(driver);
        let error = dax_device(tree.root(), 252, 0, PAGE).unwrap_err();
        assert!(matches!(&error, RegionError::Sysfs { found, .. } if found == driver), "{error}");
        let message = error.to_string();
        assert!(
            message.ends_with("and should say device_dax, the driver whose node can be mapped"),
            "{message}"
        );
    }
}

#[test]
fn a_character_device_of_another_subsystem() {
    let tree = DaxTree::new(252, 0, "268435456", "2097152");
    fs::remove_file(tree.device().join("subsystem")).unwrap();
    assert_eq!(dax_device(tree.root(), 252, 0, PAGE).unwrap(), None, "no subsystem");
    symlink("../../../../bus/nvdimm", tree.device().join("subsystem")).unwrap();
    assert_eq!(dax_device(tree.root(), 252, 0, PAGE).unwrap(), None);
}

/// `/dev/null` is 1:3; with a tree that calls 1:3 a device-dax device it is one, by its path and opened.
#[test]
fn the_number_of_a_node_leads_to_its_description() {
    let tree = DaxTree::new(1, 3, "4194304", "2097152");
    let expected = Medium { kind: MediumKind::DeviceDax, len: 4 << 20, unit: MIB2 };
    assert_eq!(Medium::at(Path::new("/dev/null"), tree.root()).unwrap(), expected);
    let file = File::open("/dev/null").unwrap();
    assert_eq!(Medium::of(file.as_fd(), String::new(), tree.root()).unwrap(), expected);
    let error = Medium::at(Path::new("/dev/zero"), tree.root()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/dev/zero is a character device other than device-dax, and a medium is a regular file, \
         a device-dax node (/dev/dax0.0) or a PCI BAR (resource2)"
    );
}

/// Lines as ivshmem's: registers, MSI-X, the shared memory (64 bits wide, so that BAR 3 is its upper
/// half); and a BAR of ports.
const IVSHMEM: &str = "\
0x00000000febf1000 0x00000000febf10ff 0x0000000000040200
0x00000000febf2000 0x00000000febf2fff 0x0000000000040200
0x00000000e0000000 0x00000000efffffff 0x000000000014220c
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x000000000000c000 0x000000000000c03f 0x0000000000040101
";

fn bar(file: &str, resource: &str, size: u64) -> Result<Option<Medium>, RegionError> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("resource"), resource).unwrap();
    pci_bar(&directory.path().join(file), size, PAGE)
}

#[test]
fn a_pci_bar() {
    let medium = Medium { kind: MediumKind::PciBar, len: 256 << 20, unit: PAGE };
    assert_eq!(bar("resource2", IVSHMEM, 256 << 20).unwrap(), Some(medium));
    assert_eq!(bar("resource2_wc", IVSHMEM, 256 << 20).unwrap(), Some(medium));
    // Less than a page: nothing of it can be mapped alone.
    assert_eq!(bar("resource0", IVSHMEM, 256).unwrap().unwrap().len, 0);
}

#[test]
fn what_is_no_pci_bar() {
    for file in ["resource", "resource6", "resource22", "resource-1", "resource2_wb", "rom", "config", "size"]
    {
        assert_eq!(bar(file, IVSHMEM, 4096).unwrap(), None, "{file}");
    }
    for (file, resource, size) in [
        ("resource4", IVSHMEM, 64),
        ("resource3", IVSHMEM, 1),
        ("resource5", IVSHMEM, 4096),
        ("resource2", IVSHMEM, (256 << 20) - 1),
        ("resource2", IVSHMEM, 0),
        ("resource0", "", 4096),
        ("resource0", "0x1000 0x1fff", 4096),
        ("resource0", "0x1000 zzz 0x200", 4096),
        ("resource0", "0x1fff 0x1000 0x200", 4096),
        ("resource0", "0x0 0xffffffffffffffff 0x200", 0),
    ] {
        let result = bar(file, resource, size);
        assert!(matches!(result, Err(RegionError::Sysfs { .. })), "{file}, {resource:?}: {result:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let error = pci_bar(&directory.path().join("resource2"), 4096, PAGE).unwrap_err();
    assert!(matches!(error, RegionError::Io { action: "read", .. }), "{error}");
}

/// Looks at the BARs of this machine, and touches none.
#[test]
fn the_bars_of_this_machine() {
    let devices = fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let bars = devices.flat_map(|device| (0..6).map(move |bar| device.path().join(format!("resource{bar}"))));
    let mut found = 0;
    for path in bars.filter(|path| path.exists()) {
        match Medium::at(&path, Path::new(SYSFS)) {
            Ok(medium) => assert_eq!(medium.kind, MediumKind::PciBar, "{path:?}"),
            // A BAR of ports.
            Err(RegionError::Sysfs { .. }) => {}
            Err(other) => panic!("{path:?}: {other}"),
        }
        found += 1;
    }
    if found == 0 {
        crate::skipped("the size of a real PCI BAR: no device of this machine has one");
    }
}

#[test]
fn a_file_of_sysfs_that_is_no_bar() {
    let path = Path::new("/sys/kernel/mm/transparent_hugepage/enabled");
    match Medium::at(path, Path::new(SYSFS)) {
        Err(RegionError::NotAFile { kind: "a file in sysfs other than a PCI BAR", .. }) => {}
        _ if !path.exists() => crate::skipped("a file of sysfs: there is no /sys with huge pages here"),
        other => panic!("{other:?}"),
    }
}

/// Says what hugetlbfs is without needing a page of it.
#[test]
fn a_file_with_larger_pages() {
    let flags = rustix::fs::MemfdFlags::HUGETLB | rustix::fs::MemfdFlags::HUGE_2MB;
    let fd = match rustix::fs::memfd_create("farrow", flags) {
        Ok(fd) => fd,
        Err(error) => return crate::skipped(&format!("the page size of hugetlbfs: {error}")),
    };
    rustix::fs::ftruncate(&fd, 6 << 20).unwrap();
    let medium = Medium::of(fd.as_fd(), String::new(), Path::new(SYSFS)).unwrap();
    assert_eq!(medium, Medium { kind: MediumKind::File, len: 6 << 20, unit: MIB2 });
    // As for devices: what lies past the last whole page does not count.
    assert_eq!(whole_units((6 << 20) + 5, MIB2), 6 << 20);
}

/// The daemon of a famfs over FUSE answers statfs of every file with an error. (It is tried on a FUSE file system in
/// `integration-tests/tests/it/fuse.rs`.)
#[test]
fn a_file_whose_file_system_does_not_answer() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(5000).unwrap();
    let stat = rustix::fs::fstat(file.as_file()).unwrap();
    let no_path = || panic!("only sysfs needs the path");
    let facts = Facts { what: String::new(), stat, file_system: None, path: &no_path };
    let expected = Medium { kind: MediumKind::File, len: 5000, unit: PAGE };
    assert_eq!(facts.medium(Path::new(SYSFS)).unwrap(), expected);
}

#[test]
fn a_block_device() {
    let devices = fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    let nodes = devices.map(|device| Path::new("/dev").join(device.file_name()));
    let Some(node) = nodes.into_iter().find(|node| node.exists()) else {
        return crate::skipped("a block device: this machine has none");
    };
    let error = Medium::at(&node, Path::new(SYSFS)).unwrap_err();
    assert!(matches!(error, RegionError::NotAFile { kind: "a block device", .. }), "{error}");
    // By the way everybody takes.
    let error = crate::FileMedia::open(&node, crate::Access::ReadOnly).unwrap_err();
    assert!(matches!(error, RegionError::NotAFile { kind: "a block device", .. }), "{error}");
}

/// For the real thing: a device-dax node named by the environment.
#[test]
fn a_real_device_dax_node() {
    let Some(path) = std::env::var_os("FARROW_TEST_DAX").map(PathBuf::from) else {
        return crate::skipped(
            "a real device-dax node: FARROW_TEST_DAX names none \
             (its content would be lost; cargo xtask guest has one)",
        );
    };
    real_device(&path, MediumKind::DeviceDax);
    crate::family::tests::a_device(&path, true);
    crate::bus::tests::a_poisoned_page_of_a_device(&path);
}

/// For the real thing: the memory of an ivshmem device.
#[test]
fn a_real_pci_bar() {
    let Some(path) = std::env::var_os("FARROW_TEST_BAR").map(PathBuf::from) else {
        return crate::skipped(
            "a real PCI BAR: FARROW_TEST_BAR names none (its content would be lost; cargo xtask guest has one)",
        );
    };
    real_device(&path, MediumKind::PciBar);
    crate::family::tests::a_device(&path, false);
}

fn real_device(path: &Path, kind: MediumKind) {
    use crate::{Access, Coherency, FileMedia, Media, ReadMapping, WriteMapping};
    let media = FileMedia::open(path, Access::ReadWrite).unwrap().with_coherency(Coherency::Software);
    assert_eq!(media.kind(), kind);
    assert!(media.unit().is_power_of_two() && media.len().is_multiple_of(media.unit()));
    let error = FileMedia::create(path, media.len(), true).unwrap_err();
    assert!(matches!(error, RegionError::IsADevice { kind: k, .. } if k == kind), "{error}");
    if kind == MediumKind::DeviceDax {
        let used = media.page_use().unwrap();
        assert!(used.is_huge(), "{used}");
        assert_eq!(media.unit(), MIB2 as u64);
    }
    let last = media.len() - 8;
    for offset in [0, 4096, last] {
        media.store_u64(offset, offset + 1).unwrap();
        media.persist(offset, 8).unwrap();
        assert_eq!(media.load_u64(offset).unwrap(), offset + 1);
    }
    let whole = [FileRange { offset: 0, len: media.len() }];
    let reader = ReadMapping::map(File::open(path).unwrap(), &whole).unwrap();
    let sealed = reader.sealed(usize::try_from(last).unwrap(), 8, ()).unwrap();
    assert_eq!(sealed.as_ref(), (last + 1).to_le_bytes());
    let fd = media.reopen(Access::ReadWrite).unwrap();
    let writer = WriteMapping::map(&fd, &[FileRange { offset: 4096, len: 4096 }]).unwrap();
    writer.write_at(0, b"through a mapping").unwrap();
    writer.persist(0, 17).unwrap();
    let mut bytes = [0; 17];
    media.read_at(4096, &mut bytes).unwrap();
    assert_eq!(&bytes, b"through a mapping");
    // A descriptor as an agent gives it to applications.
    let passed = media.reopen(Access::ReadOnly).unwrap();
    let page = [FileRange { offset: 4096, len: 4096 }];
    ReadMapping::map(&passed, &page).unwrap().read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"through a mapping");
    let error = WriteMapping::map(&passed, &page).unwrap_err();
    let RegionError::Io { action: "map", source, .. } = error else { panic!("{error}") };
    assert_eq!(source.raw_os_error(), Some(rustix::io::Errno::ACCESS.raw_os_error()));
    let past_end = [FileRange { offset: 0, len: media.len() + 1 }];
    let error = ReadMapping::map(File::open(path).unwrap(), &past_end).unwrap_err();
    assert!(matches!(error, RegionError::RangePastEnd { .. }), "{error}");
}
