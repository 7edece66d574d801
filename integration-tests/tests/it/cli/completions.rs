//! Completions for a shell when somebody presses Tab.

use std::process::{Command, Output, Stdio};

use farrow_integration_tests::{Region, batch, farrow, program};

use super::{stderr, stdout};

/// The answer to bash for a line whose last word is completed.
fn completed(words: &[&str]) -> Vec<String> {
    let mut command = Command::new(program("farrow"));
    command.env_remove("FARROW_ADDRESS").env("FARROW_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    command.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    let output: Output = command.args(["--", "farrow"]).args(words).output().unwrap();
    stdout(&output).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn verbs_options_and_names_of_frames_are_completed() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    for name in ["sales/2024/orders", "sales/2024/refunds", "sales/all", "salt"] {
        client.put(name, rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    let at = |words: &[&str]| completed(&[&["--address", agent.socket()], words].concat());
    assert_eq!(at(&["veri"]), ["verify"]);
    assert!(at(&["put", "a", "b", "--no-"]).contains(&"--no-header".to_owned()));
    assert_eq!(at(&["get", "sal"]), ["sales/", "salt"]);
    assert_eq!(at(&["rm", "--prefix", "sales/2"]), ["sales/2024/"]);
    for verb in [
        "get", "head", "schema", "stat", "versions", "verify", "rm", "retain", "append", "ls", "watch",
        "expire",
    ] {
        assert_eq!(at(&[verb, "sales/2024/"]), ["sales/2024/orders", "sales/2024/refunds"], "{verb}");
    }
    // Nobody serves there, and no error is in the way of who types.
    assert_eq!(completed(&["--address", "/nowhere/agent.sock", "get", "sal"]), [""; 0]);
}

#[test]
fn a_script_is_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&farrow(&["completions", shell]));
        assert!(script.contains("FARROW_COMPLETE"), "{shell}: {script}");
    }
    let mut bash =
        Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let script = farrow(&["completions", "bash"]).stdout;
    std::io::Write::write_all(&mut bash.stdin.take().unwrap(), &script).unwrap();
    let checked = bash.wait_with_output().unwrap();
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert_eq!(farrow(&["completions", "tcsh"]).status.code(), Some(2));
}
