//! Places where another user could have put something: nothing is sent there, and nothing kept.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use farrow_client::{Address, Client, Credentials};
use farrow_integration_tests::{Authority, Region, User, batch, program, skipped};

/// A number that no account needs to have.
const STRANGER: u32 = 65_531;

/// An agent that another user has put where this user's is looked for.
#[tokio::test]
async fn nothing_is_sent_to_another_users_agent() {
    let Some(user) = User::new(STRANGER, "an agent of another user in a default place") else { return };
    let region = Region::new("64MiB");
    let agent = region.agent_as(&user);
    let socket = PathBuf::from(agent.socket());
    let directory = socket.parent().unwrap();
    // Its own directory: what it would be if root had made it for that user.
    Client::connect(Address::Default(socket.clone())).await.unwrap();
    chown(directory, Some(0), Some(0)).unwrap();
    let refused = Client::connect(Address::Default(socket.clone())).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("runs as user {STRANGER}")), "{refused}");
    // A client that names it is taken to know it.
    Client::connect(Address::Unix(socket.clone())).await.unwrap();
    chown(directory, Some(STRANGER), Some(STRANGER)).unwrap();
}

#[tokio::test]
async fn state_is_not_kept_where_others_could_change_it() {
    let region = Region::new("64MiB");
    let state = region.beside("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = region.command(&[]).stderr(Stdio::piped()).output().unwrap();
    assert!(!refused.status.success());
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("its mode 0777") && told.contains("chmod go-w"), "{told}");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).unwrap();
    region.agent();
}

#[tokio::test]
async fn the_command_does_not_write_through_a_planted_link() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let rows = batch(0, 3);
    agent.client().await.put("a", rows.schema(), vec![rows]).await.unwrap();
    let open = everybodys(&region);
    let (precious, link) = (region.beside("precious"), open.join("out.csv"));
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, &link).unwrap();
    let get = || {
        let mut command = Command::new(program("farrow"));
        command.args(["get", "a", "--address", agent.socket(), "-o"]).arg(&link).output().unwrap()
    };
    if let Err(error) = lchown(&link, Some(STRANGER), None) {
        skipped(&format!("a link of another user: {error}"));
    } else {
        let refused = get();
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(&format!("user {STRANGER} has put")), "{told}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        lchown(&link, Some(0), None).unwrap();
    }
    let written = get();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    assert!(fs::read_to_string(&precious).unwrap().starts_with("number,text\n"));
}

/// Each file that the agent takes rules, certificates or secrets from, in a directory where everybody makes files.
#[tokio::test]
async fn what_another_user_has_put_there_is_not_taken_up_by_the_agent() {
    let region = Region::new("64MiB");
    let open = everybodys(&region);
    let signed = Authority::new(&open, "ca").sign("agent");
    let [config, token, ca] = ["agent.toml", "token", "ca.crt"].map(|name| open.join(name));
    secret(&token);
    let text = format!(
        "region = {:?}\nsocket = {:?}\nstate-dir = {:?}\n[tcp]\nlisten = \"127.0.0.1:0\"\ncertificate = {:?}\n\
         key = {:?}\nclient-ca = {ca:?}\n[[tokens]]\nname = \"etl\"\nfile = {token:?}\n",
        region.path,
        region.beside("agent.sock"),
        region.beside("state"),
        signed.certificate,
        signed.key
    );
    fs::write(&config, text).unwrap();
    let mut agent = region.agent_of(&config);
    agent.errs();
    for path in [&config, &token, &ca, &signed.certificate, &signed.key] {
        if !given_away(path) {
            return;
        }
        let before = agent.log().len();
        agent.reload();
        let told = agent.log().split_off(before);
        assert!(told.contains("is not taken up") && told.contains(&planted(path)), "{told}");
        let mut check = Command::new(program("farrow-agent"));
        let refused = check.arg("--check-config").arg("--config").arg(&config).output().unwrap();
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && told.contains(&planted(path)), "{told}");
        chown(path, Some(0), None).unwrap();
    }
    agent.reload();
    let (_, told) = agent.log().rsplit_once("is not taken up").map(|(a, b)| (a.len(), b.to_owned())).unwrap();
    assert!(told.contains("was read again"), "{told}");
    agent.client().await.list("").await.unwrap();
}

/// The same of what a client sends and believes.
#[tokio::test]
async fn what_another_user_has_put_there_is_not_used_by_a_client() {
    let region = Region::new("64MiB");
    let open = everybodys(&region);
    let signed = Authority::new(&open, "ca").sign("client");
    let (ca, token) = (open.join("ca.crt"), open.join("token"));
    secret(&token);
    let credentials = Credentials {
        ca: Some(ca.clone()),
        certificate: Some(signed.certificate.clone()),
        key: Some(signed.key.clone()),
        ..Credentials::default()
    };
    // Nobody listens there: what is read of the files comes first.
    let connect = async || {
        let address = "https://127.0.0.1:1".parse().unwrap();
        Client::connect_with(address, &credentials).await.unwrap_err().to_string()
    };
    let told = connect().await;
    assert!(!told.contains("FARROW_TLS"), "{told}");
    for (path, variable) in
        [(&ca, "FARROW_TLS_CA"), (&signed.certificate, "FARROW_TLS_CERT"), (&signed.key, "FARROW_TLS_KEY")]
    {
        if !given_away(path) {
            return;
        }
        let told = connect().await;
        assert!(told.contains(variable) && told.contains(&planted(path)), "{told}");
        chown(path, Some(0), None).unwrap();
    }
    let agent = region.agent();
    assert!(given_away(&token));
    let mut command = Command::new(program("farrow"));
    let command = command.args(["ls", "--address", agent.socket()]).env("FARROW_TOKEN_FILE", &token);
    let told = String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned();
    assert!(told.contains("FARROW_TOKEN_FILE") && told.contains(&planted(&token)), "{told}");
}

/// A directory of this user's where everybody makes files.
fn everybodys(region: &Region) -> PathBuf {
    let open = region.beside("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    open.canonicalize().unwrap()
}

fn secret(path: &Path) {
    fs::write(path, "a-token-of-sixteen-characters").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// False where this process may not give files to others.
fn given_away(path: &Path) -> bool {
    let given = chown(path, Some(STRANGER), None);
    if let Err(error) = &given {
        skipped(&format!("a file of another user: {error}"));
    }
    given.is_ok()
}

/// The beginning of what is said of a file.
fn planted(path: &Path) -> String {
    format!("{}: a file that user {STRANGER} has put into a directory", path.display())
}

#[tokio::test]
async fn a_token_that_everybody_can_read_is_not_used() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let token = region.beside("token");
    fs::write(&token, "a-token-of-sixteen-characters").unwrap();
    let list = |mode| {
        fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = Command::new(program("farrow"));
        let command = command.args(["ls", "--address", agent.socket()]).env("FARROW_TOKEN_FILE", &token);
        String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned()
    };
    let told = list(0o644);
    assert!(told.contains("FARROW_TOKEN_FILE") && told.contains("Try: `chmod o="), "{told}");
    // Taken, and sent: the agent does not know it.
    let told = list(0o640);
    assert!(told.contains("does not know"), "{told}");
}
