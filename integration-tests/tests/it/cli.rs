//! The `farrow` command.

mod completions;
mod doctor;
mod exit_codes;
mod globals;
mod many_files;
mod rows;
mod terminal;
mod unended;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Output, Stdio};

use arrow_array::RecordBatch;
use farrow_client::Reason;
use farrow_integration_tests::{Agent, Region, batch, farrow, program};

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn put_ls_get_rm() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("source", rows.schema(), vec![rows.clone()]).await.unwrap();
    let run = |args: &[&str]| farrow(&[args, &["--address", agent.socket()]].concat());

    let file = region.beside("out.arrow");
    let file = file.to_str().unwrap();
    assert_eq!(stdout(&run(&["get", "source", "-o", file])), "");
    assert!(stderr(&run(&["put", "copies/one", file])).contains("copies/one@1: 1000 rows"));
    let stream = region.beside("out.stream");
    std::fs::write(&stream, run(&["get", "copies/one"]).stdout).unwrap();
    stdout(&run(&["put", "copies/one", stream.to_str().unwrap()]));
    let frame = client.get("copies/one@2").await.unwrap();
    assert_eq!(frame.batches().map(Result::unwrap).collect::<Vec<RecordBatch>>(), [rows]);

    assert_eq!(stdout(&run(&["ls"])), "copies/one\nsource\n");
    assert_eq!(stdout(&run(&["ls", "copies"])), "copies/one\n");
    assert_eq!(stdout(&run(&["ls", "cop*"])), "copies/one\n");
    assert_eq!(stdout(&run(&["ls", "cop"])), "");
    let long = stdout(&run(&["ls", "-l"]));
    assert!(long.starts_with("frame") && long.contains("copies/one@2  1000"), "{long}");
    let none = run(&["ls", "cop"]);
    assert!(stderr(&none).ends_with("Names that only begin so: `farrow ls 'cop*'`\n"), "{}", stderr(&none));
    // Wildcards that would mean no frame are refused by every verb that takes a prefix.
    for args in [
        &["ls", "*one"][..],
        &["ls", "copies/*e"],
        &["ls", "copies/on?"],
        &["rm", "--prefix", "copies/*e"],
        &["rm", "--dry-run", "--prefix", "copies/on?"],
        &["expire", "copies/*e", "--older-than", "0s", "--latest"],
        &["watch", "copies/*e"],
    ] {
        let refused = run(args);
        assert_eq!((refused.status.code(), refused.stdout.is_empty()), (Some(2), true), "{args:?}");
        assert!(
            stderr(&refused).contains("and only at the end; there are no other wildcards"),
            "{args:?}: {}",
            stderr(&refused)
        );
    }
    let told = stderr(&run(&["ls", "copies/on?"]));
    assert!(told.ends_with("Try: 'copies/on*'\n"), "{told}");
    let error = client.list("*one").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::InvalidName), "{error}");
    assert_eq!(stdout(&run(&["ls"])), "copies/one\nsource\n");
    let json: serde_json::Value =
        serde_json::from_str(stdout(&run(&["ls", "--json", "copies/"])).trim()).unwrap();
    assert_eq!((json["name"].as_str(), json["version"].as_u64()), (Some("copies/one"), Some(2)));

    assert!(stdout(&run(&["leases"])).contains("copies/one@2"));
    assert!(stderr(&run(&["rm", "copies/one@2"])).contains("still mapped"));
    drop(frame);
    assert!(stderr(&run(&["rm", "copies/one"])).contains("1 version removed"));
    assert_eq!(stdout(&run(&["ls"])), "source\n");
    let df: serde_json::Value = serde_json::from_str(&stdout(&run(&["df", "--json"]))).unwrap();
    assert_eq!(df["frames"].as_u64(), Some(1));
    let parts: u64 = ["used", "held", "reserved", "free"].iter().map(|part| df[part].as_u64().unwrap()).sum();
    assert_eq!(df["pool_bytes"].as_u64(), Some(parts));

    let missing = run(&["get", "copies/one"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(stderr(&missing).contains("no frame `copies/one`"), "{}", stderr(&missing));
    let garbage = region.beside("garbage");
    std::fs::write(&garbage, "not arrow").unwrap();
    let refused = run(&["put", "x", garbage.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(8));
    assert!(stderr(&refused).contains("garbage"), "{}", stderr(&refused));
}

#[tokio::test]
async fn many_versions_go_by_prefix_by_number_and_by_age() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    for frame in ["day/1", "day/2", "day/2", "days", "kept", "kept", "kept", "c", "c/y", "cc/y"] {
        client.put(frame, rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    let run = |args: &[&str]| farrow(&[args, &["--address", agent.socket()]].concat());

    assert_eq!(stdout(&run(&["rm", "--prefix", "day/", "--dry-run"])), "day/1\nday/2\n");
    let removed = stderr(&run(&["rm", "--prefix", "day/"]));
    assert!(removed.starts_with("2 frames: 3 versions removed, "), "{removed}");
    assert_eq!(stdout(&run(&["ls"])), "c\nc/y\ncc/y\ndays\nkept\n");
    // A prefix is of whole components, and text only where it says so.
    assert_eq!(stdout(&run(&["rm", "--prefix", "c", "--dry-run"])), "c\nc/y\n");
    assert!(stderr(&run(&["rm", "--prefix", "c"])).starts_with("2 frames: 2 versions removed, "));
    assert_eq!(stdout(&run(&["ls", "c*"])), "cc/y\n");
    assert!(stderr(&run(&["rm", "--prefix", "c*"])).starts_with("1 frame: 1 version removed, "));
    let none = stderr(&run(&["rm", "--prefix", "da"]));
    assert!(
        none.ends_with("no frame `da`, and none below it. Names that only begin so: `farrow ls 'da*'`\n"),
        "{none}"
    );
    assert_eq!(stdout(&run(&["ls"])), "days\nkept\n");
    let again = run(&["rm", "--prefix", "day/"]);
    assert_eq!(again.status.code(), Some(3));
    assert!(stderr(&again).contains("no frame below `day/`"), "{}", stderr(&again));
    let none = run(&["rm", "--prefix", "day/", "--dry-run"]);
    assert_eq!((none.status.code(), stderr(&none)), (again.status.code(), stderr(&again)));
    assert_eq!(stdout(&run(&["rm", "kept@2", "--dry-run"])), "kept@2\n");
    assert_eq!(stdout(&run(&["rm", "kept", "--dry-run"])), "kept\n");
    assert_eq!(run(&["rm", "none", "--dry-run"]).status.code(), Some(3));
    // A prefix where a name is expected.
    for (name, code, advice) in [
        ("kep*", 3, "`kep*`: no frame has this name. All frames that begin so: `farrow rm --prefix 'kep*'`"),
        ("k/*", 3, "`k/*`: no frame has this name. All frames below it: `farrow rm --prefix k/`"),
        ("k/", 2, "`k/`: no frame's name ends with `/`. All frames below it: `farrow rm --prefix k/`"),
    ] {
        for more in [&[][..], &["--dry-run"]] {
            let refused = run(&[&["rm", name], more].concat());
            assert_eq!(refused.status.code(), Some(code), "{name}");
            assert_eq!(stderr(&refused), format!("farrow: {advice}\n"));
        }
    }
    // Several names: what fails does not keep the others.
    for frame in ["m/a", "m/b", "m/c"] {
        client.put(frame, rows.schema(), vec![rows.clone()]).await.unwrap();
    }
    assert_eq!(stdout(&run(&["rm", "--dry-run", "m/a", "m/c@1"])), "m/a\nm/c@1\n");
    let several = run(&["rm", "m/a", "m/none", "m/c"]);
    assert_eq!(several.status.code(), Some(3));
    let told = stderr(&several);
    assert!(
        told.starts_with("m/a: 1 version removed, ")
            && told.contains("\nfarrow: no frame `m/none`")
            && told.contains("\nm/c: 1 version removed, ")
            && told.ends_with("\nfarrow: 1 of 3 names not removed, for the reasons above\n"),
        "{told}"
    );
    assert_eq!(run(&["rm", "m/none", "m//"]).status.code(), Some(1), "not found, and no name");
    assert_eq!(stdout(&run(&["ls", "m"])), "m/b\n");
    stdout(&run(&["rm", "m/b"]));
    for args in [&["rm"][..], &["rm", "--prefix", ""], &["rm", "a", "--prefix", "b"]] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }

    let told = stderr(&run(&["retain", "kept", "--last", "2"]));
    assert!(told.starts_with("kept keeps the last 2 versions: 1 version removed, "), "{told}");
    client.put("kept", rows.schema(), vec![rows]).await.unwrap();
    assert!(client.get("kept@2").await.is_err());
    assert_eq!(client.stat("kept").await.unwrap().retention, 2);
    let long = stdout(&run(&["ls", "-l", "kept"]));
    assert!(long.lines().nth(1).unwrap().ends_with('2') && long.contains("keeps"), "{long}");
    assert!(stderr(&run(&["retain", "kept", "--all"])).contains("keeps all versions: 0 versions removed"));
    let waits = stderr(&run(&["retain", "none", "--last", "1"]));
    assert!(
        waits.ends_with("there is no frame none yet: this holds for the next one of that name\n"),
        "{waits}"
    );
    for args in [
        &["kept", "--last", "0"][..],
        &["kept"],
        &["--last", "1"],
        &["kept", "--max-age", "0.5s"],
        &["kept", "--max-age", "100ms"],
        &["kept", "--last", "1", "--all"],
        &["kept", "--last", "1", "--unset"],
        &["kept", "--prefix", "a", "--all"],
        &["--prefix", "", "--all"],
        &["--region", "--prefix", "a", "--all"],
        &["kept", "--all", "--json"],
        &["--prefix", "a*", "--all"],
    ] {
        assert_eq!(run(&[&["retain"], args].concat()).status.code(), Some(2), "{args:?}");
    }
    let told = stderr(&run(&["retain", "--prefix", "k/", "--last", "2", "--max-age", "1h30m"]));
    let kept = "each frame of k/ keeps the last 2 versions, and none but the latest for longer than 1h 30m: 0 versions";
    assert!(told.starts_with(kept), "{told}");
    assert!(
        stderr(&run(&["retain", "--region", "--max-age", "30d"]))
            .starts_with("each frame keeps all versions, and")
    );
    let long = stdout(&run(&["ls", "-l", "kept"]));
    assert!(long.lines().nth(1).unwrap().ends_with(" all"), "its own holds: {long}");
    let unset = stderr(&run(&["retain", "kept", "--unset"]));
    assert!(
        unset.starts_with("kept keeps what is said of a shorter prefix, or else all versions: 0"),
        "{unset}"
    );
    let long = stdout(&run(&["ls", "-l", "kept"]));
    assert!(long.lines().nth(1).unwrap().ends_with(" all, 30days"), "{long}");
    let list = stdout(&run(&["retain", "--list"]));
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    let uid = rustix::process::geteuid().as_raw().to_string();
    let expected = [
        vec!["of", "name", "keeps", "uid"],
        vec!["region", "all,", "30days", &uid],
        vec!["prefix", "k/", "2,", "1h", "30m", &uid],
        vec!["frame", "none", "1", &uid],
    ];
    assert_eq!(lines, expected);
    let of = |args: &[&str]| stdout(&run(&[&["retain", "--list", "--json"], args].concat()));
    assert_eq!(
        of(&["k/x"]),
        format!(
            "{{\"name\":null,\"prefix\":\"\",\"retention\":0,\"max_age_seconds\":2592000,\"uid\":{uid}}}\n\
             {{\"name\":null,\"prefix\":\"k/\",\"retention\":2,\"max_age_seconds\":5400,\"uid\":{uid}}}\n"
        )
    );
    assert_eq!(of(&["--prefix", "none"]).lines().count(), 2);
    stderr(&run(&["retain", "--region", "--unset"]));

    let dry = |args: &[&str]| run(&[&["expire", "--dry-run", "--older-than"], args].concat());
    assert_eq!(
        (stdout(&dry(&["1d"])), stderr(&dry(&["1d"]))),
        (String::new(), "no version is so old\n".to_owned())
    );
    assert_eq!(stdout(&dry(&["0s"])), "kept@3\n");
    assert_eq!(stdout(&dry(&["0s", "--latest"])), "days@1\nkept@3\nkept@4\n");
    assert_eq!(dry(&["0s", "k*t"]).status.code(), Some(2));
    assert!(stderr(&run(&["expire", "--older-than", "1d"])).starts_with("0 versions removed"));
    assert!(stderr(&run(&["expire", "kept", "--older-than", "0s"])).starts_with("1 version removed"));
    assert!(stderr(&run(&["expire", "--older-than", "0s", "--latest"])).starts_with("2 versions removed"));
    assert_eq!(stdout(&run(&["ls"])), "");
}

#[tokio::test]
async fn grow_adds_pool_files_with_and_without_an_agent() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    stdout(&farrow(&["mkfs", "--size", "64MiB", "--reserve", "40MiB", path]));
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1_000_000);
    let put = async || client.put("a", rows.schema(), vec![rows.clone()]).await;
    let full = put().await.unwrap_err();
    assert_eq!(full.reason(), Some(Reason::RegionFull), "{full}");
    let refused = farrow(&["grow", path]);
    assert_eq!(refused.status.code(), Some(4), "an agent has it open");

    let grown = farrow(&["grow", "--by", "24MiB", "--address", agent.socket()]);
    assert!(stderr(&grown).contains("24.0 MiB more"), "{}", stderr(&grown));
    put().await.unwrap();
    let frame = client.get("a").await.unwrap();
    assert!(frame.zero_copy(), "{:?}", frame.why());
    assert_eq!(
        frame.batches().map(Result::unwrap).collect::<Vec<RecordBatch>>(),
        std::slice::from_ref(&rows)
    );
    let df: serde_json::Value =
        serde_json::from_str(&stdout(&farrow(&["df", "--json", "--address", agent.socket()]))).unwrap();
    assert_eq!(df["log_entries"].as_u64(), Some(6));
    drop(frame);
    assert_eq!(agent.terminate(), Some(0));

    assert!(stderr(&farrow(&["grow", path])).contains("16.0 MiB more"));
    let none = farrow(&["grow", path]);
    assert_eq!(none.status.code(), Some(6));
    assert!(stderr(&none).contains("--reserve"), "{}", stderr(&none));
    region.assert_clean();
    let agent = region.agent();
    assert_eq!(agent.client().await.get("a").await.unwrap().rows(), 1_000_000);
}

/// The place in the region's file of the numbers from 500 on, as `batch` makes them.
fn place_of_500(image: &[u8]) -> usize {
    let numbers: Vec<u8> = (500..510_i64).flat_map(i64::to_le_bytes).collect();
    image.windows(numbers.len()).position(|bytes| bytes == numbers).unwrap()
}

#[tokio::test]
async fn verify_finds_what_was_changed_behind_the_agents_back() {
    let region = Region::new("64MiB");
    let mut agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
    let verify = |agent: &Agent, name: &str| farrow(&["verify", name, "--address", agent.socket()]);
    let told = verify(&agent, "a");
    assert_eq!(told.status.code(), Some(0));
    assert!(stderr(&told).starts_with("a@1: 1 batch, "), "{}", stderr(&told));
    assert_eq!(verify(&agent, "a@2").status.code(), Some(3));

    let file = std::fs::OpenOptions::new().write(true).open(&region.path).unwrap();
    let place = place_of_500(&std::fs::read(&region.path).unwrap());
    file.write_all_at(&[0xff], place as u64).unwrap();
    agent.errs();
    let differs = verify(&agent, "a@1");
    assert_eq!(differs.status.code(), Some(7));
    let expected =
        "farrow: `a@1` is not what was committed: segment 0, record batch 0: its bytes have checksum";
    assert!(stderr(&differs).starts_with(expected), "{}", stderr(&differs));
    drop((client, agent));

    // Without checksums only the metadata is compared, and it says so.
    let agent = region.agent_with(&["--validate", "structure"]);
    let client = agent.client().await;
    client.put("b", rows.schema(), vec![rows]).await.unwrap();
    let told = verify(&agent, "b");
    assert_eq!(told.status.code(), Some(0));
    assert!(stderr(&told).contains("1 segment without checksums"), "{}", stderr(&told));
}

#[test]
fn mkfs_destroys_nothing_without_force() {
    let region = Region::new("64MiB");
    let path = region.path.to_str().unwrap();
    let uuid = || std::fs::read(&region.path).unwrap()[48..64].to_vec();
    let before = uuid();
    for args in [&["mkfs", path][..], &["mkfs", "--size", "64MiB", path], &["mkfs", "--size", "128MiB", path]]
    {
        let refused = farrow(args);
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
        assert_eq!(uuid(), before);
    }
    // Nor with it, before everything that is asked for is known to be possible.
    for (bad, code) in [
        (&["--size", "4MiB"][..], 1),
        (&["--size", "128MiB", "--log-len", "12MiB"], 2),
        (&["--size", "128MiB", "--log-len", "1GiB"], 1),
        (&["--size", "128MiB", "--catalog", "1000"], 2),
        (&["--size", "128MiB", "--catalog", "127MiB"], 1),
        (&["--size", "128MiB", "--reserve", "128MiB"], 1),
        (&["--size", "1000000TiB"], 1),
    ] {
        let refused = farrow(&[&["mkfs", "--force"], bad, &[path]].concat());
        assert_eq!(refused.status.code(), Some(code), "{bad:?}: {}", stderr(&refused));
        assert_eq!(uuid(), before, "{bad:?}");
        region.assert_clean();
    }
    stdout(&farrow(&["mkfs", "--force", "--size", "128MiB", path]));
    assert_ne!(uuid(), before);
    region.assert_clean();
}

#[test]
fn mkfs_of_what_cannot_be_leaves_nothing_behind() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    for args in
        [&["mkfs", path][..], &["mkfs", "--size", "4MiB", path], &["mkfs", "--size", "1000000TiB", path]]
    {
        let refused = farrow(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        assert!(!region.path.exists(), "{args:?}: {}", stderr(&refused));
    }
    let told = stderr(&farrow(&["mkfs", path]));
    assert!(
        told.starts_with(&format!("farrow: {path}: there is no such file"))
            && told.ends_with(&format!("Try: `farrow mkfs --size 1GiB {path}`\n")),
        "{told}"
    );
}

#[test]
fn fsck_tells_clean_from_damaged_from_unreadable() {
    let region = Region::new("64MiB");
    let path = region.path.to_str().unwrap();
    assert!(stdout(&farrow(&["fsck", path])).contains("clean"));
    let report: serde_json::Value =
        serde_json::from_str(&stdout(&farrow(&["fsck", "--json", path]))).unwrap();
    assert_eq!((report["clean"].as_bool(), report["files"].as_u64()), (Some(true), Some(3)));

    // One bit of the first entry's path.
    let mut image = std::fs::read(&region.path).unwrap();
    image[0x20_0000 + 48 + 28] ^= 1;
    std::fs::write(&region.path, &image).unwrap();
    let damaged = farrow(&["fsck", path]);
    assert_eq!(damaged.status.code(), Some(1));
    let told = String::from_utf8_lossy(&damaged.stdout).into_owned();
    assert!(told.contains("log entry 0 at 0x200030"), "{told}");
    assert_eq!(std::fs::read(&region.path).unwrap(), image, "fsck wrote");

    let unreadable = farrow(&["fsck", region.beside("nothing").to_str().unwrap()]);
    assert_eq!(unreadable.status.code(), Some(2));
}

#[test]
fn usage_errors_are_told_apart() {
    assert_eq!(farrow(&["no-such-verb"]).status.code(), Some(2));
    let help = farrow(&["--help"]);
    for verb in
        ["mkfs", "fsck", "put", "append", "ls", "get", "head", "verify", "leases", "df", "top", "doctor"]
    {
        assert!(stdout(&help).contains(&format!("\n  {verb} ")), "{verb}");
    }
}

#[tokio::test]
async fn watch_tells_each_event_on_a_line() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 10);
    for json in [false, true] {
        let mut command = std::process::Command::new(program("farrow"));
        command.args(["watch", "sales/", "--address", agent.socket()]).args(json.then_some("--json"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(notes.next().unwrap().unwrap(), "watching \"sales/\"");

        client.put("other", rows.schema(), vec![rows.clone()]).await.unwrap();
        let info = client.put("sales/a", rows.schema(), vec![rows.clone()]).await.unwrap();
        let committed = lines.next().unwrap().unwrap();
        client.drop("sales/a").await.unwrap();
        let dropped = lines.next().unwrap().unwrap();
        if json {
            let committed: serde_json::Value = serde_json::from_str(&committed).unwrap();
            assert_eq!((&committed["event"], &committed["name"]), (&"committed".into(), &"sales/a".into()));
            assert_eq!(
                (&committed["version"], &committed["bytes"]),
                (&info.version.into(), &info.bytes.into())
            );
            assert_eq!(dropped, r#"{"event":"dropped","name":"sales/a","latest":null}"#);
        } else {
            assert!(committed.starts_with("committed  sales/a@1  10 rows  "), "{committed}");
            assert_eq!(dropped, "dropped    sales/a");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
