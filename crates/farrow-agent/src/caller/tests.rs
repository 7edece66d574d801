use super::*;
use crate::rights::{RightsEntry, TokenEntry};

fn rights(rules: &[(&str, &str, &str)]) -> Rights {
    let entries: Vec<RightsEntry> = rules
        .iter()
        .map(|(who, name, may)| RightsEntry {
            who: vec![(*who).to_owned()],
            names: vec![(*name).to_owned()],
            may: may.split(' ').map(str::to_owned).collect(),
        })
        .collect();
    // printf an-etl-token-of-the-test | sha256sum
    let token = TokenEntry { name: "etl".to_owned(), file: None, sha256: Some(SHA256_OF_TOKEN.to_owned()) };
    Rights::new(Rules::load(&entries, &[token]).unwrap())
}

const TOKEN: &str = "an-etl-token-of-the-test";
const SHA256_OF_TOKEN: &str = "d7f38a6772d5c031b5df85fc5832f60e5a5c3cbab5dce05b51565a1da6009a9c";

fn local(uid: u32) -> Peer {
    Peer::Unnamed { user: Some(Arc::new(UnixUser { uid, gid: uid, groups: Vec::new() })) }
}

fn caller(peer: &Peer, rights: &Rights) -> Caller {
    Caller::of(Some(peer), &MetadataMap::new(), rights, "test").unwrap()
}

fn name(text: &str) -> FrameName {
    FrameName::parse(text).unwrap()
}

#[test]
fn a_right_takes_one_rule_with_caller_name_and_right() {
    let rights = rights(&[
        ("user:7001", "sales/", "read publish"),
        ("user:7001", "hr/", "read"),
        ("user:7002", "", "drop"),
    ]);
    let alice = caller(&local(7001), &rights);
    for (right, frame, allowed) in [
        (Right::Read, "sales/orders", true),
        (Right::Publish, "sales/orders", true),
        (Right::Drop, "sales/orders", false),
        (Right::Read, "hr/payroll", true),
        (Right::Publish, "hr/payroll", false),
        (Right::Read, "sales", false),
        (Right::Read, "other", false),
    ] {
        assert_eq!(alice.allow(right, name(frame)).is_ok(), allowed, "{right} {frame}");
        assert_eq!(alice.may(right, &name(frame)), allowed, "{right} {frame}");
    }
    assert!(alice.allow_any(Right::Publish).is_ok() && alice.allow_any(Right::Drop).is_err());
    for (prefix, allowed) in [("sales/2", true), ("sales/2*", true), ("sales", false), ("", false)] {
        let prefix = Prefix::pattern(prefix).unwrap();
        assert_eq!(alice.allow_all(Right::Read, prefix.clone()).is_ok(), allowed, "{prefix}");
    }
    assert!(caller(&local(7002), &rights).allow_all(Right::Drop, Prefix::all()).is_ok());
}

#[test]
fn a_refusal_says_who_what_and_what_instead() {
    let rights = rights(&[("user:0", "hr/", "read")]);
    let refused = caller(&local(0), &rights).allow(Right::Drop, name("hr/payroll")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "user root (uid 0) may not drop \"hr/payroll\": it may read \"hr/\", and nothing else. \
         Ask the operator for a [[rights]] rule"
    );
    let address = "192.0.2.1:5".parse().unwrap();
    let far = caller(&Peer::Remote { address, certificate: None }, &rights);
    let refused =
        far.allow_all(Right::Drop, Prefix::parse(&"x".repeat(255)).unwrap()).unwrap_err().to_string();
    assert!(
        refused.starts_with("a caller without token or certificate from 192.0.2.1:5 may not drop"),
        "{refused}"
    );
    assert!(refused.contains("no rule names it") && refused.len() < 600, "{}", refused.len());
}

#[test]
fn what_rights_there_are_is_told_in_a_few_hundred_bytes() {
    let names: Vec<String> = (0..500).map(|number| format!("a/long/prefix/{number}/")).collect();
    let rules: Vec<(&str, &str, &str)> = names.iter().map(|name| ("local", name.as_str(), "read")).collect();
    let refused = caller(&local(1), &rights(&rules)).allow(Right::Read, name("x")).unwrap_err().to_string();
    assert!(refused.contains('…') && refused.len() < 1000, "{refused}");
}

#[test]
fn a_token_adds_to_what_the_user_may() {
    let rights = rights(&[("user:7001", "a/", "read"), ("token:etl", "b/", "read")]);
    let with = |header: &str| {
        let mut headers = MetadataMap::new();
        headers.insert("authorization", header.parse().unwrap());
        Caller::of(Some(&local(7001)), &headers, &rights, "test")
    };
    let both = with(&format!("Bearer {TOKEN}")).unwrap();
    assert!(both.may(Right::Read, &name("a/x")) && both.may(Right::Read, &name("b/x")));
    assert_eq!(both.to_string(), "user 7001 with token etl");
    assert!(with(&format!("bearer   {TOKEN}")).is_ok());
    let longer = format!("Bearer {TOKEN}x");
    for wrong in ["Bearer wrong", "Bearer ", "Basic YTpi", TOKEN, "", &longer] {
        let refused = with(wrong).unwrap_err();
        assert!(matches!(refused, AgentError::BadToken { .. }), "{wrong}");
        let told = refused.to_string();
        assert!(["wrong", "YTpi", TOKEN].iter().all(|secret| !told.contains(secret)), "{told}");
    }
}

#[test]
fn rules_that_were_replaced_hold_at_once() {
    let rights = rights(&[("user:7001", "a/", "read")]);
    let before = caller(&local(7001), &rights);
    rights.replace(Rules::load(&[], &[]).unwrap());
    assert!(
        before.allow(Right::Drop, name("a/x")).is_err(),
        "a request goes on under the rules it began with"
    );
    assert!(caller(&local(7001), &rights).allow(Right::Drop, name("a/x")).is_ok());
    assert!(before.renewed(&rights, "test").unwrap().allow(Right::Drop, name("a/x")).is_ok());
}

#[test]
fn a_token_that_was_taken_away_ends_its_streams() {
    let rights = rights(&[("token:etl", "", "read")]);
    let mut headers = MetadataMap::new();
    headers.insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let etl = Caller::of(None, &headers, &rights, "test").unwrap();
    assert!(etl.renewed(&rights, "test").unwrap().may(Right::Read, &name("a")));
    assert!(!format!("{etl:?}").contains(TOKEN));
    rights.replace(Rules::load(&[], &[]).unwrap());
    assert!(matches!(etl.renewed(&rights, "test"), Err(AgentError::BadToken { .. })));
}

#[test]
fn names_that_a_caller_may_not_read_are_not_suggested() {
    let rights = rights(&[("user:7001", "a/", "read")]);
    let near = vec![name("a/orders"), name("ab/orders")];
    let error = AgentError::Store(StoreError::FrameNotFound { name: name("a/order"), near });
    let told = caller(&local(7001), &rights).censored(error).to_string();
    assert!(told.contains("a/orders") && !told.contains("ab/orders"), "{told}");
}
