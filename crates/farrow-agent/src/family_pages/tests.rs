use farrow_region::Family;
use std::sync::Arc;

use super::*;

const ONE: ProcessId = ProcessId { pid: 17, start_time: 1_000 };
const TWO: ProcessId = ProcessId { pid: 18, start_time: 2_000 };

fn pages(directory: &Path, first: u64) -> FamilyPages {
    FamilyPages::open(&directory.join("pages"), first).unwrap()
}

/// A process that has the page, as far as the kernel knows.
fn mapped(pages: &mut FamilyPages, process: ProcessId) -> (Arc<Family>, u64) {
    let (page, number) = pages.make(process, 0).unwrap();
    let family = Family::new();
    assert!(family.enter(&page, number).unwrap());
    (family, number)
}

#[test]
fn a_page_lasts_as_long_as_its_mapping_and_over_the_end_of_an_agent() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = pages(directory.path(), 1);
    let (family, number) = mapped(&mut first, ONE);
    let (unmapped, other) = first.make(TWO, 7).unwrap();
    assert_eq!(first.look_at_all_of(ONE), BTreeSet::from([number]));
    assert_eq!(first.look_at_all_of(TWO), BTreeSet::from([other]), "on its way");
    drop((first, unmapped));

    let mut next = pages(directory.path(), 1 << 32);
    assert_eq!(next.look_at_all_of(ONE), BTreeSet::from([number]));
    assert!(next.look_at_all_of(TWO).is_empty());
    drop(family);
    next.look_around(|_| true);
    assert!(next.of(ONE).is_empty());
    assert_eq!(std::fs::read_dir(directory.path().join("pages")).unwrap().count(), 0);
    assert_ne!(next.make(ONE, 0).unwrap().1, number, "a number is given once");
}

#[test]
fn what_cannot_be_asked_counts_as_held() {
    let directory = tempfile::tempdir().unwrap();
    let mut found = pages(directory.path(), 1);
    let (family, number) = mapped(&mut found, ONE);
    drop(family);
    let file = directory.path().join(format!("pages/17.1000.0.{number}"));
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    assert_eq!(found.look_at_all_of(ONE), BTreeSet::from([number]));
}

#[test]
fn only_pages_where_one_may_be_over_are_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let mut found = pages(directory.path(), 1);
    let (family, number) = mapped(&mut found, ONE);
    drop(family);
    found.look_around(|_| true);
    assert_eq!(found.of(ONE), BTreeSet::from([number]), "its process lives, and has not forked");
    assert!(found.share(ONE, number, 1) && !found.share(TWO, number, 1));
    found.look_around(|_| true);
    assert!(found.of(ONE).is_empty());
    let (_family, number) = mapped(&mut found, ONE);
    let (gone, _) = mapped(&mut found, TWO);
    drop(gone);
    found.look_around(|_| false);
    assert!(found.of(ONE).contains(&number) && found.of(TWO).is_empty());
}

#[test]
fn a_process_and_a_user_have_so_many() {
    let directory = tempfile::tempdir().unwrap();
    let mut found = pages(directory.path(), 1);
    for _ in 0..PAGES_OF_PROCESS {
        drop(found.make(ONE, 5).unwrap());
    }
    let refused = found.make(ONE, 5).unwrap_err().to_string();
    assert!(refused.contains("257 pages of one process"), "{refused}");
    drop(found.make(TWO, 5).unwrap());
    // Those that nobody has are found, since they are many.
    found.look_around(|_| true);
    assert!(found.make(ONE, 5).is_ok());
}

#[test]
fn a_directory_that_others_can_change_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    drop(pages(directory.path(), 1));
    let path = directory.path().join("pages");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o770)).unwrap();
    let error = FamilyPages::open(&path, 1).err().unwrap();
    assert!(format!("{error:#}").contains("others could change it"), "{error:#}");
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink(directory.path(), &path).unwrap();
    assert!(FamilyPages::open(&path, 1).is_err(), "a link");
}
