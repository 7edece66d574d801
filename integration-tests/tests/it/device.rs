//! Regions in devices, made and served by the commands that people run.
//!
//! On several threads: an agent that is told to stop waits for its clients, which must be able to go meanwhile.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use arrow_array::RecordBatch;
use farrow_client::{Client, Frame};
use farrow_integration_tests::{Agent, Holder, Region, User, batch, farrow, skipped};

use crate::map_socket::intrude;

/// A device-dax node named by the environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_in_a_real_device_dax_node() {
    let Some(path) = std::env::var_os("FARROW_TEST_DAX").map(PathBuf::from) else {
        return skipped(
            "a region in a real device-dax node: FARROW_TEST_DAX names none \
             (its content would be lost; cargo xtask guest has one)",
        );
    };
    a_region_in_device(path).await;
}

/// The memory of an ivshmem device.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_in_a_real_pci_bar() {
    let Some(path) = std::env::var_os("FARROW_TEST_BAR").map(PathBuf::from) else {
        return skipped(
            "a region in a real PCI BAR: FARROW_TEST_BAR names none \
             (its content would be lost; cargo xtask guest has one)",
        );
    };
    a_region_in_device(path).await;
}

/// The same in a file, which every machine has.
#[tokio::test(flavor = "multi_thread")]
async fn a_region_in_a_file() {
    a_region_in(Region::new("64MiB")).await;
}

async fn a_region_in_device(path: PathBuf) {
    // Nobody can make a device larger.
    let refused = farrow(&["mkfs", "--force", "--size", "1TiB", path.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("it has its size"), "{}", stderr(&refused));
    a_region_in(Region::at(path)).await;
}

async fn a_region_in(region: Region) {
    made_once(&region);
    let agent = region.agent();
    copied_in_and_out(&region, &agent).await;

    let client = agent.client().await;
    let rows = batch(0, 10_000);
    let mapped = get(&client, "copies/one").await;
    assert_eq!(all(&mapped), std::slice::from_ref(&rows));
    assert!(stdout(&run(&agent, &["leases"])).contains("copies/one@1"));
    in_several_extents(&agent).await;
    without_a_right_on_it(&region, &agent).await;

    // What is mapped outlives the agent, and what is committed too.
    agent.kill();
    assert_eq!(all(&mapped), std::slice::from_ref(&rows));
    let agent = region.agent();
    let client = agent.client().await;
    assert_eq!(all(&get(&client, "copies/one").await), [rows]);
    assert!(stderr(&run(&agent, &["rm", "copies/one"])).contains("1 version removed"));
    assert_eq!(stdout(&run(&agent, &["ls", "copies"])), "");
    assert_eq!(agent.terminate(), Some(0));
    region.assert_clean();
}

/// Makes a region, in which others keep all but a small pool; a second time only if forced to.
fn made_once(region: &Region) {
    let path = region.path.to_str().unwrap();
    stdout(&farrow(&["mkfs", "--force", "--catalog", "2MiB", "--reserve", "36MiB", path]));
    let before = log(path);
    let refused = farrow(&["mkfs", path]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    assert_eq!(log(path), before);
    region.assert_clean();
}

/// Puts an Arrow IPC file in, and gets the same bytes out.
async fn copied_in_and_out(region: &Region, agent: &Agent) {
    let client = agent.client().await;
    let rows = batch(0, 10_000);
    client.put("source", rows.schema(), vec![rows]).await.unwrap();
    let (one, two) = (region.beside("one.arrow"), region.beside("two.arrow"));
    stdout(&run(agent, &["get", "source", "-o", one.to_str().unwrap()]));
    assert!(
        stderr(&run(agent, &["put", "copies/one", one.to_str().unwrap()]))
            .contains("copies/one@1: 10000 rows")
    );
    stdout(&run(agent, &["get", "copies/one", "-o", two.to_str().unwrap()]));
    let bytes = fs::read(one).unwrap();
    assert!(bytes.starts_with(b"ARROW1"));
    assert!(bytes == fs::read(two).unwrap(), "the file that came out is another one");

    assert_eq!(stdout(&run(agent, &["ls"])), "copies/one\nsource\n");
    assert!(stdout(&run(agent, &["ls", "-l"])).contains("copies/one@1  10000"));
    assert_eq!(df(agent)["frames"].as_u64(), Some(2));
}

/// A segment that does not fit into one piece of the pool is mapped as one.
async fn in_several_extents(agent: &Agent) {
    let client = agent.client().await;
    let part = batch(0, 120_000);
    let mut parts = Vec::new();
    let full = loop {
        let name = format!("part/{}", parts.len());
        match client.put(&name, part.schema(), vec![part.clone()]).await {
            Ok(_) => parts.push(name),
            Err(full) => break full,
        }
    };
    assert!(full.to_string().contains("largest free extent"), "{full}");
    for name in parts.iter().step_by(2) {
        client.drop(name).await.unwrap();
    }
    let largest = df(agent)["largest_free"].as_u64().unwrap();
    let rows = batch(0, 300_000);
    let info = client.put("long", rows.schema(), vec![rows.clone()]).await.unwrap();
    assert!(info.bytes > largest, "{} bytes fit into one extent of {largest}", info.bytes);
    assert_eq!(all(&get(&client, "long").await), [rows]);
}

/// An application of another user, to whom the agent passes a descriptor.
async fn without_a_right_on_it(region: &Region, agent: &Agent) {
    let Some(user) = User::new(65_534, "an application without a right on the medium") else { return };
    fs::set_permissions(&region.path, Permissions::from_mode(0o600)).unwrap();
    region.let_everybody_in();
    assert_eq!(Holder::of_frame_as(&user, agent.socket(), "copies/one").sum(), 49_995_000);
    let said = intrude(&user, agent, "source");
    assert_eq!(said.matches("Permission denied (os error 13)").count(), 4, "{said}");
    assert!(!said.contains("written"), "{said}");
}

async fn get(client: &Client, name: &str) -> Frame {
    let frame = client.get(name).await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    frame
}

fn all(frame: &Frame) -> Vec<RecordBatch> {
    frame.batches().map(Result::unwrap).collect()
}

fn run(agent: &Agent, args: &[&str]) -> Output {
    farrow(&[args, &["--address", agent.socket()]].concat())
}

fn df(agent: &Agent) -> serde_json::Value {
    serde_json::from_str(&stdout(&run(agent, &["df", "--json"]))).unwrap()
}

/// Returns what is in the region, its UUID included.
fn log(path: &str) -> String {
    stdout(&farrow(&["log", "--json", path]))
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
