//! Options of all verbs, the environment, and addresses.

use std::process::{Command, Output};

use farrow_integration_tests::{Region, batch, farrow, program};

use super::{stderr, stdout};

fn with_environment(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program("farrow"));
    command.env_remove("FARROW_ADDRESS").args(args).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_usage_names_what_is_missing_and_nothing_that_the_environment_has() {
    let variables = [("FARROW_ADDRESS", "/a.sock"), ("FARROW_REGION", "/r"), ("FARROW_FAMFS", "famfs")];
    for (verb, usage) in [
        ("get", "Usage: farrow get <NAME>"),
        ("put", "Usage: farrow put <NAME> <FILE>..."),
        ("retain", "Usage: farrow retain --last <N> <NAME>"),
        ("mkfs", "Usage: farrow mkfs <PATH>"),
        ("export", "Usage: farrow export --frame <NAME> <FAMFS-PATH> [PATH]"),
    ] {
        let output = with_environment(&[verb], &variables);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(usage) && !told.contains("--address"), "{verb}: {told}");
    }
    let unknown = with_environment(&["doctor", "--unknown"], &variables);
    assert!(stderr(&unknown).contains("Usage: farrow doctor [OPTIONS] [PATH]"), "{}", stderr(&unknown));
    let unnamed = with_environment(&["export", "--file", "a", "b.arrow"], &[("FARROW_REGION", "")]);
    assert_eq!(unnamed.status.code(), Some(2));
    assert!(stderr(&unnamed).contains("$FARROW_REGION"), "{}", stderr(&unnamed));
}

#[tokio::test]
async fn an_address_may_stand_anywhere_and_need_no_scheme() {
    let region = Region::new("64MiB");
    let agent = region.agent_with(&["--listen", "127.0.0.1:0"]);
    let rows = batch(0, 10);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let tcp = agent.tcp();
    let bare = tcp.strip_prefix("http://").unwrap();
    for address in [agent.socket(), &tcp, bare, &bare.replace("127.0.0.1", "localhost")] {
        assert_eq!(stdout(&farrow(&["--address", address, "ls"])), "a\n", "{address}");
        assert_eq!(stdout(&farrow(&["ls", "--address", address])), "a\n", "{address}");
    }
    assert_eq!(stdout(&with_environment(&["ls"], &[("FARROW_ADDRESS", bare)])), "a\n");
    for (host, advice) in [
        ("127.0.0.1", "Try: 127.0.0.1:PORT,"),
        ("::1", "Try: [::1]:PORT,"),
        ("localhost", "Try: localhost:PORT,"),
    ] {
        let refused = farrow(&["ls", "--address", host]);
        assert_eq!(refused.status.code(), Some(2), "{host}");
        let told = stderr(&refused);
        assert!(told.contains(&format!("{host:?} is a host without a port. {advice}")), "{told}");
    }
    let refused = farrow(&["ls", "--address", "127.0.0.1:none"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("127.0.0.1:none"), "{}", stderr(&refused));
}

#[test]
fn values_that_are_none_are_told_what_is_taken() {
    let keep =
        "expected how many versions to keep, a whole number from 1; `farrow retain NAME --all` keeps all";
    let version = "expected a version's number, such as 7, or 0 for no such frame";
    let last = "expected how many versions to keep, a whole number from 1; --all keeps all, --unset takes back what was said";
    let put = |more: &[&'static str]| [&["put", "a", "a.csv"], more].concat();
    for (args, expected) in [
        (put(&["--keep", "0"]), keep),
        (put(&["--keep", "-1"]), keep),
        (put(&["--keep=many"]), keep),
        (put(&["--if-version", "-1"]), version),
        (put(&["--if-version", "latest"]), version),
        (vec!["head", "a", "-n", "-1"], "expected how many rows, a whole number"),
        (vec!["retain", "a", "--last", "0"], last),
        (vec!["retain", "a", "--last", "-1"], last),
        (vec!["retain", "a", "--last", "many"], last),
        (
            vec!["rm", "--prefix", ""],
            "the prefix is empty, which would be every frame. For that: --prefix '*'",
        ),
        (
            vec!["retain", "--prefix", "", "--all"],
            "the prefix is empty, which would be every frame. For that: --region",
        ),
    ] {
        let refused = farrow(&args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(stderr(&refused).contains(expected), "{args:?}: {}", stderr(&refused));
    }
}

#[tokio::test]
async fn remarks_can_be_fewer_and_more() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let file = region.beside("a.csv");
    std::fs::write(&file, "n\n1\n").unwrap();
    let put = ["put", "a", file.to_str().unwrap(), "--address", agent.socket()];
    let said = |more: &[&str]| {
        let output = farrow(&[&put, more].concat());
        assert_eq!(stdout(&output), "");
        stderr(&output)
    };
    assert!(said(&[]).starts_with("a@1: 1 row, "));
    assert_eq!(said(&["-q"]), "");
    let verbose = said(&["-v"]);
    assert!(verbose.contains("connecting address=") && verbose.contains("a@3: 1 row, "), "{verbose}");
    // Errors are told in any case.
    let missing = farrow(&["-q", "get", "none", "--address", agent.socket()]);
    assert_eq!((missing.status.code(), stderr(&missing)), (Some(3), "farrow: no frame `none`\n".to_owned()));
}

#[tokio::test]
async fn ages_are_those_of_the_configuration() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let expire = |age: &str| farrow(&["expire", "--older-than", age, "--address", agent.socket()]);
    for age in ["1h30m", "1h 30min", "15min", "90s", "2 days"] {
        assert_eq!(stdout(&expire(age)), "", "{age}");
    }
    let refused = expire("90");
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("write 90s, 15min, 1h30m or 30d"), "{}", stderr(&refused));
}

/// Characters that take two columns of a terminal, and some that take none.
#[tokio::test]
async fn columns_stand_below_each_other_in_any_script() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    for name in ["売上/合計", "e\u{301}te\u{301}", "plain"] {
        client.put(name, rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    let listed = stdout(&farrow(&["ls", "-l", "--address", agent.socket()]));
    let lines: Vec<&str> = listed.lines().collect();
    // Each name is as wide as nine columns, with its version: two behind the longest.
    for line in
        ["frame        rows", "e\u{301}te\u{301}@1          10", "plain@1        10", "売上/合計@1    10"]
    {
        assert!(lines.iter().any(|found| found.starts_with(line)), "{line:?} in\n{listed}");
    }
}
