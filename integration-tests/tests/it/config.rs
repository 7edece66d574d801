//! The agent's configuration, as whoever operates it meets it.

use std::process::{Command, Output};

use farrow_integration_tests::{Region, batch, program};

fn agent(args: &[&str]) -> Output {
    let mut command = Command::new(program("farrow-agent"));
    command.env_remove("FARROW_REGION").env_remove("FARROW_AGENT_CONFIG").args(args).output().unwrap()
}

#[test]
fn the_printed_configuration_is_taken_as_it_is() {
    let region = Region::new("64MiB");
    let printed = agent(&["--print-config"]);
    assert_eq!(printed.status.code(), Some(0));
    let file = region.beside("agent.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let path = region.path.to_str().unwrap();
    let checked = agent(&["--config", file.to_str().unwrap(), "--region", path, "--check-config"]);
    assert_eq!((checked.status.code(), String::from_utf8_lossy(&checked.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_check_tells_everything_that_is_wrong_and_opens_nothing() {
    let region = Region::unmade();
    let file = region.beside("agent.toml");
    let text = "regoin = \"/x\"\nregion = \"/nowhere/region\"\n[limits]\nstall = \"0s\"\n";
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let checked = agent(&["--config", name, "--check-config"]);
    let told = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(78), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
    for start in [":1: regoin: ", ":2: region: /nowhere/region: ", ":4: limits.stall: "] {
        assert!(told.contains(&format!("{name}{start}")), "{start} {told}");
    }
    // To serve, the same is refused.
    assert_eq!(agent(&["--config", name]).status.code(), Some(78));
    assert_eq!(agent(&["--config", "/nowhere/agent.toml"]).status.code(), Some(78));
}

#[tokio::test]
async fn a_file_alone_is_enough_to_serve() {
    let region = Region::new("64MiB");
    let file = region.beside("agent.toml");
    let (path, socket, state) = (&region.path, region.beside("agent.sock"), region.beside("state"));
    let text = format!("region = {path:?}\nsocket = {socket:?}\nstate-dir = {state:?}\n");
    std::fs::write(&file, text).unwrap();
    let agent = region.agent_of(&file);
    let rows = batch(0, 10);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    assert_eq!(agent.terminate(), Some(0));
}
