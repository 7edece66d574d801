//! Starting and stopping agents.

use farrow_integration_tests::{Region, batch};

/// Starts an agent that must refuse; returns what it says.
fn refusal(region: &Region, args: &[&str]) -> String {
    let output = region.command(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "it should not have served");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_missing_or_garbage_region_is_refused_with_its_path_and_what_to_do() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    assert!(refusal(&region, &[]).contains(path));
    for garbage in [Vec::new(), vec![0; 100], vec![0; 32 << 20], b"some other file\n".repeat(4096)] {
        std::fs::write(&region.path, &garbage).unwrap();
        let told = refusal(&region, &[]);
        assert!(told.contains("ERROR") && !told.contains("panicked"), "{} bytes: {told}", garbage.len());
        assert_eq!(std::fs::read(&region.path).unwrap(), garbage, "a refused file was changed");
    }
    std::fs::remove_file(&region.path).unwrap();
    std::fs::create_dir(&region.path).unwrap();
    assert!(refusal(&region, &[]).contains("directory"));
}

#[test]
fn one_agent_a_region() {
    let region = Region::new("64MiB");
    let first = region.agent();
    let second = region.beside("second.sock");
    let told = refusal(&region, &["--socket", second.to_str().unwrap()]);
    assert!(told.contains("in use by another agent"), "{told}");
    assert!(told.contains(&format!("locked by process {} (farrow-agent)", first.pid())), "{told}");
    assert!(!second.exists());
    drop(first);
    drop(region.agent());
}

/// Its locks and sockets go when its memory has been given back, which takes a moment.
#[test]
fn an_agent_starts_right_after_another_was_killed() {
    let region = Region::new("256MiB");
    let mut agent = region.agent();
    for _ in 0..5 {
        agent.signal(rustix::process::Signal::KILL);
        agent = region.agent();
    }
}

#[test]
fn a_socket_is_not_put_into_a_directory_that_lacks() {
    let region = Region::new("64MiB");
    let socket = region.beside("none/agent.sock");
    let told = refusal(&region, &["--socket", socket.to_str().unwrap()]);
    assert!(
        told.contains(&format!("there is no directory {}", socket.parent().unwrap().display())),
        "{told}"
    );
    assert!(!socket.parent().unwrap().exists());
}

#[test]
fn another_hosts_region_is_refused() {
    let region = Region::new("64MiB");
    let id = region.beside("other-host");
    std::fs::write(&id, "01234567-89ab-cdef-0123-456789abcdef\n").unwrap();
    let told = refusal(&region, &["--system-uuid-file", id.to_str().unwrap()]);
    assert!(told.contains("01234567-89ab-cdef-0123-456789abcdef") && told.contains("master"), "{told}");
}

#[test]
fn only_loopback_without_tls() {
    let region = Region::new("64MiB");
    let output = region.command(&["--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "it should not have served");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a loopback address"));
}

#[test]
fn a_socket_path_that_is_something_else_is_not_removed() {
    let region = Region::new("64MiB");
    let file = region.beside("precious");
    std::fs::write(&file, "data").unwrap();
    assert!(refusal(&region, &["--socket", file.to_str().unwrap()]).contains("no socket"));
    assert_eq!(std::fs::read(&file).unwrap(), b"data");
}

#[tokio::test]
async fn a_stop_ends_with_zero_and_takes_the_socket_away() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let socket = std::path::PathBuf::from(agent.socket());
    let client = agent.client().await;
    let rows = batch(0, 10);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let frame = client.get("a").await.unwrap();
    assert_eq!(agent.terminate(), Some(0));
    assert!(!socket.exists());
    assert_eq!(frame.batch(0).unwrap().num_rows(), 10, "what is mapped stays mapped");
    region.assert_clean();
}

#[test]
fn a_state_that_is_not_understood_stops_the_start() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let holder = farrow_integration_tests::Holder::of_reservation(agent.socket(), 5000);
    let files = || std::fs::read_dir(region.beside("state")).unwrap().map(|entry| entry.unwrap().path());
    let of = |extension: &str| {
        files().find(|path| path.extension().is_some_and(|found| found == extension)).unwrap()
    };
    let (file, pages) = (&of("holders"), of("pages"));
    assert!(std::fs::read_to_string(file).unwrap().contains(&format!("pid {}", holder.pid())));
    agent.kill();
    let record = std::fs::read(file).unwrap();
    std::fs::write(file, "nonsense").unwrap();
    assert!(refusal(&region, &[]).contains("may still map this region"));
    std::fs::write(file, record).unwrap();
    std::fs::write(pages.join("nonsense"), "").unwrap();
    assert!(refusal(&region, &[]).contains("\"nonsense\", which is no page"));
}
