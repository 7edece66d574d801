//! Output on a terminal, and only there.

use std::process::{Command, Stdio};

use farrow_integration_tests::{Region, Terminal, batch, eventually, farrow, program};

use super::{stderr, stdout};

fn command(args: &[&str], socket: &str) -> Command {
    let mut command = Command::new(program("farrow"));
    command.args(args).args(["--address", socket]).env_remove("NO_COLOR");
    command
}

#[tokio::test]
async fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let region = Region::new("128MiB");
    let agent = region.agent();
    let file = region.beside("rows.csv");
    std::fs::write(&file, format!("a\n{}", "a text that takes its room\n".repeat(1 << 20))).unwrap();
    let put = ["put", "a", file.to_str().unwrap()];
    let mut terminal = Terminal::start(command(&put, agent.socket()), false);
    assert_eq!(terminal.ended().code(), Some(0), "{}", terminal.raw());
    terminal.wait_for("a@1: 1048576 rows");
    let shown = terminal.raw();
    assert!(shown.contains("MiB/27.00 MiB, ") && shown.contains("B/s, "), "{shown:?}");

    let piped = command(&put, agent.socket()).output().unwrap();
    let told = stderr(&piped);
    assert!(told.starts_with("a@2: 1048576 rows, ") && told.lines().count() == 1, "{told:?}");
    // Rows by a pipe, the bar on the terminal: neither is in the other.
    let mut get = command(&["get", "a"], agent.socket());
    get.stdout(Stdio::piped());
    let mut terminal = Terminal::start(get, true);
    let mut out = terminal.child().stdout.take().unwrap();
    let mut rows = Vec::new();
    std::io::Read::read_to_end(&mut out, &mut rows).unwrap();
    assert_eq!(terminal.ended().code(), Some(0));
    assert_eq!(rows, command(&["get", "a"], agent.socket()).output().unwrap().stdout);
    terminal.wait_for("B/s, ");
}

#[tokio::test]
async fn a_terminal_gets_no_bytes_and_no_commands() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 10);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut terminal = Terminal::start(command(&["get", "a"], agent.socket()), false);
    assert_eq!(terminal.ended().code(), Some(2));
    terminal.wait_for("farrow head");
    let mut terminal = Terminal::start(command(&["get", "a", "--format", "csv"], agent.socket()), false);
    assert_eq!(terminal.ended().code(), Some(0));
    terminal.wait_for("number,text\r\n0,row 0\r\n");
    let mut terminal = Terminal::start(command(&["get", "a", "--format", "json"], agent.socket()), false);
    assert_eq!(terminal.ended().code(), Some(0));
    terminal.wait_for("{\"number\":9,\"text\":\"row 9\"}\r\n");
}

#[tokio::test]
async fn head_has_as_many_columns_as_fit_the_terminal() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let file = region.beside("wide.csv");
    let names: Vec<String> = (10..70).map(|column| format!("column{column}")).collect();
    std::fs::write(&file, format!("{}\n{}\n", names.join(","), vec!["1"; 60].join(","))).unwrap();
    stdout(&command(&["put", "wide", file.to_str().unwrap()], agent.socket()).output().unwrap());
    let mut terminal = Terminal::start(command(&["head", "wide"], agent.socket()), false);
    assert_eq!(terminal.ended().code(), Some(0));
    // Ten times 8, and 2 between them, of 100.
    terminal.wait_for("10 of 60 columns fit the terminal: name others with --columns, or use --format csv");
    let shown = terminal.raw();
    assert!(shown.contains("column19\r\n") && !shown.contains("column20"), "{shown:?}");
    // Programs get all of them.
    let piped = command(&["head", "wide"], agent.socket()).output().unwrap();
    assert!(stdout(&piped).contains("  column69\n") && stderr(&piped).is_empty(), "{}", stderr(&piped));
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let run = |value: Option<&str>| {
        let mut command = command(&["ls"], "/nowhere/agent.sock");
        if let Some(value) = value {
            command.env("NO_COLOR", value);
        }
        let mut terminal = Terminal::start(command, false);
        assert_eq!(terminal.ended().code(), Some(4));
        terminal.wait_for("no agent at");
        terminal.raw()
    };
    assert!(run(None).starts_with("\u{1b}[31mfarrow:\u{1b}[0m no agent"), "{:?}", run(None));
    assert!(run(Some("1")).starts_with("farrow: no agent"), "{:?}", run(Some("1")));
    let piped = command(&["ls"], "/nowhere/agent.sock").output().unwrap();
    assert!(stderr(&piped).starts_with("farrow: no agent"), "{}", stderr(&piped));
}

#[tokio::test]
async fn top_is_live_until_q() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("first", rows.schema(), vec![rows.clone()]).await.unwrap();
    let mut terminal = Terminal::start(command(&["top"], agent.socket()), false);
    terminal.wait_for("pool");
    // It takes the screen, and gives it back.
    assert!(terminal.raw().contains("\u{1b}[?1049h"), "{:?}", terminal.raw());
    let held = client.get("first").await.unwrap();
    client.put("second", rows.schema(), vec![rows]).await.unwrap();
    terminal.wait_for("first@1");
    terminal.wait_for("second@1");
    terminal.press("x");
    terminal.press("q");
    assert_eq!(terminal.ended().code(), Some(0));
    eventually("the screen is given back", || terminal.raw().contains("\u{1b}[?1049l").then_some(()));
    drop(held);
}

#[tokio::test]
async fn top_without_a_terminal_is_shown_once() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let _held = client.get("a").await.unwrap();
    let run = |args: &[&str]| farrow(&[&["top", "--address", agent.socket()], args].concat());
    let text = stdout(&run(&["--once"]));
    assert!(text.starts_with("pool ") && text.contains("\na@1 "), "{text}");
    let piped = run(&[]);
    assert_eq!(stdout(&piped).lines().count(), 4);
    assert!(stderr(&piped).contains("no terminal"), "{}", stderr(&piped));
    let json: serde_json::Value = serde_json::from_str(&stdout(&run(&["--once", "--json"]))).unwrap();
    assert_eq!((&json["frames"], &json["mapped"][0]["name"]), (&1.into(), &"a".into()));
    assert_eq!(json["mapped"][0]["processes"][0].as_u64(), Some(u64::from(std::process::id())));
    assert_eq!(run(&["--interval", "0s"]).status.code(), Some(2));
}
