//! Applications without any right on the medium map it all the same, to be read and not written.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use farrow_client::Client;
use farrow_integration_tests::{
    Agent, Famfs, Holder, Region, User, batch, eventually, exchange, farrow, map_request, map_socket,
    program, sum,
};
use farrow_region::{FileRange, ReadMapping};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Numbers that no account needs to have.
const APPLICATION: u32 = 65_534;
const AGENT: u32 = 65_533;

async fn put(agent: &Agent, name: &str) -> Client {
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put(name, rows.schema(), vec![rows]).await.unwrap();
    client
}

/// The region's UUID, out of its superblock.
fn uuid(region: &Path) -> Vec<u8> {
    fs::read(region).unwrap()[48..64].to_vec()
}

fn only_for_owner(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// `intruder` as `user`: what it says.
pub(crate) fn intrude(user: &User, agent: &Agent, frame: &str) -> String {
    let output = user.command("intruder").args([agent.socket(), frame]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn another_user_maps_what_only_root_may_open() {
    let Some(user) = User::new(APPLICATION, "an application without a right on root's region") else {
        return;
    };
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = put(&agent, "a").await;
    region.let_everybody_in();
    let mut reader = Holder::of_frame_as(&user, agent.socket(), "a");
    assert_eq!(reader.sum(), 499_500);
    let lease = &client.leases().await.unwrap()[0];
    assert_eq!((lease.pid, lease.uid), (reader.pid(), APPLICATION));
    // What is mapped outlives the agent.
    agent.kill();
    assert_eq!(reader.sum(), 499_500);
}

#[tokio::test]
async fn an_agent_without_privileges_serves_yet_another_user() {
    let what = "an application beside an agent that is an ordinary user too";
    let (Some(application), Some(owner)) = (User::new(APPLICATION, what), User::new(AGENT, what)) else {
        return;
    };
    let region = Region::new("64MiB");
    let agent = region.agent_as(&owner);
    region.let_everybody_in();
    put(&agent, "a").await;
    let mut reader = Holder::of_frame_as(&application, agent.socket(), "a");
    assert_eq!(reader.sum(), 499_500);
    assert_nothing_written(&intrude(&application, &agent, "a"));
}

#[tokio::test]
async fn what_is_passed_cannot_be_written() {
    let Some(user) = User::new(APPLICATION, "writing through a descriptor that was passed") else { return };
    let region = Region::new("64MiB");
    let agent = region.agent();
    put(&agent, "a").await;
    region.let_everybody_in();
    assert_nothing_written(&intrude(&user, &agent, "a"));
    region.assert_clean();
}

#[track_caller]
fn assert_nothing_written(said: &str) {
    let refused = |way: &str| said.contains(&format!("{way}: Permission denied (os error 13)\n"));
    for way in ["map", "reopen", "reopen both", "open"] {
        assert!(refused(way), "{way}: {said}");
    }
    assert!(said.contains("write: Bad file descriptor"), "{said}");
    assert!(said.contains("cut off: Invalid argument"), "{said}");
}

#[tokio::test]
async fn files_of_a_mount_are_passed_one_by_one() {
    let Some(user) = User::new(APPLICATION, "an application without a right on a mount's files") else {
        return;
    };
    let region = Region::mounted(24);
    let files = ["farrow/pool/0000", ".meta/.superblock"].map(|name| region.path.join(name));
    files.iter().for_each(|file| only_for_owner(file));
    let agent = region.agent();
    put(&agent, "a").await;
    region.let_everybody_in();
    assert_eq!(Holder::of_frame_as(&user, agent.socket(), "a").sum(), 499_500);
    let passed = |pool, superblock| {
        let request = map_request(&fs::read(&files[1]).unwrap()[48..64], pool, superblock);
        let answer = exchange(&map_socket(agent.socket()), &request).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&answer.descriptors[0]);
        fs::read_link(format!("/proc/self/fd/{number}")).unwrap()
    };
    assert_eq!([passed(0, false), passed(0, true)], files);
}

#[tokio::test]
async fn a_file_of_another_program_is_passed_too() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    assert!(farrow(&["mkfs", "--size", "64MiB", "--reserve", "20MiB", path]).status.success());
    let agent = region.agent();
    let client = put(&agent, "a").await;
    let file = region.beside("a.arrow");
    let got = farrow(&["get", "a", "-o", file.to_str().unwrap(), "--address", agent.socket()]);
    assert!(got.status.success());
    Famfs::open(&region.path).copy_in("in/a.arrow", &fs::read(file).unwrap());
    // Nothing is where the descriptor says.
    fs::rename(&region.path, region.beside("elsewhere")).unwrap();
    let client_of_nothing = agent.client().await;
    let frame = client_of_nothing.get("in/a.arrow").await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(sum(&frame).unwrap(), 499_500);
    drop(client);
}

#[tokio::test]
async fn the_agents_descriptor_comes_before_the_path_and_the_path_before_rows() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    put(&agent, "a").await;
    let elsewhere = region.beside("elsewhere");
    let map = map_socket(agent.socket());

    // Another region lies at the path by now.
    let other = Region::new("32MiB");
    fs::rename(&region.path, &elsewhere).unwrap();
    fs::copy(&other.path, &region.path).unwrap();
    let frame = agent.client().await.get("a").await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(sum(&frame).unwrap(), 499_500);

    // Without a map socket there is only the path.
    fs::rename(&map, region.beside("hidden")).unwrap();
    let frame = agent.client().await.get("a").await.unwrap();
    let why = frame.why().unwrap().to_owned();
    assert!(why.contains("holds region") && why.contains(map.to_str().unwrap()), "{why}");
    assert!(why.contains("No such file or directory"), "{why}");
    assert_eq!(sum(&frame).unwrap(), 499_500);
    fs::remove_file(&region.path).unwrap();
    let why = agent.client().await.get("a").await.unwrap().why().unwrap().to_owned();
    assert!(why.contains(region.path.to_str().unwrap()) && why.contains(map.to_str().unwrap()), "{why}");

    fs::rename(&elsewhere, &region.path).unwrap();
    let frame = agent.client().await.get("a").await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    fs::rename(region.beside("hidden"), &map).unwrap();
}

#[test]
fn the_map_socket_is_for_whom_the_agents_socket_is_for() {
    let region = Region::new("16MiB");
    for umask in ["000", "027", "077"] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")]).arg(program("farrow-agent"));
        let agent = region.agent_by(command);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let map = map_socket(agent.socket());
        let expected = 0o777 & !u32::from_str_radix(umask, 8).unwrap();
        assert_eq!((mode(agent.socket().as_ref()), mode(&map)), (expected, expected), "umask {umask}");
        let socket = agent.socket().to_owned();
        assert_eq!(agent.terminate(), Some(0));
        assert!(!Path::new(&socket).exists() && !map.exists(), "a socket was left behind");
    }
}

#[tokio::test]
async fn refusals_say_why() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let uuid = uuid(&region.path);
    let map = map_socket(agent.socket());
    let good = map_request(&uuid, 0, false);
    let framed = |message: &[u8]| [&[u8::try_from(message.len()).unwrap(), 0], message].concat();
    let mut later = good.to_vec();
    later[6] = 2;
    for (request, reason, word) in [
        (map_request(&uuid, 1, false).to_vec(), "not-found", "0x1"),
        (map_request(&uuid, 0x8000_0000, false).to_vec(), "not-found", "0x80000000"),
        (map_request(&uuid, u32::MAX, false).to_vec(), "not-found", "0xffffffff"),
        (map_request(&[7; 16], 0, false).to_vec(), "invalid-data", "07070707-"),
        (map_request(&[], 0, true).to_vec(), "invalid-data", "of 0 bytes"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "invalid-data", "other socket"),
        (vec![65, 0], "invalid-data", "65 bytes"),
        (vec![0, 0], "invalid-data", "not made by farrow"),
        (framed(b"FRRT\x01"), "invalid-data", "FRRQ"),
        (framed(b"FRRQ\x01\xff\xff\xff"), "invalid-data", "no protobuf message"),
        (later, "invalid-data", "version 2"),
    ] {
        // The agent may have closed before it was sent everything.
        let answer = exchange(&map, &request).unwrap();
        assert!(answer.descriptors.is_empty(), "{request:02x?}");
        let told = answer.message();
        assert_eq!(told.reason, reason, "{request:02x?}: {}", told.text);
        assert!(told.text.contains(word), "{word}: {}", told.text);
    }
    for superblock in [false, true] {
        let answer = exchange(&map, &map_request(&uuid, 0, superblock)).unwrap();
        assert_eq!((answer.message().reason.as_str(), answer.descriptors.len()), ("", 1));
        let mut found = [0; 16];
        let first_page = [FileRange { offset: 0, len: 4096 }];
        ReadMapping::map(&answer.descriptors[0], &first_page).unwrap().read_at(48, &mut found).unwrap();
        assert_eq!(found[..], uuid[..]);
    }
}

#[tokio::test]
async fn hostile_peers_harm_only_themselves() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    put(&agent, "a").await;
    region.let_everybody_in();
    let map = map_socket(agent.socket());
    let good = map_request(&uuid(&region.path), 0, false);
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
    let before = descriptors();

    // As many connections as this process may have, up to a thousand.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let count = limit.maximum.map_or(1000, |most| usize::try_from(most / 2).unwrap().min(1000));
    let mut peers: Vec<UnixStream> = (0..count).map(|_| UnixStream::connect(&map).unwrap()).collect();
    // Of those that say nothing the first give way: one user has some places at most, each with its process.
    eventually("most are closed", || (descriptors() < before + 2 * 300).then_some(()));
    // Others are served.
    if let Some(user) = User::new(APPLICATION, "a second user beside one who opens a thousand connections") {
        assert_eq!(Holder::of_frame_as(&user, agent.socket(), "a").sum(), 499_500);
    }
    // Half of a request, all of one whose answer nobody reads, something else, nothing; and then they are gone.
    for (index, peer) in peers.iter_mut().enumerate() {
        let said: &[u8] = match index % 4 {
            0 => &good[..good.len() / 2],
            1 => &good,
            2 => &[0xff; 300],
            _ => b"",
        };
        // The agent has closed most of them.
        let _ = peer.write_all(said);
    }
    drop(peers);
    for _ in 0..300 {
        drop(UnixStream::connect(&map).unwrap());
        UnixStream::connect(&map).unwrap().write_all(&good).unwrap();
    }

    let answer = eventually("the agent answers", || {
        exchange(&map, &good).ok().filter(|answer| answer.descriptors.len() == 1)
    });
    drop(answer);
    eventually("the agent has closed everything", || (descriptors() <= before).then_some(()));
    let frame = agent.client().await.get("a").await.unwrap();
    assert_eq!(sum(&frame).unwrap(), 499_500);
}
