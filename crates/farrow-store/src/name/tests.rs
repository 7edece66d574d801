use super::*;

fn refused(name: &str) -> NameFault {
    match FrameName::parse(name) {
        Err(StoreError::BadName { fault, .. }) => fault,
        other => panic!("{name:?} gave {other:?}"),
    }
}

#[test]
fn names_that_are_paths() {
    for name in ["a", "sales/orders", "größe/数", "a b", "...", "a/.b", &"x".repeat(255)] {
        assert_eq!(FrameName::parse(name).unwrap().as_str(), name);
    }
}

#[test]
fn names_that_are_not() {
    assert_eq!(refused(""), NameFault::Empty);
    assert_eq!(refused(&"x".repeat(256)), NameFault::TooLong { len: 256 });
    for name in ["/a", "a/", "a//b", "/"] {
        assert_eq!(refused(name), NameFault::EmptyComponent, "{name}");
    }
    for name in [".", "..", "a/../b", "a/."] {
        assert_eq!(refused(name), NameFault::DotComponent, "{name}");
    }
    assert_eq!(refused("a\0b"), NameFault::Control { character: '\0' });
    assert_eq!(refused("a\u{85}b"), NameFault::Control { character: '\u{85}' });
    assert_eq!(refused("a@1"), NameFault::At);
}

#[test]
fn references() {
    let latest = FrameRef::parse("a/b").unwrap();
    assert_eq!((latest.name.as_str(), latest.version), ("a/b", None));
    let seventh = FrameRef::parse("a/b@7").unwrap();
    assert_eq!((seventh.name.as_str(), seventh.version), ("a/b", Some(7)));
    assert_eq!(seventh.to_string(), "a/b@7");
    for bad in ["a@", "a@0", "a@07", "a@+7", "a@7@8", "a@x", "a@18446744073709551616", "@7", "a@-1"] {
        assert!(matches!(FrameRef::parse(bad), Err(StoreError::BadName { .. })), "{bad}");
    }
}

#[test]
fn a_message_shows_what_was_asked() {
    let error = FrameName::parse("a//b").unwrap_err();
    assert_eq!(error.to_string(), "bad frame name \"a//b\": it has an empty path component");
}
