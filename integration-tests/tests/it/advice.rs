//! Advice: each command that a message names is run, and each option and variable that it names is there.
//!
//! Messages are found in the sources: a command stands in backquotes there, and nowhere else. A word in braces or in capital
//! letters stands for something that the person fills in, as is done here, with a region and an agent in a directory of
//! the test's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use farrow_client::Reason;
use farrow_integration_tests::literals::{Literal, files, literals};
use farrow_integration_tests::{Agent, Region, batch, farrow, mebibytes, program};

/// The crates whose text people read.
const CRATES: [&str; 10] = [
    "famfs-format",
    "farrow-agent",
    "farrow-cli",
    "farrow-client",
    "farrow-datafusion",
    "farrow-ipc",
    "farrow-proto",
    "farrow-python",
    "farrow-region",
    "farrow-store",
];

/// Commands that are not farrow's and cannot be run here, by their first words. `famfs` is as in its version 2.
const OTHERS: [&str; 15] = [
    "famfs cp",
    "famfs creat",
    "famfs fsck",
    "famfs logplay",
    "famfs mkdir",
    "famfs mount",
    "mkfs.famfs",
    "openssl rand -hex 32",
    "pip install",
    "sha256sum",
    "systemctl reload",
    "umount",
    "unshare --mount-proc",
    "usermod --append --groups",
    "uuidgen",
];

/// Commands that are run on files of the test's own.
const TOOLS: [&str; 3] = ["chmod", "install", "mkdir"];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

/// All text of messages.
fn messages() -> Vec<Literal> {
    let mut found: Vec<Literal> =
        CRATES.iter().flat_map(|name| literals(&crates().join(name).join("src"))).collect();
    for file in files(&crates().join("farrow-python/python/farrow"), "py") {
        let text = std::fs::read_to_string(&file).unwrap();
        // Of its docstrings, what is code stands in two backquotes each.
        found.push(Literal { text: text.replace("``", "\""), file });
    }
    assert!(found.len() > 1000, "{} literals", found.len());
    found
}

fn help(name: &str, args: &[&str]) -> String {
    let output = Command::new(program(name)).args(args).output().unwrap();
    assert!(output.status.success(), "{name} {args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs of the command, as its help lists them, and those that it hides.
fn verbs() -> Vec<String> {
    let help = help("farrow", &["--help"]);
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let listed =
        listed.lines().map_while(|line| line.strip_prefix("  ")?.split(' ').next().map(str::to_owned));
    listed.filter(|verb| verb != "help").chain(["man".to_owned()]).collect()
}

/// The parts in backquotes, and the rest.
fn parts(text: &str) -> (Vec<&str>, String) {
    let mut quoted = Vec::new();
    let mut rest = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 { quoted.push(part) } else { rest += &format!("{part} ") }
    }
    (quoted, rest)
}

fn is_command(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let of_others = OTHERS.iter().any(|known| known.split(' ').next() == Some(first));
    // A name alone is a word for the program.
    (first == "farrow" || first == "farrow-agent" || first == "famfs" || of_others || TOOLS.contains(&first))
        && (text.contains(' ') || first != text || OTHERS.contains(&first))
}

/// A place in which each command can be run.
struct Sandbox {
    directory: PathBuf,
    pristine: PathBuf,
    agent: Agent,
    /// The region that the agent serves, and one that is looked at without an agent.
    _regions: [Region; 2],
}

impl Sandbox {
    /// A served region with the frame `orders`, and beside it a file `orders` with one that nobody serves.
    fn new() -> Self {
        let [served, offline] = [Region::unmade(), Region::unmade()];
        for region in [&served, &offline] {
            let made = farrow(&[
                "mkfs",
                "-q",
                "--size",
                "24MiB",
                "--reserve",
                "4MiB",
                region.path.to_str().unwrap(),
            ]);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        let directory = served.beside("work");
        std::fs::create_dir(&directory).unwrap();
        for file in ["rows.csv", "more.csv"] {
            std::fs::write(directory.join(file), "n\n1\n").unwrap();
        }
        let put = |agent: &Agent| {
            let file = directory.join("rows.csv");
            let put = farrow(&["put", "orders", file.to_str().unwrap(), "--address", agent.socket()]);
            assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
        };
        let agent = offline.agent();
        put(&agent);
        assert_eq!(agent.terminate(), Some(0));
        let pristine = offline.path.clone();
        Self { agent: served.agent(), directory, pristine, _regions: [served, offline] }
    }

    /// A word in the place of one that the person fills in.
    fn filled(word: &str, before: &str, socket: &str) -> String {
        let placeholder = word.contains('{')
            || word.trim_end_matches("...").chars().all(|c| c.is_ascii_uppercase() || c == '-' || c == ':');
        if !placeholder || word == "-" || word == "--" {
            return word.to_owned();
        }
        match (before, word) {
            ("--address", _) => socket,
            ("--socket", _) => "new.sock",
            ("--listen", _) => "127.0.0.1:0",
            ("--last", _) => "1",
            ("--older-than" | "--max-age", _) => "1h",
            ("--size" | "--log-len", _) => "16MiB",
            ("--catalog", _) => "1MiB",
            ("--reserve" | "--by", _) => "2MiB",
            ("-d" | "-p", _) => "made",
            ("-o", _) => "out.csv",
            (_, "FILE") => "rows.csv",
            (_, "FILE...") => "rows.csv more.csv",
            (_, "FAMFS-PATH") => "out/orders.arrow",
            (_, "DIR") => ".",
            (_, word) if word.ends_with("}/") => "orders/",
            (_, word) if word.contains("@{") => "orders@1",
            (_, word) if word.contains('*') => "orders*",
            _ => "orders",
        }
        .to_owned()
    }

    fn run(&self, command: &str) -> Output {
        // Each finds the same: what it removes is there again for the next.
        let orders = self.directory.join("orders");
        std::fs::copy(&self.pristine, &orders).unwrap();
        let rows = self.directory.join("rows.csv");
        let put = ["put", "orders", rows.to_str().unwrap(), "-q", "--address", self.agent.socket()];
        farrow(&put);
        let words: Vec<&str> = command.split_whitespace().collect();
        let before = std::iter::once("").chain(words.iter().copied());
        let filled: Vec<String> = words
            .iter()
            .zip(before)
            .map(|(word, before)| Self::filled(word, before, self.agent.socket()))
            .collect();
        let line = filled.join(" ").replace('\'', "");
        let mut args = line.split_whitespace();
        let name = args.next().unwrap();
        if line.starts_with("farrow mkfs") && !line.contains("--force") {
            std::fs::remove_file(&orders).unwrap();
            if !line.contains("--size") {
                // A device has a size of its own; so has a file that is there.
                std::fs::File::create(&orders).unwrap().set_len(32 << 20).unwrap();
            }
        }
        let path = if ["farrow", "farrow-agent"].contains(&name) { program(name) } else { name.into() };
        let mut command = Command::new(path);
        command.args(args).current_dir(&self.directory).env("FARROW_ADDRESS", self.agent.socket());
        if name == "farrow-agent" {
            command.arg("--check-config").env("FARROW_SOCKET", self.directory.join("new.sock"));
        }
        command.output().unwrap()
    }
}

#[test]
fn each_command_that_a_message_names_can_be_run() {
    let commands: BTreeSet<(String, PathBuf)> = messages()
        .into_iter()
        .flat_map(|Literal { text, file }| {
            let (quoted, _) = parts(&text);
            let commands: Vec<String> =
                quoted.into_iter().filter(|part| is_command(part)).map(str::to_owned).collect();
            commands.into_iter().map(move |command| (command, file.clone()))
        })
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    let sandbox = Sandbox::new();
    let mut done = BTreeSet::new();
    for (command, file) in commands {
        if !done.insert(command.clone()) {
            continue;
        }
        let first = command.split_whitespace().next().unwrap();
        if first.starts_with("farrow") || TOOLS.contains(&first) {
            let output = sandbox.run(&command);
            let told = String::from_utf8_lossy(&output.stderr);
            // All room is taken once it has grown.
            let full = command == "farrow grow" && output.status.code() == Some(6);
            assert!(output.status.success() || full, "{}: `{command}`: {told}", file.display());
        } else {
            let known = OTHERS.iter().any(|known| command.starts_with(known));
            assert!(
                known,
                "{}: `{command}` is not known here: see that there is such a command",
                file.display()
            );
        }
    }
}

/// Runs a command as it would be copied from a message into a shell, and returns what it wrote.
fn in_a_shell(command: &str, directory: &Path, agent: &Agent) -> String {
    let programs = program("farrow").parent().unwrap().to_owned();
    let ran = Command::new("sh")
        .args(["-c", command])
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()))
        .env("FARROW_ADDRESS", agent.socket())
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// A name is text for the shell that a command is copied into, whoever chose it.
#[test]
fn names_in_commands_are_text_for_a_shell() {
    let sandbox = Sandbox::new();
    let (directory, agent) = (&sandbox.directory, &sandbox.agent);
    let run = |args: &[&str]| {
        let mut command = Command::new(program("farrow"));
        command.args(args).current_dir(directory).env("FARROW_ADDRESS", agent.socket()).output().unwrap()
    };
    let advised = |args: &[&str], start: &str| -> String {
        let refused = run(args);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{args:?}: {told}");
        let found = told.split('`').find(|part| part.starts_with(start));
        found.unwrap_or_else(|| panic!("{args:?}: no {start} in {told}")).to_owned()
    };
    for name in ["plain", "a bc", "it's", "$(touch taken)", "x;touch taken;y", "-xyz", "-q'$HOME\"z"] {
        let put = advised(&["put", "--", name, "rows.csv", "more.csv"], "farrow put ");
        in_a_shell(&put.replace("FILE...", "rows.csv more.csv"), directory, agent);
        assert!(run(&["stat", "--", &format!("{name}/more")]).status.success(), "{put}");
        let append = advised(&["put", "--", name, "rows.csv", "more.csv"], "farrow append ");
        in_a_shell(&append.replace("FILE...", "rows.csv"), directory, agent);
        let start = &name[..name.len() - 1];
        let ls = advised(&["rm", &format!("--prefix={start}")], "farrow ls ");
        assert!(in_a_shell(&ls, directory, agent).lines().any(|line| line == name), "{ls}");

        let rm = advised(&["rm", "--", &format!("{name}*")], "farrow rm ");
        in_a_shell(&rm, directory, agent);
        assert!(!run(&["stat", "--", name]).status.success(), "{rm}");

        std::fs::copy(&sandbox.pristine, directory.join(name)).unwrap();
        let log = advised(&["cat", "--", name, "none"], "farrow log ");
        in_a_shell(&log, directory, agent);
        let new = format!("{name} new");
        let sized = advised(&["mkfs", "--", &new], "farrow mkfs ");
        assert_eq!(sized.replace("1GiB", "SIZE"), advised(&["fsck", "--", &new], "farrow mkfs "));
        let mkfs = advised(&["fsck", "--", &new], "farrow mkfs ");
        in_a_shell(&mkfs.replace(" SIZE ", " 16MiB "), directory, agent);
        assert!(directory.join(&new).exists(), "{mkfs}");
        for made in [name, &new] {
            std::fs::remove_file(directory.join(made)).unwrap();
        }
        if name == "plain" {
            assert_eq!([&put[..], &ls], ["farrow put plain/ FILE...", "farrow ls 'plai*'"]);
        }
    }
    assert!(!directory.join("taken").exists());
}

/// By a shell, whatever the frame is called.
#[tokio::test]
async fn what_a_full_region_advises_frees_it() {
    const FRAME: &str = "-it's $HOME/ü \"x\" \\";
    let region = Region::new("24MiB");
    let agent = region.agent();
    let client = agent.client().await;
    let put = async |name: &str| {
        let rows = batch(0, 50_000);
        client.put(name, rows.schema(), vec![rows]).await
    };
    for name in ["other", "other", "single"] {
        put(name).await.unwrap();
    }
    let full = loop {
        if let Err(full) = put(FRAME).await {
            break full;
        }
    };
    assert_eq!(full.reason(), Some(Reason::RegionFull), "{full}");
    let told = full.to_string();
    let command = told.split('`').find(|part| part.starts_with("farrow retain")).unwrap();
    let before = client.versions(FRAME).await.unwrap().len();
    assert!(told.contains(&format!("(its {} old versions hold ", before - 1)), "{told}");
    in_a_shell(command, Path::new("/"), &agent);
    assert_eq!(client.versions(FRAME).await.unwrap().len(), 1);
    assert_eq!(client.versions("other").await.unwrap().len(), 2);
    put(FRAME).await.unwrap();
}

/// Room outside the pool is named to a put that does not fit, and by the doctor before that.
#[tokio::test]
async fn a_full_region_that_can_grow_says_so() {
    let region = Region::unmade();
    let path = region.path.to_str().unwrap();
    assert!(farrow(&["mkfs", "-q", "--size", "32MiB", "--reserve", "12MiB", path]).status.success());
    let agent = region.agent();
    let client = agent.client().await;
    let usage = client.usage().await.unwrap();
    let mebibytes_of = |bytes: u64| mebibytes(0, i64::try_from(bytes >> 20).unwrap());
    assert!(usage.growable > 8 << 20, "{usage:?}");
    let first = mebibytes_of(usage.largest_free * 4 / 5);
    client.put("first", first.schema(), vec![first]).await.unwrap();
    let space = |told: &str| told.lines().find(|line| line.contains("  space")).unwrap().to_owned();
    let doctor = || {
        let output = farrow(&["doctor", "--address", agent.socket()]);
        space(&String::from_utf8(output.stdout).unwrap())
    };
    let told = doctor();
    assert!(told.starts_with("note") && told.contains(". `farrow grow` adds up to "), "{told}");

    let left = client.usage().await.unwrap();
    let second = mebibytes_of(left.largest_free + (1 << 20));
    let put = async || client.put("second", second.schema(), vec![second.clone()]).await;
    let full = put().await.unwrap_err();
    assert_eq!(full.reason(), Some(Reason::RegionFull), "{full}");
    let told = full.to_string();
    let remedies = told.split_once(" Try: ").unwrap().1;
    assert!(
        remedies.starts_with("`farrow grow`, which adds up to ") && !told.contains("farrow leases"),
        "{told}"
    );
    in_a_shell("farrow grow", Path::new("/"), &agent);
    put().await.unwrap();

    let third = mebibytes(0, 64);
    let none = client.put("third", third.schema(), vec![third]).await.unwrap_err().to_string();
    assert!(
        none.contains("All of the pool has ") && none.contains("Try: `farrow mkfs --size SIZE PATH`"),
        "{none}"
    );
}

#[test]
fn no_command_stands_outside_of_backquotes() {
    let verbs = verbs();
    for Literal { text, file } in messages() {
        // Examples of a verb's help are run by its own test, and what a script has is no message.
        if file.ends_with("args.rs") || file.extension().is_some_and(|ending| ending == "py") {
            continue;
        }
        let (_, rest) = parts(&text);
        let words: Vec<&str> = rest.split(|c: char| c.is_whitespace() || "(),.;:".contains(c)).collect();
        for pair in words.windows(2) {
            let named = match pair {
                ["farrow", verb] => verbs.iter().any(|known| known == verb),
                ["farrow-agent", option] => option.starts_with("--"),
                [program, _] => ["chmod", "usermod", "openssl", "systemctl", "setfacl"].contains(program),
                _ => false,
            };
            assert!(!named, "{}: {pair:?} stands without backquotes in {text:?}", file.display());
        }
    }
}

#[test]
fn each_option_and_variable_that_a_message_names_is_there() {
    let mut known = help("farrow-agent", &["--help"]);
    for verb in verbs() {
        known += &help("farrow", &[&verb, "--help"]);
    }
    known += &help("farrow", &["--help"]);
    let is_known = |name: &str| {
        known.match_indices(name).any(|(at, _)| {
            known[at + name.len()..]
                .chars()
                .next()
                .is_none_or(|next| !next.is_ascii_alphanumeric() && next != '-' && next != '_')
        })
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut found = BTreeSet::new();
    for Literal { text, file } in messages() {
        let (quoted, rest) = parts(&text);
        let ours = quoted.into_iter().filter(|part| part.starts_with("farrow")).map(str::to_owned);
        for part in ours.chain([rest]) {
            for word in part.split(|c: char| !is_part(c)) {
                let option = word.starts_with("--")
                    && word.len() > 2
                    && word[2..].starts_with(|c: char| c.is_ascii_lowercase());
                // As a message names it, or as a program looks it up.
                let variable = word.starts_with("FARROW_") && word.len() > 7;
                if option || variable {
                    found.insert((word.to_owned(), file.clone()));
                }
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    for (name, file) in found {
        // By which the scripts of shells ask for completions: nobody sets it.
        if name == "FARROW_COMPLETE" {
            continue;
        }
        assert!(is_known(&name), "{}: {name} is no option and no variable that help names", file.display());
    }
}
