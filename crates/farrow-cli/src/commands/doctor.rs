//! `farrow doctor`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use farrow_client::blocking::Client;
use farrow_client::{Address, Frame, Health, Usage};
use farrow_region::shell::operand;
use farrow_store::{Mount, check, read_log};
use serde::Serialize;

use crate::args::{Agent, Doctor, variable};
use crate::medium::Medium;
use crate::output::{self, Colour};

/// A lease of so many seconds is worth a look: whoever forgot it keeps dropped frames from being freed.
const OLD_LEASE: u64 = 86_400;

pub(crate) fn run(args: &Doctor, agent: &Agent) -> ExitCode {
    let findings = examine(args, agent);
    let told = findings.iter().try_for_each(|finding| {
        if args.json { output::json(finding) } else { Ok(output::line(finding.text())?) }
    });
    match told {
        Err(error) if !output::is_broken_pipe(&error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
        _ if findings.iter().any(|finding| finding.verdict == Verdict::Problem) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// A check and its outcome.
#[derive(Debug, Serialize)]
struct Finding {
    topic: &'static str,
    verdict: Verdict,
    found: String,
    /// Advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, and could be better.
    Note,
    Problem,
}

impl Finding {
    fn ok(topic: &'static str, found: impl Into<String>) -> Self {
        Self { topic, verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn note(topic: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { topic, verdict: Verdict::Note, found: found.into(), advice: Some(advice.into()) }
    }

    /// The errors of this program say themselves what to do.
    fn problem(topic: &'static str, error: &anyhow::Error) -> Self {
        let found = farrow_client::chain(error.as_ref());
        Self { topic, verdict: Verdict::Problem, found, advice: None }
    }

    fn text(&self) -> String {
        let (word, colour) = match self.verdict {
            Verdict::Ok => ("ok     ", Colour::Green),
            Verdict::Note => ("note   ", Colour::Yellow),
            Verdict::Problem => ("problem", Colour::Red),
        };
        let mark = output::painted(word, colour, &std::io::stdout());
        let advice = self.advice.as_ref().map(|advice| format!(". {advice}")).unwrap_or_default();
        format!("{mark}  {:<8}  {}{}", self.topic, output::plain(&self.found), output::plain(&advice))
    }
}

fn examine(args: &Doctor, agent_args: &Agent) -> Vec<Finding> {
    let release = env!("CARGO_PKG_VERSION");
    let mut findings =
        vec![Finding::ok("command", format!("farrow {release}, protocol {}", farrow_proto::ANNOUNCE_VALUE))];
    let mut medium = args.path.clone().or_else(|| variable("FARROW_REGION").map(PathBuf::from));
    match agent_args.address() {
        Err(error) => findings.push(Finding::problem("agent", &error.into())),
        // An agent that does not tell its health answers nothing else, and each further question would wait as long.
        Ok(address) => match Client::connect(address.clone())
            .and_then(|client| Ok((client.health()?, client)))
        {
            Err(error) => findings.push(Finding::problem("agent", &error.into())),
            Ok((health, client)) => {
                findings.push(agent(&health, &address, release));
                findings.push(socket(&address));
                let (mapping, path) = mapping(&client, &address);
                findings.push(mapping);
                medium = medium.or(path);
                let mounted = medium.as_deref().is_some_and(|path| matches!(Mount::find(path), Ok(Some(_))));
                findings.extend(space(&client, mounted));
                findings.push(leases(&client));
            }
        },
    }
    match &medium {
        Some(path) => findings.extend(region(path)),
        None => findings.push(Finding::note(
            "region",
            "not looked at: where it lies is not known",
            "Name it: `farrow doctor PATH`",
        )),
    }
    findings
}

fn agent(health: &Health, address: &Address, release: &str) -> Finding {
    let found = format!(
        "farrow-agent {} at {address}, up for {}, region {}",
        health.version,
        output::age(health.uptime),
        health.region
    );
    if !health.serving {
        let why = health.why.as_deref().unwrap_or("it does not say why");
        return Finding::problem("agent", &anyhow::anyhow!("{found}, does not serve: {why}"));
    }
    if health.version != release {
        let advice = format!("This command is of release {release}: install both from one release");
        return Finding::note("agent", found, advice);
    }
    Finding::ok("agent", found)
}

fn socket(address: &Address) -> Finding {
    match address {
        Address::Unix(_) | Address::Default(_) => {
            Finding::ok("access", "by the unix socket: frames can be mapped")
        }
        Address::Tcp(_) => Finding::note(
            "access",
            "over TCP: rows are streamed",
            "On the agent's host use its unix socket (`farrow doctor --address SOCKET`), which maps them instead",
        ),
    }
}

/// Tries to map the smallest frame there is; also where the region lies, if it could be mapped.
fn mapping(client: &Client, address: &Address) -> (Finding, Option<PathBuf>) {
    let frames = match client.list("") {
        Ok(frames) => frames,
        Err(error) => return (Finding::problem("mapping", &error.into()), None),
    };
    let frames = frames.into_iter().filter(|frame| !frame.foreign && frame.bytes > 0);
    let Some(smallest) = frames.min_by_key(|frame| frame.bytes) else {
        let advice = "Put one, and look again: `farrow put NAME FILE`";
        return (Finding::note("mapping", "not tried: there is no frame", advice), None);
    };
    if matches!(address, Address::Tcp(_)) {
        let advice = "Ask by the unix socket";
        return (Finding::note("mapping", "not possible over TCP", advice), None);
    }
    match client.get(&smallest.name) {
        Err(error) => (Finding::problem("mapping", &error.into()), None),
        Ok(frame) => match frame.why() {
            Some(why) => {
                let advice = "Frames are streamed, and take memory of each reader";
                (Finding::note("mapping", format!("not possible: {why}"), advice), None)
            }
            None => {
                let what = format!("`{}@{}` is mapped, nothing was copied", frame.name(), frame.version());
                (Finding::ok("mapping", what), mapped_medium(&frame))
            }
        },
    }
}

/// The medium that a frame is mapped from: the file, as the kernel names it, or the mounted famfs that has it. None: it is not there under that name any more, or
/// has none in this process's view.
fn mapped_medium(frame: &Frame) -> Option<PathBuf> {
    let (address, _) = frame.mappings().first()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| {
        let range = line.split_whitespace().next().and_then(|range| range.split_once('-'));
        let range = range.map(|(from, to)| (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)));
        matches!(range, Some((Ok(from), Ok(to))) if (from..to).contains(address))
    })?;
    let path = PathBuf::from(line.get(line.find('/')?..)?);
    let mount = Mount::around(&path).map(|mount| mount.root().to_owned());
    mount.or_else(|| path.exists().then_some(path))
}

fn space(client: &Client, mounted: bool) -> Vec<Finding> {
    let usage = match client.usage() {
        Ok(usage) => usage,
        Err(error) => return vec![Finding::problem("space", &error.into())],
    };
    // The other half is for the next compaction.
    let catalog = format!(
        "{} of {}, one of two halves,",
        output::size(usage.catalog_live),
        output::size(usage.catalog_bytes)
    );
    let log = format!("{} of {}", usage.log_entries, usage.log_capacity);
    vec![
        pool(&usage, mounted),
        room("catalog", usage.catalog_live, usage.catalog_bytes, &catalog, CATALOG),
        room("log", usage.log_entries, usage.log_capacity, &log, LOG),
    ]
}

/// The advice about a catalog that compaction leaves nearly full.
const CATALOG: &str = "Soon no version fits any more. Have fewer: `farrow retain NAME --last N`, `farrow expire \
                       --older-than AGE`, `farrow rm NAME`";

/// The same of the famfs log.
const LOG: &str = "Frames need no entry. Other programs' files, `farrow export --frame NAME FAMFS-PATH PATH` and `farrow \
                   grow` need one each, and famfs frees none: a region with a longer log is made by `farrow mkfs --log-len \
                   SIZE PATH`";

fn pool(usage: &Usage, mounted: bool) -> Finding {
    let found = format!(
        "{} of {} free, and a put in one piece of up to {} fits; {} held by leases on dropped frames, {} being written; {} \
         outside the pool",
        output::size(usage.free),
        output::size(usage.pool_bytes),
        output::size(usage.largest_free),
        output::size(usage.held),
        output::size(usage.reserved),
        output::size(usage.growable)
    );
    let fits = usage.largest_free;
    if usage.free < usage.pool_bytes / 10 {
        return Finding::note("space", found, format!("{}; {}", make_room(usage), add_room(usage, mounted)));
    }
    if fits < usage.pool_bytes / 10 && fits < usage.free / 2 {
        let advice = format!("What is free is scattered. {}; {}", make_room(usage), add_room(usage, mounted));
        return Finding::note("space", found, advice);
    }
    // A put that does not fit here would there.
    if fits < usage.pool_bytes / 4 && usage.growable > fits {
        return Finding::note("space", found, add_room(usage, mounted));
    }
    Finding::ok("space", found)
}

/// Advice about the frames that hold most.
fn make_room(usage: &Usage) -> &'static str {
    if usage.held > usage.used.max(usage.reserved) {
        "Most is dropped and still mapped: `farrow leases` shows by whom"
    } else if usage.reserved > usage.used {
        "Most is being written, and free again when its writers give up or end"
    } else {
        "Most is in versions: `farrow ls -l` shows the latest of each frame, `farrow versions NAME` all of one; `farrow retain \
         NAME --last N` and `farrow expire --older-than AGE` remove older ones, `farrow rm NAME` a frame"
    }
}

/// The source of more space, if there is one.
fn add_room(usage: &Usage, mounted: bool) -> String {
    match usage.growable {
        _ if mounted => "famfs's own tools add room on a mount: `farrow grow` says how".to_owned(),
        0 => "no room is left outside the pool: more takes a larger region (`farrow mkfs --size SIZE PATH`)"
            .to_owned(),
        growable => format!("`farrow grow` adds up to {}", output::size(growable)),
    }
}

/// Something that has a limit, and is a note from four fifths of it on.
fn room(topic: &'static str, taken: u64, of: u64, text: &str, advice: &'static str) -> Finding {
    let found = format!("{text} taken");
    if taken / 4 >= of / 5 && of > 0 {
        return Finding::note(topic, found, advice);
    }
    Finding::ok(topic, found)
}

fn leases(client: &Client) -> Finding {
    let leases = match client.leases() {
        Ok(leases) => leases,
        Err(error) => return Finding::problem("leases", &error.into()),
    };
    let old = leases.iter().filter(|lease| lease.age.as_secs() >= OLD_LEASE).count();
    let found = format!("held now: {}, of which older than a day: {old}", leases.len());
    if old > 0 {
        return Finding::note(
            "leases",
            found,
            "They keep dropped frames from being freed; `farrow leases` shows their processes",
        );
    }
    Finding::ok("leases", found)
}

/// The region itself, which needs no agent.
fn region(path: &Path) -> Vec<Finding> {
    let media = match Medium::open(path) {
        Ok(media) => media,
        Err(error) => return vec![Finding::problem("region", &error)],
    };
    vec![contents(path, &media), pages(&media), coherency()]
}

fn contents(path: &Path, media: &Medium) -> Finding {
    let place = format!("{}: {}, {}", path.display(), media.kind(), output::size(media.len()));
    let looked = read_log(&**media).map_err(anyhow::Error::from).and_then(|_| Ok(check(&**media)?));
    match looked {
        Err(error) => Finding::problem("region", &error.context(place)),
        Ok(report) if report.is_clean() => Finding::ok("region", format!("{place}, clean")),
        // A region that an agent writes to meanwhile may look so.
        Ok(report) => Finding::note(
            "region",
            format!("{place}: {}", output::counted(report.problems.len() as u64, "problem")),
            format!("Look again with no agent running: `farrow fsck {}`", operand(path.display())),
        ),
    }
}

fn pages(media: &Medium) -> Finding {
    match media.page_use() {
        Err(error) => Finding::problem("pages", &error.into()),
        Ok(pages) => {
            let pages = pages.of_resident();
            match pages.advice() {
                Some(advice) => Finding::note("pages", format!("of what was read just now, {pages}"), advice),
                None => Finding::ok("pages", format!("of what was read just now, {pages}")),
            }
        }
    }
}

/// This release serves a region on one host.
fn coherency() -> Finding {
    Finding::ok(
        "caches",
        "coherent: all who map the region are on one host, whose processors keep caches in step",
    )
}
