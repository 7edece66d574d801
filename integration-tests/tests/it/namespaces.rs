//! Agents and applications in containers: what they see of each other's processes and files.

use std::process::{Command, Stdio};

use farrow_integration_tests::{Holder, Region, batch, eventually, program, skipped, sum};

use crate::leases::until;

/// `unshare` with `args`, which ends what it has started with itself. `None` where this user may not do that.
pub(crate) fn unshare(args: &[&str]) -> Option<Command> {
    let command = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--fork", "--kill-child"]).args(args).stderr(Stdio::null());
        command
    };
    let done = command(args).args(["sh", "-c", "true"]).status();
    if done.is_ok_and(|status| status.success()) {
        return Some(command(args));
    }
    skipped(&format!("processes in namespaces of their own (unshare {} is not allowed)", args.join(" ")));
    None
}

#[tokio::test]
async fn an_application_in_a_pid_namespace_of_its_own_has_leases() {
    let Some(unshare) = unshare(&["--pid"]) else { return };
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();

    let mut reader = Holder::of_frame_by(unshare, agent.socket(), "a");
    assert_eq!(reader.sum(), 499_500);
    let lease = client.leases().await.unwrap().remove(0);
    // As the agent numbers it: in its own namespace it is 1.
    assert!(lease.pid != 1 && lease.pid != reader.pid(), "{lease:?}");
    client.drop("a").await.unwrap();
    assert!(client.usage().await.unwrap().held > 0);
    reader.kill();
    until("the lease ends with it", async || (client.usage().await.unwrap().held == 0).then_some(())).await;
}

#[tokio::test]
async fn an_agent_that_cannot_see_its_clients_gives_rows_and_says_why() {
    let Some(unshare) = unshare(&["--pid", "--mount-proc"]) else { return };
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 1000);
    agent.client().await.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    agent.kill();

    let agent = region.agent_by({
        let mut command = unshare;
        command.arg(program("farrow-agent"));
        command
    });
    let client = agent.client().await;
    let frame = client.get("a").await.unwrap();
    assert!(frame.why().unwrap().contains("pid namespace"), "{:?}", frame.why());
    assert_eq!(sum(&frame).unwrap(), 499_500);
    let put = client.put("a", rows.schema(), vec![rows]).await.unwrap();
    assert_eq!(put.version, 2);
    assert!(put.why.as_ref().is_some_and(|why| why.contains("pid namespace")), "{:?}", put.why);
}

#[test]
fn an_agent_beside_another_namespaces_proc_does_not_start() {
    let Some(mut unshare) = unshare(&["--pid"]) else { return };
    let region = Region::new("16MiB");
    unshare.arg(program("farrow-agent"));
    let started = region.arguments(unshare, &[]).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(!started.status.success() && said.contains("/proc shows"), "{said}");
}

/// The directory of the sockets, under another path, is all that a container needs.
#[tokio::test]
async fn an_application_that_sees_nothing_but_the_sockets_maps() {
    let Some(mut unshare) = unshare(&["--mount"]) else { return };
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();

    let inside = tempfile::tempdir().unwrap();
    let (inside, outside) = (inside.path().to_str().unwrap(), region.path.parent().unwrap());
    let script = r#"mount --bind "$0" "$1" && mount -t tmpfs none "$0" && shift && exec "$@""#;
    unshare.args(["sh", "-c", script]).arg(outside).arg(inside);
    let mut reader = Holder::of_frame_by(unshare, &format!("{inside}/agent.sock"), "a");
    assert_eq!(reader.sum(), 499_500);
    assert_eq!(client.leases().await.unwrap().len(), 1);
    drop(reader);
    eventually("nothing of it is mounted here", || outside.join("region").exists().then_some(()));
}
