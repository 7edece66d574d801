//! Many peers that say nothing, or take nothing: nobody else waits for them, and the agent does not grow.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use farrow_integration_tests::{Agent, Authority, Peers, Region, User, batch, eventually, farrow, mebibytes};
use futures::TryStreamExt;

use crate::limits::{flight, limited, ticket};

/// The time that somebody may wait for an answer on a busy machine. It is a few milliseconds otherwise, and without end
/// for whoever is kept out.
const PATIENCE: Duration = Duration::from_secs(60);

/// MiB that an agent of a debug build may have beside what is bounded.
pub(crate) const BESIDE: u64 = 16;

/// Users that nobody is.
const MALLORY: u32 = 7301;
const ALICE: u32 = 7302;

fn listening(region: &Region) -> Agent {
    region.agent_with(&["--listen", "127.0.0.1:0"])
}

fn host_port(agent: &Agent) -> String {
    agent.tcp().replace("http://", "")
}

/// Waits for an answer of an agent, which comes in time.
pub(crate) async fn in_time<T>(what: &str, answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{what} waited {PATIENCE:?}"))
}

/// The agent's own user, somebody over TCP and, if there can be one, another user get their answers.
async fn everybody_is_served(agent: &Agent, others: &[Option<&User>]) {
    let client = in_time("root", agent.client()).await;
    assert!(in_time("root", client.usage()).await.unwrap().free > 0);
    let reader = farrow_client::Client::connect(agent.tcp().parse().unwrap());
    let reader = in_time("a reader over TCP", reader).await.unwrap();
    assert_eq!(in_time("a reader over TCP", reader.get("small")).await.unwrap().rows(), 10);
    for user in others.iter().flatten() {
        let begun = Instant::now();
        let listed = user.command("farrow").args(["ls", "--address", agent.socket()]).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        assert!(begun.elapsed() < PATIENCE, "user {}", user.uid());
    }
}

async fn put_small(agent: &Agent) {
    let rows = batch(0, 10);
    agent.client().await.put("small", rows.schema(), vec![rows]).await.unwrap();
}

/// Private memory of a process, in MiB (RssAnon, proc(5)).
pub(crate) fn private_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[tokio::test]
async fn peers_that_say_nothing_keep_nobody_out() {
    let region = Region::new("64MiB");
    let agent = listening(&region);
    put_small(&agent).await;
    region.let_everybody_in();
    let (mallory, alice) = (User::new(MALLORY, "silent peers of one user"), User::new(ALICE, "another user"));
    let others = [mallory.as_ref(), alice.as_ref()];
    let over_tcp = [
        Peers::new("silent", &host_port(&agent), 1100, ""),
        Peers::new("greeted", &host_port(&agent), 1100, ""),
    ];
    everybody_is_served(&agent, &others).await;
    let on_the_socket = match &mallory {
        Some(mallory) => ["silent", "greeted"].map(|what| Peers::of(mallory, what, agent.socket(), 1100, "")),
        None => ["silent", "greeted"].map(|what| Peers::new(what, agent.socket(), 1100, "")),
    };
    everybody_is_served(&agent, &others).await;
    let log = agent.log();
    let told = log.lines().filter(|line| line.contains("idle ones closed")).count();
    assert!((1..20).contains(&told), "{log}");
    drop((over_tcp, on_the_socket));
}

#[test]
fn a_connection_that_says_nothing_is_closed_after_a_while() {
    let region = Region::new("64MiB");
    let agent = region.agent();
    let mut silent = UnixStream::connect(agent.socket()).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut said = Vec::new();
    // The agent's own greeting comes first. To be cut off is an end as well.
    let end = silent.read_to_end(&mut said);
    assert!(!matches!(&end, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{end:?}");
}

#[tokio::test]
async fn unfinished_handshakes_keep_nobody_out() {
    let region = Region::new("64MiB");
    let authority = Authority::new(region.path.parent().unwrap(), "ca");
    let signed = authority.sign("agent");
    let config = format!(
        "[tcp]\nlisten = \"127.0.0.1:0\"\ncertificate = {:?}\nkey = {:?}\n\
         [[rights]]\nwho = [\"anyone\"]\nnames = [\"\"]\nmay = [\"read\", \"publish\"]\n",
        signed.certificate, signed.key
    );
    let agent = region.agent_with(&["--config", &region.config(&config)]);
    put_small(&agent).await;
    let stuck = Peers::new("handshake", &host_port(&agent), 1000, "");
    assert_eq!(stuck.count, 1000);
    let client = in_time("root", agent.client()).await;
    in_time("root", client.usage()).await.unwrap();
    let address = agent.tcp().replace("http://127.0.0.1:", "https://localhost:");
    let credentials =
        farrow_client::Credentials { ca: Some(authority.certificate.clone()), ..Default::default() };
    let reader = farrow_client::Client::connect_with(address.parse().unwrap(), &credentials);
    let reader = in_time("a reader over TLS", reader).await.unwrap();
    assert_eq!(in_time("a reader over TLS", reader.get("small")).await.unwrap().rows(), 10);
    drop(stuck);
}

#[tokio::test]
async fn streams_that_nobody_reads_take_a_bounded_memory() {
    let region = Region::new("256MiB");
    let agent = listening(&region);
    put_small(&agent).await;
    let rows = mebibytes(0, 32);
    agent.client().await.put("large", rows.schema(), vec![rows]).await.unwrap();
    let idle = private_mib(agent.pid());
    let unread = Peers::new("unread", &host_port(&agent), 1000, "large");
    assert!(unread.count >= 500, "{} streams", unread.count);
    // Of stream-bytes (64 MiB) one user has a half. Each message was copied once, and what is freed may stay with the
    // agent's allocator; and each stream has 64 KiB beside.
    let grown = private_mib(agent.pid()).saturating_sub(idle);
    let most = 2 * 32 + unread.count as u64 / 16 + BESIDE;
    assert!(grown < most, "{grown} of {most} MiB for {} streams", unread.count);
    // Another user reads all of its rows meanwhile.
    let mut reader = flight(agent.socket()).await;
    let asked = ticket(&mut reader, "large").await;
    for _ in 0..3 {
        let messages = async {
            let stream = reader.do_get(asked.clone()).await.unwrap().into_inner();
            stream.try_collect::<Vec<FlightData>>().await.unwrap()
        };
        let messages = in_time("a reader", messages).await;
        assert!(messages.iter().map(|message| message.data_body.len()).sum::<usize>() >= 32 << 20);
    }
    // The reader has taken 96 MiB.
    let (grown, most) = (private_mib(agent.pid()).saturating_sub(idle), most + 2 * 96);
    assert!(grown < most, "{grown} of {most} MiB with a reader");
    drop(unread);
    // One user has a half of 2048 places.
    eventually("streams end with their clients", || {
        (Peers::new("unread", &host_port(&agent), 100, "large").count == 100).then_some(())
    });
}

#[tokio::test]
async fn puts_that_send_nothing_keep_nobody_from_publishing() {
    let region = Region::new("64MiB");
    let agent = limited(&region, "puts = 4");
    region.let_everybody_in();
    let Some(mallory) = User::new(MALLORY, "puts of one user") else { return };
    let stuck = Peers::of(&mallory, "puts", agent.socket(), 20, "");
    assert_eq!(stuck.count, 20);
    // At most two of four places are one user's.
    for _ in 0..5 {
        let mut own = flight(agent.socket()).await;
        let batch = batch(0, 10);
        let encoder = arrow_flight::encode::FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(arrow_flight::FlightDescriptor::new_path(vec!["a".to_owned()])))
            .build(futures::stream::iter([Ok(batch)]));
        let messages: Vec<FlightData> = encoder.try_collect().await.unwrap();
        let answers = own.do_put(futures::stream::iter(messages)).await.unwrap().into_inner();
        in_time("root", answers.try_collect::<Vec<_>>()).await.unwrap();
    }
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_of_long_messages_take_a_bounded_memory() {
    const PUTS: i64 = 8;
    const MIB: i64 = 32;
    const PUT_MESSAGE_MIB: u64 = 40;
    const PUT_MIB: u64 = 120;
    let region = Region::new("1GiB");
    let config = format!(
        "tcp.listen = \"127.0.0.1:0\"\n{}\
         [limits]\nput-message-bytes = \"{PUT_MESSAGE_MIB} MiB\"\nput-bytes = \"{PUT_MIB} MiB\"\nputs = 32\n",
        crate::do_put::ANYONE
    );
    let agent = region.agent_with(&["--config", &region.config(&config)]);
    let idle = private_mib(agent.pid());
    // Somebody over TCP sends a long message with each of many puts, and does not say that it is the last.
    let mut long = Vec::new();
    for number in 0..PUTS {
        let channel = tonic::transport::Endpoint::from_shared(agent.tcp()).unwrap().connect().await.unwrap();
        let mut flight = arrow_flight::flight_service_client::FlightServiceClient::new(channel);
        let (mut sender, receiver) = futures::channel::mpsc::channel(4);
        for message in put_messages(&format!("long/{number}"), mebibytes(number, MIB)).await {
            futures::SinkExt::send(&mut sender, message).await.unwrap();
        }
        let put = tokio::spawn(async move {
            let answers = flight.do_put(receiver).await?.into_inner();
            answers.try_collect::<Vec<_>>().await
        });
        long.push((sender, put));
    }
    // One user has a half of it, or what two messages need while there is nobody else.
    eventually("a message is there", || (private_mib(agent.pid()) >= idle + 32).then_some(()));
    let mut own = flight(agent.socket()).await;
    let mut most = 0;
    for _ in 0..5 {
        let messages = put_messages("small", batch(0, 10)).await;
        let answers = own.do_put(futures::stream::iter(messages)).await.unwrap().into_inner();
        in_time("root", answers.try_collect::<Vec<_>>()).await.unwrap();
        most = most.max(private_mib(agent.pid()));
    }
    // All of them come to their end, with the memory that those before give back.
    let mut answers = Vec::new();
    for (sender, put) in long {
        drop(sender);
        answers.push(put);
    }
    for put in answers {
        while !put.is_finished() {
            most = most.max(private_mib(agent.pid()));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        put.await.unwrap().unwrap();
    }
    let client = agent.client().await;
    assert_eq!(client.list("long*").await.unwrap().len(), 8);
    // A half of put-bytes and of a message, and what came of the next message in each connection.
    let (most, bound) =
        (most.saturating_sub(idle), (PUT_MIB + PUT_MESSAGE_MIB) / 2 + PUTS.unsigned_abs() + BESIDE);
    assert!(most < bound, "{most} of {bound} MiB for {PUTS} messages of {MIB}");
    // Nothing waits for puts that are over: not one message.
    eventually("memory of messages is given back", || {
        (private_mib(agent.pid()) < idle + MIB.unsigned_abs()).then_some(())
    });
}

/// Returns what a put of `rows` sends, in one message.
async fn put_messages(name: &str, rows: arrow_array::RecordBatch) -> Vec<FlightData> {
    let path = name.split('/').map(str::to_owned).collect();
    let encoder = arrow_flight::encode::FlightDataEncoderBuilder::new()
        .with_max_flight_data_size(usize::MAX)
        .with_flight_descriptor(Some(arrow_flight::FlightDescriptor::new_path(path)))
        .build(futures::stream::iter([Ok(rows)]));
    encoder.try_collect().await.unwrap()
}

#[test]
fn limits_that_the_system_does_not_allow_are_refused() {
    let region = Region::new("64MiB");
    let config = region.config("[limits]\nconnections = 100000000\n");
    let mut command = region.command(&["--config", &config]);
    let refused = command.stderr(std::process::Stdio::piped()).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(78), "{told}");
    assert!(told.contains("limits.connections") && told.contains("LimitNOFILE"), "{told}");
    // What is allowed is had, whatever the limit was that the agent was started with.
    let agent = region.agent_by({
        let mut command = std::process::Command::new("sh");
        let agent = farrow_integration_tests::program("farrow-agent");
        command.args(["-c", "ulimit -Sn 64 && exec \"$@\"", "sh"]).arg(agent);
        command
    });
    let peers = Peers::new("greeted", agent.socket(), 100, "");
    assert_eq!(peers.count, 100);
    let listed = farrow(&["ls", "--address", agent.socket()]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert!(!agent.log().contains("cannot be accepted"), "{}", agent.log());
}
