//! Places where another user could have put something: nothing is sent there, and nothing kept.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use farrow_client::{Address, Client};
use farrow_integration_tests::{Region, User, batch, program, skipped};

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
    let open = region.beside("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
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
