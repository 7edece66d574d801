use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::caller::{CertificateNames, UnixUser};

fn entry(who: &[&str], names: &[&str], may: &[&str]) -> RightsEntry {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    RightsEntry { who: owned(who), names: owned(names), may: owned(may) }
}

fn hashed(name: &str) -> TokenEntry {
    TokenEntry { name: name.to_owned(), file: None, sha256: Some(format!("{:064x}", name.len())) }
}

fn user(uid: u32, gid: u32, groups: &[u32]) -> Identity {
    let user = Some(Arc::new(UnixUser { uid, gid, groups: groups.to_vec() }));
    Identity { local: true, user, ..Identity::default() }
}

fn certificate(names: &[&str]) -> Identity {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Identity { certificate: Some(Arc::new(CertificateNames { names })), ..Identity::default() }
}

fn token(name: &str) -> Identity {
    Identity { token: Some(name.into()), ..Identity::default() }
}

fn rights_of(rules: &Rules, caller: &Identity) -> Vec<Right> {
    rules.of(caller).flat_map(|rule| rule.may.iter().copied()).collect()
}

#[test]
fn a_rule_names_whom_it_says() {
    let nobody = Identity::default();
    let local = Identity { local: true, ..Identity::default() };
    let both = Identity { token: Some("etl".into()), ..user(7001, 7001, &[]) };
    for (who, caller, named) in [
        ("user:7001", user(7001, 1, &[]), true),
        ("user:7001", user(7002, 7001, &[7001]), false),
        ("user:root", user(0, 0, &[]), true),
        ("user:0", user(0, 0, &[]), true),
        ("group:7005", user(7001, 7005, &[]), true),
        ("group:7005", user(7001, 1, &[3, 7005]), true),
        ("group:7005", user(7005, 1, &[]), false),
        ("group:root", user(7001, 0, &[]), true),
        ("token:etl", token("etl"), true),
        ("token:etl", token("other"), false),
        ("token:etl", both.clone(), true),
        ("user:7001", both, true),
        ("certificate:agent-b", certificate(&["x", "agent-b"]), true),
        ("certificate:agent-b", certificate(&["agent-b.example"]), false),
        // A certificate cannot pass for a user or a token of its name.
        ("user:root", certificate(&["root"]), false),
        ("token:etl", certificate(&["etl"]), false),
        ("certificate:etl", token("etl"), false),
        ("local", user(7001, 1, &[]), true),
        ("local", local, true),
        ("local", token("etl"), false),
        ("anyone", nobody.clone(), true),
        ("anyone", token("etl"), true),
        ("user:0", nobody, false),
    ] {
        let rules =
            Rules::load(&[entry(&[who], &[""], &["read"])], &[hashed("etl"), hashed("other")]).unwrap();
        assert_eq!(rights_of(&rules, &caller), vec![Right::Read; usize::from(named)], "{who} {caller:?}");
    }
}

#[test]
fn without_rules_the_socket_is_trusted_and_tcp_reads() {
    use Right::{Admin, Drop, Publish, Read};
    let rules = Rules::load(&[], &[hashed("etl")]).unwrap();
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(rights_of(&rules, &user(own + 7001, 1, &[])), [Read, Publish, Drop]);
    assert_eq!(rights_of(&rules, &user(own, 1, &[])), [Read, Publish, Drop, Admin]);
    assert_eq!(rights_of(&rules, &user(0, 0, &[])), [Read, Publish, Drop, Admin]);
    assert_eq!(rights_of(&rules, &Identity::default()), [Read]);
    assert_eq!(rights_of(&rules, &token("etl")), []);
    assert_eq!(rights_of(&rules, &certificate(&["agent-b"])), []);
}

#[test]
fn every_problem_is_told_at_once() {
    let rights = [
        entry(&["user:nobody-of-this-name", "alice", "token:none"], &["/x"], &["write"]),
        entry(&[], &[], &[]),
        entry(&["group:no-such-group", "certificate:"], &["a//b", "ok/"], &["read"]),
        entry(&["anyone"], &["*", "sales/2024*", "sales/*/all", "ok/"], &["read"]),
    ];
    let none = TokenEntry { name: "none-given".to_owned(), ..TokenEntry::default() };
    let odd = TokenEntry { sha256: Some("+f".repeat(32)), ..none.clone() };
    let problems =
        Rules::load(&rights, &[none, odd, hashed("a"), hashed("a"), hashed("b"), hashed("")]).unwrap_err();
    for expected in [
        "[[rights]] number 1: \"user:nobody-of-this-name\": this host knows no user \"nobody-of-this-name\"",
        "[[rights]] number 1: who \"alice\": expected user:NAME",
        "[[rights]] number 1: \"token:none\": no [[tokens]] has",
        "[[rights]] number 1: invalid",
        "[[rights]] number 1: may \"write\": expected read, publish, drop or admin",
        "[[rights]] number 2: `who` is empty or missing",
        "[[rights]] number 2: `names` is empty or missing",
        "[[rights]] number 2: `may` is empty or missing",
        "[[rights]] number 3: \"group:no-such-group\": this host knows no group",
        "[[rights]] number 3: who \"certificate:\": expected",
        "[[rights]] number 4: names \"*\": a rule has no patterns, but whole components that names begin with. Try: \"\", which",
        "[[rights]] number 4: names \"sales/2024*\": a rule has no patterns, but whole components that names begin with. Try: \"sales/\",",
        "[[rights]] number 4: names \"sales/*/all\": a rule",
        "[[tokens]] number 1 (\"none-given\"): has neither file nor sha256",
        "[[tokens]] number 2 (\"none-given\"): sha256",
        "[[tokens]] number 4 (\"a\"): another token is named \"a\" too",
        "[[tokens]] number 5 (\"b\"): it is the same token as \"a\"",
        "[[tokens]] number 6 (\"\"): no name",
    ] {
        let found = problems.iter().any(|problem| problem.starts_with(expected.trim_end_matches("invalid")));
        assert!(found, "{expected}: {problems:#?}");
    }
}

#[test]
fn a_token_is_known_by_its_whole_value() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etl");
    write(&file, "0123456789abcdef\n", 0o640);
    let entry = TokenEntry { name: "etl".to_owned(), file: Some(file.clone()), sha256: None };
    // printf 0123456789abcdef-second | sha256sum
    let second = TokenEntry {
        name: "second".to_owned(),
        file: None,
        sha256: Some("06ca0478555046139047f38be7d87bcef3257e4732a3b5752cfc7db9d5e1b79d".to_owned()),
    };
    let rules = Rules::load(&[], &[entry.clone(), second]).unwrap();
    assert_eq!(rules.bearer(b"0123456789abcdef").as_deref(), Some("etl"));
    for wrong in [&b""[..], b"0123456789abcde", b"0123456789abcdef\n", b"0123456789abcdeg", b"etl"] {
        assert_eq!(rules.bearer(wrong), None);
    }

    for (text, mode, problem) in [
        ("0123456789abcdef", 0o644, "its mode 0644 lets every user of this host at it"),
        ("short", 0o600, "5 bytes: a token is one word of at least 16"),
        ("two-lines-of-a-token\nare-not-one", 0o600, "byte 21 of 32 is the end of a line"),
        ("a token of words", 0o600, "byte 2 of 16 is a space"),
        (&*"x".repeat(5000), 0o600, "longer than 4096 bytes"),
    ] {
        write(&file, text, mode);
        let problems = Rules::load(&[], std::slice::from_ref(&entry)).unwrap_err();
        assert!(problems[0].contains(problem), "{problems:?}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(Rules::load(&[], std::slice::from_ref(&entry)).unwrap_err()[0].contains("No such file"));
    let directory = TokenEntry { file: Some(directory.path().to_owned()), ..entry };
    assert!(Rules::load(&[], &[directory]).unwrap_err()[0].contains("no regular file"));
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
