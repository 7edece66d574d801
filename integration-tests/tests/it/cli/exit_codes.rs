//! Each exit code, by what leads to it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use farrow_integration_tests::{Region, batch, copy_program, farrow, program, skipped};

use super::{stderr, stdout};
use crate::rights::{ONLY_ETL, TOKEN, token_file};

#[track_caller]
fn code(output: &Output, expected: i32, told: &str) {
    assert_eq!(output.status.code(), Some(expected), "{}", stderr(output));
    let (lines, known) = (stderr(output), stderr(output).starts_with("farrow: ") || expected == 2);
    assert!(known && lines.contains(told), "{lines}");
    assert!(output.stdout.is_empty(), "stdout is for data: {}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn help_lists_them_and_so_does_the_page() {
    let help = stdout(&farrow(&["--help"]));
    let (_, table) = help.split_once("Exit codes:\n").unwrap();
    let codes: Vec<&str> = table.lines().map(str::trim).collect();
    assert_eq!(codes.len(), 10, "{table}");
    let page = include_str!("../../../../crates/farrow-cli/README.md");
    for line in codes {
        let (code, meaning) = line.split_once("  ").unwrap();
        assert!(page.contains(&format!("| {code} | {meaning} |")), "{line}");
    }
}

#[tokio::test]
async fn each_has_its_cause() {
    let region = Region::new("64MiB");
    let mut agent = region.agent();
    // Damage is told in its log, too.
    agent.errs();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let run = |args: &[&str]| farrow(&[args, &["--address", agent.socket()]].concat());
    let file = region.beside("rows.parquet");
    let file = file.to_str().unwrap();

    assert_eq!(run(&["get", "a", "-o", file]).status.code(), Some(0));
    assert_eq!(farrow(&["no-such-verb"]).status.code(), Some(2));
    code(&run(&["get", "../a"]), 2, "../a");
    code(&farrow(&["ls", "--address", "ftp://x"]), 2, "ftp://x");
    code(&run(&["put", "a//b", file]), 2, "a//b");
    for verb in [&["get"][..], &["head"], &["schema"], &["stat"], &["verify"], &["rm"], &["versions"]] {
        code(&run(&[verb, &["none"]].concat()), 3, "no frame `none`");
    }
    code(&run(&["get", "a@7"]), 3, "a@7");
    code(&farrow(&["df", region.beside("none").to_str().unwrap()]), 3, "none");

    code(&run(&["put", "b", "no-such-file.csv"]), 8, "no-such-file.csv: No such file");
    code(&run(&["put", "b", region.beside("").to_str().unwrap()]), 8, "a directory");
    code(&run(&["put", "b", "/dev/null"]), 8, "/dev/null: is empty");
    let cut = region.beside("cut.parquet");
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 9]).unwrap();
    code(&run(&["put", "b", cut.to_str().unwrap()]), 8, "cut.parquet: ");
    let bad = region.beside("bad.csv");
    std::fs::write(&bad, "a,b\n1,2\n3\n").unwrap();
    code(&run(&["put", "b", bad.to_str().unwrap()]), 8, "line 3");
    assert_eq!(run(&["stat", "b"]).status.code(), Some(3), "nothing of a bad file is published");
    std::fs::write(&bad, "other\n1\n").unwrap();
    code(&run(&["append", "a", bad.to_str().unwrap()]), 8, "other");

    std::fs::write(&bad, "a\n1\n").unwrap();
    code(
        &run(&["put", "a", bad.to_str().unwrap(), "--if-version", "7"]),
        9,
        "onto @7. Nothing was published",
    );
    code(&run(&["put", "a", bad.to_str().unwrap(), "--if-version", "7"]), 9, "publish that onto @1");

    let large = region.beside("large.csv");
    std::fs::write(&large, format!("a\n{}", "a text that takes its room\n".repeat(3 << 20))).unwrap();
    code(&run(&["put", "large", large.to_str().unwrap()]), 6, "free");

    let image = std::fs::OpenOptions::new().write(true).open(&region.path).unwrap();
    let place = super::place_of_500(&std::fs::read(&region.path).unwrap());
    std::os::unix::fs::FileExt::write_all_at(&image, &[0xff], place as u64).unwrap();
    code(&run(&["verify", "a"]), 7, "`a@1` is not what was committed");
    let garbage = region.beside("garbage");
    std::fs::write(&garbage, [7; 1 << 20]).unwrap();
    assert_eq!(farrow(&["cat", garbage.to_str().unwrap(), "x"]).status.code(), Some(7));

    let socket = agent.socket().to_owned();
    agent.kill();
    code(&farrow(&["ls", "--address", &socket]), 4, "Start one: `farrow-agent --region PATH --socket ");
    code(&farrow(&["ls", "--address", "http://127.0.0.1:1"]), 4, "127.0.0.1:1");
}

#[tokio::test]
async fn what_is_not_allowed_is_told_apart() {
    let region = Region::new("64MiB");
    let config = region.config(&ONLY_ETL.replace("TOKEN_FILE", &token_file(&region, TOKEN)));
    let agent = region.agent_with(&["--config", &config, "--listen", "127.0.0.1:0"]);
    let tcp = agent.tcp();
    let run = |token: &str| {
        let mut command = Command::new(program("farrow"));
        command.args(["stat", "a", "--address", &tcp]).env("FARROW_TOKEN", token).output().unwrap()
    };
    code(&farrow(&["stat", "a", "--address", &tcp]), 5, "");
    code(&run("a-token-that-nobody-knows"), 5, "");
    code(&run(TOKEN), 3, "no frame `a`");
}

#[test]
fn a_socket_that_is_closed_to_the_caller_is_denied() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let copy = region.beside("farrow");
    copy_program(&program("farrow"), &copy);
    let directory = region.beside("");
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(&copy);
    let Ok(output) = command.args(["ls", "--address", agent.socket()]).output() else {
        return skipped("another user: no setpriv");
    };
    if stderr(&output).contains("setpriv") {
        return skipped("another user: not root");
    }
    // The message says who may connect, and what to do; not to start an agent, which runs.
    let told = stderr(&output);
    code(&output, 5, "no permission to connect to ");
    for words in
        ["it belongs to user root (0) and group ", "with mode 0755", "runs as user 12345", "Run as user root"]
    {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("farrow-agent --region"), "{told}");

    // A directory that is its group's.
    std::fs::set_permissions(region.beside(""), std::fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::chown(region.beside(""), None, Some(54321)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::set_permissions(elsewhere.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = elsewhere.path().join("farrow");
    copy_program(&program("farrow"), &copy);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=12345", "--regid=12345", "--clear-groups"]).arg(&copy);
    let output = command.args(["ls", "--address", agent.socket()]).output().unwrap();
    let told = stderr(&output);
    code(&output, 5, "the directory ");
    assert!(
        told.contains("group 54321 with mode 0750")
            && told.contains("`usermod --append --groups 54321 USER`"),
        "{told}"
    );
}
