use farrow_region::FileMedia;
use farrow_store::{FormatOptions, Store};
use uuid::Uuid;

use super::*;

const HOST: Uuid = Uuid::from_u128(1);
/// More than are looked up at a time.
const RULES: usize = 3 * PAGE + 1;

fn prefix(number: usize) -> Prefix {
    Prefix::parse(&format!("p{number:04}/")).unwrap()
}

fn name(number: usize) -> FrameName {
    FrameName::parse(&format!("n{number:04}")).unwrap()
}

fn set(store: &Store, target: RetentionTarget, last: u64) {
    let retention = NonZeroU64::new(last).map(|last| Retention { last: Some(last), max_age_seconds: None });
    store.retain(&target, retention, 7).unwrap();
}

/// A region with retentions of prefixes and of names, as many of each.
fn made() -> (tempfile::TempDir, Arc<Store>) {
    let directory = tempfile::tempdir().unwrap();
    let media = FileMedia::create(directory.path().join("region"), 32 << 20, false).unwrap();
    Store::format(&media, &FormatOptions::new(HOST)).unwrap();
    let store = Arc::new(Store::open(Arc::new(media), HOST).unwrap());
    for number in 0..RULES {
        set(&store, RetentionTarget::Prefix(prefix(number)), 1);
        set(&store, RetentionTarget::Frame(name(number)), 1);
    }
    (directory, store)
}

fn everything() -> Vec<Scope> {
    Prefix::all().scopes()
}

#[test]
fn each_is_looked_up_once_in_order_behind_the_one_that_was_named() {
    let (_directory, store) = made();
    for from in [0, 1, PAGE, RULES - 1, RULES] {
        let after = from.checked_sub(1);
        let found = of_prefixes(store.view().clone(), |_| true, after.map(prefix)).map(|rule| rule.target);
        assert!(found.eq((from..RULES).map(|number| RetentionTarget::Prefix(prefix(number)))), "{from}");
        let found = of_names(store.view().clone(), everything(), after.map(name)).map(|rule| rule.target);
        assert!(found.eq((from..RULES).map(|number| RetentionTarget::Frame(name(number)))), "{from}");
    }
    // Whole pages of what is not seen are passed over.
    let last = prefix(RULES - 1);
    let seen = last.clone();
    let found: Vec<_> = of_prefixes(store.view().clone(), move |prefix| *prefix == seen, None).collect();
    assert!(matches!(&found[..], [rule] if rule.target == RetentionTarget::Prefix(last)), "{found:?}");
}

/// A rule that was not looked up yet is not kept either: a change of it shows.
#[test]
fn of_what_nobody_takes_one_page_is_kept() {
    let (_directory, store) = made();
    let mut prefixes = of_prefixes(store.view().clone(), |_| true, None);
    let mut names = of_names(store.view().clone(), everything(), None);
    prefixes.next().unwrap();
    names.next().unwrap();
    for number in 0..RULES {
        set(&store, RetentionTarget::Prefix(prefix(number)), 0);
        set(&store, RetentionTarget::Frame(name(number)), 0);
    }
    assert_eq!((prefixes.count(), names.count()), (PAGE - 1, PAGE - 1));
}
