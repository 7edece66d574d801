use clap::{CommandFactory as _, Parser as _};

use super::*;

/// The default file with each setting in force.
fn uncommented() -> String {
    let lines = DEFAULT_FILE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => setting,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn parse(text: &str) -> (Config, Vec<String>) {
    let (config, document, mut problems) = Document::parse(Path::new("agent.toml"), text);
    problems.extend(check::settings(&config, &document));
    (config, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_default_file_changes_nothing_and_says_the_defaults() {
    let (as_it_is, _, problems) = Document::parse(Path::new("agent.toml"), DEFAULT_FILE);
    assert_eq!((as_it_is, problems), (Config::default(), Vec::new()));

    let (config, _, problems) = Document::parse(Path::new("agent.toml"), &uncommented());
    assert_eq!(problems, Vec::new());
    // What has no default has an example.
    let Config { region, socket, state_dir, system_uuid_file, tcp, http, tokens, rights, .. } =
        config.clone();
    assert!(region.is_some() && socket.is_some() && state_dir.is_some() && system_uuid_file.is_some());
    let Tcp { listen, certificate, key, client_ca } = &tcp;
    assert!(listen.is_some() && certificate.is_some() && key.is_some() && client_ca.is_some());
    assert!(http.listen.is_some() && !tokens.is_empty() && !rights.is_empty());
    let examples = Config {
        region,
        socket,
        state_dir,
        system_uuid_file,
        tcp,
        http,
        tokens,
        rights,
        ..Config::default()
    };
    assert_eq!(config, examples);
}

#[test]
fn the_default_file_has_each_setting_that_the_types_have() {
    let file: toml::Table = toml::from_str(&uncommented()).unwrap();
    for section in ["", "tcp", "http", "log", "limits"] {
        let text = format!(
            "{}no-such-setting = 1",
            if section.is_empty() { "".into() } else { format!("[{section}]\n") }
        );
        let (_, _, problems) = Document::parse(Path::new("agent.toml"), &text);
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        let known: Vec<&str> = problem.text.split('`').skip(3).step_by(2).collect();
        assert!(!known.is_empty(), "{problem}");
        let documented = if section.is_empty() { &file } else { file[section].as_table().unwrap() };
        for setting in known {
            assert!(documented.contains_key(setting), "[{section}] {setting} is not in agent.toml");
        }
    }
}

#[test]
fn all_problems_are_told_at_once_with_line_and_key() {
    let text = "\
region = \"/dev/shm/farrow\"
limts = { stall = \"1s\" }
validate = \"everything\"
drain = \"10 parsecs\"

[tcp]
listen = \"0.0.0.0:8815\"

[http]
listen = \"localhost:9\"

[limits]
connections = 0
conections = 5
request-bytes = \"3 GiB\"
put-message-bytes = \"12X\"
puts = -1
leases = 0
streams = 99999999999
bytes-per-user = \"endless\"
stall = \"20ms\"
";
    let (_, problems) = parse(text);
    let expected = [
        ("agent.toml:2: limts: ", "Did you mean `limits`?"),
        ("agent.toml:3: validate: ", "`values`"),
        ("agent.toml:4: drain: ", "10 parsecs"),
        ("agent.toml:7: tcp.listen: ", "loopback"),
        (
            "agent.toml:10: http.listen: ",
            "\"localhost:9\": expected an IP address and a port, such as 127.0.0.1:8815",
        ),
        ("agent.toml:13: limits.connections: ", "least is 1"),
        ("agent.toml:14: limits.conections: ", "Did you mean `connections`?"),
        ("agent.toml:15: limits.request-bytes: ", "3221225472"),
        ("agent.toml:16: limits.put-message-bytes: ", "12X"),
        ("agent.toml:17: limits.puts: ", "-1"),
        ("agent.toml:18: limits.leases: ", "0: the least is 1, the most 100000000"),
        ("agent.toml:19: limits.streams: ", "99999999999: the least is 1, the most 1000000"),
        ("agent.toml:20: limits.bytes-per-user: ", "endless"),
        ("agent.toml:21: limits.stall: ", "least is 1s"),
    ];
    for (start, part) in expected {
        assert!(
            problems.iter().any(|problem| problem.starts_with(start) && problem.contains(part)),
            "{start}…{part}: {problems:#?}"
        );
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn a_key_that_no_rule_has_is_told_by_line() {
    let (_, problems) =
        parse("region = \"/a\"\n[[rights]]\nwho = [\"local\"]\nname = [\"\"]\nmay = [\"read\"]\n");
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(
        problem.starts_with("agent.toml:4: rights: ") && problem.contains("Did you mean `names`?"),
        "{problem}"
    );
    let (_, problems) = parse("region = \"/a\"\n[tcp]\ncertificate = \"/c\"\n");
    assert!(
        problems[0].starts_with("agent.toml:3: tcp.certificate: its private key is missing"),
        "{problems:?}"
    );
}

#[test]
fn what_is_no_toml_is_told_by_line() {
    let (_, problems) = parse("region = \"/dev/shm/farrow\"\n[limits\nconnections 5\n");
    assert!(problems.iter().any(|problem| problem.starts_with("agent.toml:2:")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("agent.toml:3:")), "{problems:?}");
}

#[test]
fn any_text_is_an_answer_and_no_panic() {
    for text in
        ["\u{0}", "[[limits]]", "limits = 5", "tcp = []", "[tcp.listen]\nx = 1", "=", "region = 1979-05-27"]
    {
        let (_, problems) = parse(text);
        assert!(!problems.is_empty(), "{text:?}");
    }
}

#[test]
fn options_come_before_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    std::fs::write(
        &path,
        "region = \"/a\"\nsocket = \"/b\"\nvalidate = \"structure\"\n[limits]\nstall = \"2min\"\n",
    )
    .unwrap();
    let args = |more: &[&str]| {
        let file = ["farrow-agent", "--config", path.to_str().unwrap()];
        Args::try_parse_from(file.iter().chain(more)).unwrap()
    };
    let config = Config::load(&args(&["--region", "/c"])).unwrap();
    assert_eq!(config.region.as_deref(), Some(Path::new("/c")));
    assert_eq!(config.socket(), Path::new("/b"));
    assert_eq!(config.validate, CommitCheck::Structure);
    assert_eq!(config.limits, Limits { stall: Duration::from_secs(120), ..Limits::default() });
    assert_eq!(Config::load(&args(&["--validate", "values"])).unwrap().validate, CommitCheck::Values);
    let [missing] = &Config::problems(&args(&[]))[..] else { panic!("one problem") };
    assert!(missing.to_string().contains("agent.toml:1: region: /a: No such file"), "{missing}");
}

#[test]
fn usages_do_not_tell_what_the_environment_says() {
    let named = Args::command().get_arguments().find(|option| option.get_env().is_some()).cloned();
    assert_eq!(named.map(|option| option.get_id().to_string()), None);
    let refused = Args::try_parse_from(["farrow-agent", "--listen", "foo"]).unwrap_err().to_string();
    assert!(refused.contains("such as 127.0.0.1:8815"), "{refused}");
}

#[test]
fn a_missing_region_is_told_with_where_it_was_looked_for() {
    let (_, problems) = parse("validate = \"values\"\n");
    let expected = "region: which one to serve is not said. Name it by --region PATH, $FARROW_REGION, or region = \"PATH\" in \
                    agent.toml, which names none";
    assert_eq!(problems, [expected]);
    let problems = check::settings(&Config::default(), &Document::default());
    let told = problems[0].to_string();
    assert!(told.ends_with("a file (--config FILE; /etc/farrow/agent.toml is not there)"), "{told}");
}

#[test]
fn places_that_are_not_for_an_agent_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let of = |state: &Path, socket: &Path| {
        let text = format!("region = \"/dev/null\"\nstate-dir = {state:?}\nsocket = {socket:?}\n");
        let (config, document, _) = Document::parse(Path::new("agent.toml"), &text);
        check::paths(&config, &document).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (state, socket) = (directory.path().join("state"), directory.path().join("agent.sock"));
    assert_eq!(of(&state, &socket), [""; 0], "a directory for the state is made");
    let shared = directory.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let problems = of(&shared, &directory.path().join("none/agent.sock"));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("agent.toml:3: socket: ") && problems[0].contains("there is no directory"),
        "{problems:?}"
    );
    assert!(
        problems[1].starts_with("agent.toml:2: state-dir: ") && problems[1].contains("mode 1777"),
        "{problems:?}"
    );
}
