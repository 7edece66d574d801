//! The agent's record of who maps the region: nothing is granted that is not on it, and nothing on it is taken for
//! ended that may run.

use std::path::PathBuf;

use arrow_flight::Action as Call;
use farrow_integration_tests::{Holder, Region, User, arrow_file, batch, eventually, farrow, program};
use farrow_proto::{Action, v1};
use prost::Message;

use crate::leases::until;
use crate::limits::{flight, reserve};
use crate::namespaces::unshare;

/// The record of the region's agent.
fn record(region: &Region) -> PathBuf {
    let mut paths = std::fs::read_dir(region.beside("state")).unwrap().map(|entry| entry.unwrap().path());
    let lock = paths.find(|path| path.extension().is_some_and(|found| found == "lock"));
    lock.unwrap().with_extension("holders")
}

/// Waits until the tests' own process, which holds nothing any more, is off the record.
fn only_on_record(region: &Region, reader: &Holder) {
    let holders = region.holders();
    eventually("the record is tidy", || (holders() == [reader.pid()]).then_some(()));
}

#[tokio::test]
async fn nothing_is_granted_to_whom_cannot_be_put_on_record_however_often_it_asks() {
    let region = Region::new("64MiB");
    let mut agent = region.agent();
    agent.errs();
    let mut flight = flight(agent.socket()).await;
    // As a full state directory, or one that cannot be written, has it.
    let place = record(&region).with_extension("new");
    std::fs::create_dir(&place).unwrap();
    for _ in 0..3 {
        let refused = reserve(&mut flight, 100).await.unwrap_err();
        assert!(refused.message().contains("nothing is granted"), "{refused}");
        let body = v1::MapRequest { names: vec!["a".to_owned()] }.encode_to_vec();
        let refused = flight.do_action(Call::new(Action::Map.as_str(), body)).await.unwrap_err();
        assert!(refused.message().contains("nothing is granted"), "{refused}");
    }
    assert_eq!(agent.client().await.usage().await.unwrap().reserved, 0);
    assert_eq!(region.holders()(), [0; 0]);
    std::fs::remove_dir(&place).unwrap();
    reserve(&mut flight, 100).await.unwrap();
    assert_eq!(region.holders()(), [std::process::id()]);
}

#[tokio::test]
async fn a_record_that_is_removed_is_written_anew() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let reader = Holder::of_frame(agent.socket(), "a");
    std::fs::remove_file(record(&region)).unwrap();
    let holders = region.holders();
    eventually("the record is there again", || holders().contains(&reader.pid()).then_some(()));
}

#[tokio::test]
async fn a_record_that_was_removed_while_no_agent_ran_is_made_of_who_maps_the_region() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let file = region.beside("rows.arrow");
    std::fs::write(&file, arrow_file(&[batch(0, 100_000)])).unwrap();
    // This process itself maps nothing.
    let put = farrow(&["put", "a", file.to_str().unwrap(), "--address", agent.socket()]);
    assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
    let mut reader = Holder::of_frame(agent.socket(), "a");
    let expected = reader.sum();
    agent.kill();
    std::fs::remove_dir_all(region.beside("state")).unwrap();

    let agent = region.agent();
    let told = format!("pid={}", reader.pid());
    assert!(
        agent.log().lines().any(|line| line.contains("no record") && line.contains(&told)),
        "{}",
        agent.log()
    );
    assert_eq!(region.holders()(), [reader.pid()]);
    let client = agent.client().await;
    let dropped = client.drop("a").await.unwrap();
    assert_eq!((dropped.bytes_freed, client.usage().await.unwrap().held), (0, dropped.bytes_held));
    assert_eq!(reader.sum(), expected);
    reader.kill();
    until("it has ended", async || (client.usage().await.unwrap().held == 0).then_some(())).await;
}

#[test]
fn agents_of_a_region_and_of_its_copy_do_not_share_a_record() {
    let region = Region::new("16MiB");
    let copy = region.beside("copy");
    std::fs::copy(&region.path, &copy).unwrap();
    let agent = region.agent();
    let second = |state: &str| {
        let mut command = std::process::Command::new(program("farrow-agent"));
        command.arg("--region").arg(&copy).arg("--socket").arg(region.beside("second.sock"));
        command.arg("--state-dir").arg(region.beside(state));
        command
    };
    let output = second("state").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for part in [&format!("locked by process {} (farrow-agent)", agent.pid()), "same UUID", "--state-dir"] {
        assert!(told.contains(part), "{told}");
    }
    // With one of its own, as it was told.
    let mut child = second("second-state").stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("it serves", || region.beside("second.sock").exists().then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn who_cannot_be_seen_after_a_restart_is_not_taken_for_ended() {
    let Some(owner) = User::new(4713, "an agent from which /proc hides other users' processes") else {
        return;
    };
    // They may be listed and not looked at, or neither.
    for hidepid in ["1", "2"] {
        let Some(unshare) = unshare(&["--mount"]) else { return };
        holds_though_hidden(&owner, unshare, hidepid).await;
    }
}

async fn holds_though_hidden(owner: &User, mut unshare: std::process::Command, hidepid: &str) {
    let region = Region::new("64MiB");
    let agent = region.agent_as(owner);
    let rows = batch(0, 100_000);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let mut reader = Holder::of_frame(agent.socket(), "a");
    let expected = reader.sum();
    only_on_record(&region, &reader);
    agent.kill();

    // A change of the user takes away that the agent ends with `unshare`.
    let hidden = format!(
        r#"mount -t proc -o hidepid={hidepid} proc /proc &&
        exec setpriv --reuid "$0" --regid "$0" --clear-groups --pdeathsig KILL "$@""#
    );
    let run = owner.command("farrow-agent");
    unshare.args(["sh", "-c", &hidden]).arg(owner.uid().to_string()).arg(run.get_program());
    let agent = region.agent_by(unshare);
    let client = agent.client().await;
    let log = agent.log();
    assert!(log.contains("does not show the processes of other users"), "{log}");
    // Not because of the pages by which children are found, which would do for this reader.
    assert!(log.contains("earlier agent processes=1 ended_with_children=0"), "{log}");
    let dropped = client.drop("a").await.unwrap();
    assert_eq!((dropped.bytes_freed, client.usage().await.unwrap().held), (0, dropped.bytes_held));
    assert_eq!(reader.sum(), expected);
    reader.kill();
    until("it has ended", async || (client.usage().await.unwrap().held == 0).then_some(())).await;
}

#[tokio::test]
async fn who_is_in_another_pid_namespace_is_not_taken_for_ended() {
    let Some(mut unshare) = unshare(&["--pid", "--mount-proc"]) else { return };
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 1000);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let reader = Holder::of_frame(agent.socket(), "a");
    only_on_record(&region, &reader);
    agent.kill();

    unshare.arg(program("farrow-agent"));
    let agent = region.agent_by(unshare);
    let client = agent.client().await;
    assert!(agent.log().contains("another pid namespace"), "{}", agent.log());
    assert_eq!(client.drop("a").await.unwrap().bytes_freed, 0, "it may be mapped");
    // And it is still on record for an agent that can see it.
    assert!(region.holders()().contains(&reader.pid()));
}
