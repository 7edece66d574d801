//! By which pages a region is mapped, and that farrow says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use farrow_integration_tests::{Region, batch, farrow, skipped, sum};
use tempfile::TempDir;

const NR_HUGEPAGES: &str = "/proc/sys/vm/nr_hugepages";
const PAGES: u64 = 32;

/// A file system of our own, gone when this is dropped.
struct Mounted {
    directory: TempDir,
    /// The number of huge pages that the machine kept before.
    kept: Option<String>,
}

impl Mounted {
    /// Mounts what takes huge pages; the reason if this machine does not let us.
    fn new(kind: &str, options: &str) -> Result<Self, String> {
        let directory = TempDir::with_prefix("farrow-it-").unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", options, "none"]).arg(directory.path());
        let mounted = mount.output().map_err(|error| format!("mount: {error}"))?;
        if !mounted.status.success() {
            return Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned());
        }
        Ok(Self { directory, kept: None })
    }

    /// Sees that the machine keeps enough huge pages for the test.
    fn keep_pages(&mut self) -> Result<(), String> {
        let failed = |error| format!("{NR_HUGEPAGES}: {error}");
        let before = fs::read_to_string(NR_HUGEPAGES).map_err(failed)?.trim().to_owned();
        let count: u64 = before.parse().map_err(|_| format!("{NR_HUGEPAGES} says {before:?}"))?;
        fs::write(NR_HUGEPAGES, (count + PAGES).to_string()).map_err(failed)?;
        self.kept = Some(before);
        let now = fs::read_to_string(NR_HUGEPAGES).map_err(failed)?;
        if now.trim() == (count + PAGES).to_string() {
            Ok(())
        } else {
            Err(format!("{PAGES} huge pages: {now} in all"))
        }
    }

    fn region(&self) -> PathBuf {
        self.directory.path().join("region")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg("--lazy").arg(self.directory.path()).status();
        let given_back = self.kept.take().map_or(Ok(()), |before| fs::write(NR_HUGEPAGES, before));
        if !std::thread::panicking() {
            assert!(gone.is_ok_and(|status| status.success()), "it stays mounted");
            given_back.unwrap();
        }
    }
}

/// Returns what mkfs says of a region's pages, what the agent does, and what df tells afterwards.
async fn told(path: &Path) -> [String; 3] {
    let mut region = Region::unmade();
    region.path = path.to_owned();
    let path = path.to_str().unwrap();
    let made = farrow(&["mkfs", "--size", "32M", path]);
    let made_text = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{made_text}");

    let agent = region.agent();
    let client = agent.client().await;
    let rows = batch(0, 1000);
    client.put("a", rows.schema(), vec![rows]).await.unwrap();
    let frame = client.get("a").await.unwrap();
    assert!(frame.zero_copy() && sum(&frame).unwrap() == 499_500, "{:?}", frame.why());
    let log = agent.log();
    let served = log.lines().find(|line| line.contains("serving")).unwrap().to_owned();
    drop((frame, client, agent));
    region.assert_clean();

    let df = farrow(&["df", path]);
    assert!(df.status.success(), "{}", String::from_utf8_lossy(&df.stderr));
    let df = String::from_utf8(df.stdout).unwrap();
    let pages = df.lines().find(|line| line.starts_with("huge pages")).unwrap().to_owned();
    fs::remove_file(path).unwrap();
    [made_text, served, pages]
}

async fn assert_huge(mounted: &Mounted) {
    let [made, served, df] = told(&mounted.region()).await;
    for text in [&made, &served] {
        assert!(text.contains("all 33554432 bytes in huge pages"), "{text}");
    }
    for text in [&made, &served, &df] {
        assert!(!text.contains("huge=always"), "{text}");
    }
    assert!(!df.contains(" 0 B"), "{df}");
}

#[tokio::test]
async fn a_region_in_huge_pages_of_tmpfs() {
    match Mounted::new("tmpfs", "huge=always,size=64M") {
        Ok(mounted) => assert_huge(&mounted).await,
        Err(why) => skipped(&format!("a tmpfs with huge=always (needs root, to mount one: {why})")),
    }
}

#[tokio::test]
async fn a_region_in_hugetlbfs() {
    let mounted = Mounted::new("hugetlbfs", "pagesize=2M");
    match mounted.and_then(|mut mounted| mounted.keep_pages().map(|()| mounted)) {
        Ok(mounted) => assert_huge(&mounted).await,
        Err(why) => skipped(&format!("hugetlbfs (needs root, and {PAGES} free pages of 2 MiB: {why})")),
    }
}

#[tokio::test]
async fn a_region_without_huge_pages_says_what_to_do() {
    match Mounted::new("tmpfs", "huge=never,size=64M") {
        Ok(mounted) => {
            for text in told(&mounted.region()).await {
                assert!(text.contains("Try: a tmpfs mounted with huge=always, or hugetlbfs"), "{text}");
            }
        }
        Err(why) => skipped(&format!("a tmpfs with huge=never (needs root, to mount one: {why})")),
    }
}
