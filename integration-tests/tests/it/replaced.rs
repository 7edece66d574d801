//! Somebody makes another file system of the medium, or ends the one that is there, while an agent serves it.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_service_client::FlightServiceClient;
use famfs_format::{LOG_OFFSET, LogHeader, SUPERBLOCK_LEN, Superblock};
use farrow_client::{ClientError, Reason};
use farrow_integration_tests::{Agent, Famfs, Region, arrow_file, batch, farrow, mebibytes};
use tonic::transport::Endpoint;
use uuid::Uuid;

/// Superblock and log of a region, each with the place where it begins.
struct Metadata {
    superblock: PathBuf,
    log: (PathBuf, u64),
}

impl Metadata {
    fn of(region: &Path) -> Self {
        if region.is_dir() {
            let meta = region.join(".meta");
            return Self { superblock: meta.join(".superblock"), log: (meta.join(".log"), 0) };
        }
        Self { superblock: region.to_owned(), log: (region.to_owned(), LOG_OFFSET) }
    }

    fn write(path: &Path, at: u64, bytes: &[u8]) {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
    }

    /// Does what `mkfs.famfs -k -f` does.
    fn kill(&self) {
        Self::write(&self.superblock, 0, &[0; 8]);
    }

    /// Does what `mkfs.famfs -f` does: a new superblock, and an empty log.
    fn make_anew(&self) {
        let mut found = [0; SUPERBLOCK_LEN];
        std::fs::File::open(&self.superblock).unwrap().read_exact_at(&mut found, 0).unwrap();
        let found = Superblock::decode(&found).unwrap();
        let made = Superblock { uuid: Uuid::new_v4(), dev_uuid: Uuid::new_v4(), ..found };
        Self::write(&self.superblock, 0, &made.encode().unwrap());
        self.empty_log(made.log_len);
    }

    fn empty_log(&self, len: u64) {
        Self::write(&self.log.0, self.log.1, &LogHeader::new(len).unwrap().encode());
    }
}

/// A raw region, and one on a mount.
fn regions() -> [Region; 2] {
    let raw = Region::unmade();
    let made = farrow(&["mkfs", "--size", "64M", "--reserve", "8M", raw.path.to_str().unwrap()]);
    assert!(made.status.success());
    [raw, Region::mounted(24)]
}

/// Checks how the agent ends.
fn ended(agent: Agent, told: &[&str]) {
    let (code, log) = agent.ended();
    assert_eq!(code, Some(1), "{log}");
    for word in told {
        assert!(log.contains(word), "{word}: {log}");
    }
}

/// Checks that the agent refused, or is gone already, and gave no rows.
fn refused(error: &ClientError) {
    let gone = matches!(error, ClientError::NoAgent { .. } | ClientError::Unavailable { .. });
    assert!(gone || error.reason() == Some(Reason::Corrupt), "{error:?}");
    assert!(gone || error.to_string().contains("farrow mkfs"), "{error}");
}

async fn another_file_system(change: impl Fn(&Metadata), told: &str) {
    for region in regions() {
        let mut agent = region.agent();
        agent.errs();
        let client = agent.client().await;
        let rows = batch(0, 1000);
        client.put("a", rows.schema(), vec![rows.clone()]).await.unwrap();
        client.put("b", rows.schema(), vec![rows.clone()]).await.unwrap();
        // Over the session that this opens, and without one.
        let mapped = client.get("a").await.unwrap();

        change(&Metadata::of(&region.path));
        refused(&client.get("b").await.unwrap_err());
        refused(&client.put("c", rows.schema(), vec![rows.clone()]).await.unwrap_err());
        refused(&client.drop("b").await.unwrap_err());
        refused(&client.list("").await.unwrap_err());
        ended(agent, &[told, "is gone", "farrow fsck", "farrow mkfs"]);
        assert_eq!(mapped.batch(0).unwrap(), rows, "what is mapped stays mapped");
        // Nor does one serve that is started again.
        let again = region.command(&[]).output().unwrap();
        assert_eq!(again.status.code(), Some(1));
    }
}

#[tokio::test]
async fn a_superblock_that_is_killed_ends_the_agent() {
    another_file_system(Metadata::kill, "superblock cannot be read any more").await;
}

#[tokio::test]
async fn a_forced_mkfs_ends_the_agent() {
    another_file_system(Metadata::make_anew, "its superblock is that of").await;
}

#[test]
fn a_log_that_is_begun_anew_ends_the_agent() {
    for region in regions() {
        let mut agent = region.agent();
        agent.errs();
        let mut found = [0; SUPERBLOCK_LEN];
        let metadata = Metadata::of(&region.path);
        std::fs::File::open(&metadata.superblock).unwrap().read_exact_at(&mut found, 0).unwrap();
        metadata.empty_log(Superblock::decode(&found).unwrap().log_len);
        ended(agent, &["its famfs log counts 0 entries and had 5"]);
    }
}

/// Rows that are on their way are of bytes that may be another file system's by now.
#[tokio::test]
async fn streams_of_what_is_gone_end_with_errors() {
    let region = Region::unmade();
    let made = farrow(&["mkfs", "--size", "256M", "--reserve", "96M", region.path.to_str().unwrap()]);
    assert!(made.status.success());
    let rows = mebibytes(0, 64);
    Famfs::open(&region.path).copy_in("foreign.arrow", &arrow_file(std::slice::from_ref(&rows)));
    let mut agent = region.agent();
    agent.errs();
    let client = agent.client().await;
    client.put("own", rows.schema(), vec![rows]).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("unix://{}", agent.socket())).unwrap();
    let mut flight = FlightServiceClient::new(endpoint.connect().await.unwrap());
    let mut streams = Vec::new();
    for name in ["own", "foreign.arrow"] {
        let path = FlightDescriptor::new_path(vec![name.to_owned()]);
        let info = flight.get_flight_info(path).await.unwrap().into_inner();
        let mut stream = flight.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().into_inner();
        stream.message().await.unwrap().expect("a schema");
        streams.push(stream);
    }
    Metadata::of(&region.path).kill();
    for mut stream in streams {
        let error = loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("all rows came"),
                Err(error) => break error,
            }
        };
        let told = error.metadata().get("x-farrow-reason").is_none_or(|reason| reason == "corrupt");
        assert!(told, "{error:?}");
    }
    ended(agent, &["superblock cannot be read any more"]);
}
