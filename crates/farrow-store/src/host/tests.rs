use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";

#[test]
fn the_explicit_file_counts_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uuid");
    std::fs::write(&path, format!("{UUID}\n")).unwrap();
    assert_eq!(HostId::discover(Some(&path)).unwrap().to_string(), UUID);

    let missing = HostId::discover(Some(&dir.path().join("none"))).unwrap_err();
    assert!(matches!(missing, StoreError::HostId { fault: HostIdFault::Io(_), .. }), "{missing}");
    for bad in ["", "host", "00000000-0000-0000-0000-000000000000", "00112233445566778899aabbccddeeff"] {
        std::fs::write(&path, bad).unwrap();
        let error = HostId::discover(Some(&path)).unwrap_err();
        assert!(matches!(error, StoreError::HostId { fault: HostIdFault::NotUuid { .. }, .. }), "{bad:?}");
    }
}

#[test]
fn an_identity_that_others_can_write_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uuid");
    std::fs::write(&path, UUID).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let error = HostId::discover(Some(&path)).unwrap_err();
    assert!(matches!(error, StoreError::HostId { fault: HostIdFault::Distrusted(_), .. }), "{error}");
    assert!(error.to_string().contains("chmod go-w"), "{error}");
    // Neither is one passed over for the machine id.
    assert!(discover_in(&path, Path::new(MACHINE_ID)).is_err());
}

#[test]
fn famfs_goes_before_the_machine_id() {
    let dir = tempfile::tempdir().unwrap();
    let (famfs, machine) = (dir.path().join("system_uuid"), dir.path().join("machine-id"));
    std::fs::write(&machine, "0123456789abcdef0123456789abcdef\n").unwrap();
    let derived = discover_in(&famfs, &machine).unwrap();
    // Pinned: a change would make every host without famfs tools another host.
    assert_eq!(derived.to_string(), "f7ca9654-dfa7-56f8-bda0-e0f321c7c9fd");
    assert_eq!(derived.get_version_num(), 5);

    std::fs::write(&famfs, UUID).unwrap();
    assert_eq!(discover_in(&famfs, &machine).unwrap().to_string(), UUID);
    std::fs::write(&famfs, "damaged").unwrap();
    assert!(discover_in(&famfs, &machine).is_err(), "never falls back past a damaged file");

    std::fs::remove_file(&famfs).unwrap();
    std::fs::write(&machine, "uninitialized\n").unwrap();
    let error = discover_in(&famfs, &machine).unwrap_err();
    assert!(matches!(error, StoreError::HostId { fault: HostIdFault::NotMachineId, .. }), "{error}");
}
