//! Changes since a record, as somebody who waits for them is told.

use std::sync::{Arc, Mutex};

use farrow_store::{Change, Follower, Prefix, Store, View};

use crate::region::{HOST, MIB, formatted, name, opened, put, retain};

/// Each change in a word, and up to where they go.
fn since(store: &Store, seq: u64, prefix: &str, limit: usize) -> (Vec<String>, u64) {
    let concerns = |name: &farrow_store::FrameName| name.as_str().starts_with(prefix);
    let changes = store.view().changed_since(seq, concerns, limit).unwrap().expect("not much has happened");
    let words = changes.changes.iter().map(|change| match change {
        Change::Committed(version) => format!("{}@{}", version.name, version.number),
        Change::Dropped { name, latest, .. } => format!("-{name} {}", latest.unwrap_or(0)),
    });
    (words.collect(), changes.up_to)
}

#[test]
fn of_each_frame_the_last_change_is_told() {
    let store = opened(2 * MIB);
    let start = store.view().seq();
    assert_eq!(since(&store, start, "", 9), (vec![], start));
    put(&store, "a", 1);
    put(&store, "b/1", 1);
    put(&store, "a", 1);
    let now = store.view().seq();
    assert_eq!(since(&store, start, "", 9), (vec!["b/1@1".into(), "a@2".into()], now));
    assert_eq!(since(&store, start, "b/", 9), (vec!["b/1@1".into()], now));
    assert_eq!(since(&store, now, "", 9), (vec![], now));

    // A part, and from there on the rest.
    let (first, up_to) = since(&store, start, "", 1);
    assert_eq!(first, ["b/1@1"]);
    assert_eq!(since(&store, up_to, "", 1), (vec!["a@2".into()], now));
}

#[test]
fn what_is_dropped_is_told_where_it_was_the_latest() {
    let store = opened(2 * MIB);
    for frame in ["a", "a", "a", "b/1", "b/2"] {
        put(&store, frame, 1);
    }
    let seq = store.view().seq();
    store.drop_frame(&name("a"), Some(1)).unwrap();
    assert_eq!(since(&store, seq, "", 9).0, Vec::<String>::new(), "an old version is no news");
    store.drop_frame(&name("a"), Some(3)).unwrap();
    assert_eq!(since(&store, seq, "", 9).0, ["-a 2"]);
    let seq = store.view().seq();
    store.drop_prefix(&Prefix::parse("b/").unwrap()).unwrap();
    assert_eq!(since(&store, seq, "", 1).0, ["-b/1 0", "-b/2 0"], "one record's stay together");
    put(&store, "b/1", 1);
    assert_eq!(since(&store, seq, "", 9).0, ["-b/2 0", "b/1@2"]);

    let seq = store.view().seq();
    retain(&store, "a", 1).unwrap();
    put(&store, "a", 1);
    assert_eq!(since(&store, seq, "", 9).0, ["a@4"], "nor is what retention does not keep");
}

#[test]
fn what_was_before_a_start_is_not_remembered_and_every_change_wakes() {
    let media = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    let seq = store.view().seq();
    put(&store, "a", 1);
    drop(store);
    let store = Store::open(media, HOST).unwrap();
    assert!(store.view().changed_since(seq, |_| true, 9).unwrap().is_none());

    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    store.view().on_change(move |seq| tell.lock().unwrap().push(seq));
    let before = store.view().seq();
    let commit = put(&store, "a", 1).seq;
    store.drop_frame(&name("a"), None).unwrap();
    let told = told.lock().unwrap().clone();
    assert!(told.len() == 2 && told[0] == commit && told[1] > commit && commit > before, "{told:?}");
}

#[test]
fn of_several_drops_the_last_one_is_told() {
    let store = opened(2 * MIB);
    for frame in ["a", "a", "a", "b"] {
        put(&store, frame, 1);
    }
    let seq = store.view().seq();
    store.drop_frame(&name("a"), Some(3)).unwrap();
    store.drop_frame(&name("b"), None).unwrap();
    store.drop_frame(&name("a"), Some(2)).unwrap();
    assert_eq!(since(&store, seq, "", 9).0, ["-b 0", "-a 1"]);
    store.drop_frame(&name("a"), None).unwrap();
    assert_eq!(since(&store, seq, "", 9).0, ["-b 0", "-a 0"]);
}

#[test]
fn a_follower_tells_what_its_master_tells() {
    let media = Arc::new(formatted(2 * MIB));
    let store = Store::open(media.clone(), HOST).unwrap();
    let mut follower = Follower::open(media).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = told.clone();
    follower.view().on_change(move |seq| tell.lock().unwrap().push(seq));
    let start = store.view().seq();
    let words = |view: &View| {
        let changes = view.changed_since(start, |_| true, 99).unwrap();
        changes.map(|changes| (format!("{:?}", changes.changes), changes.up_to))
    };
    put(&store, "a", 1);
    put(&store, "b", 1);
    store.drop_frame(&name("b"), None).unwrap();
    assert_ne!(words(follower.view()), words(store.view()), "it has not looked yet");
    assert!(follower.poll().unwrap());
    assert!(words(follower.view()).is_some());
    assert_eq!(words(follower.view()), words(store.view()));
    assert_eq!(*told.lock().unwrap(), [store.view().seq()]);
    assert!(!follower.poll().unwrap());
    assert_eq!(told.lock().unwrap().len(), 1, "nothing new wakes nobody");

    // Twice compacted since it looked, it reads all anew: what happened meanwhile it does not know.
    put(&store, "c", 1);
    store.compact().unwrap();
    put(&store, "d", 1);
    store.compact().unwrap();
    assert!(follower.poll().unwrap());
    assert_eq!(follower.view().seq(), store.view().seq());
    assert_eq!((words(follower.view()), words(store.view()).is_some()), (None, true));
}
