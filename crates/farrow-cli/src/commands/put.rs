//! `farrow put` and `farrow append`

use std::collections::HashMap;
use std::path::Path;

use arrow_array::RecordBatchReader;
use arrow_schema::ArrowError;
use farrow_client::{Advice, ClientError, Info, Mode};
use farrow_region::shell::operand;

use crate::args::{Agent, Append, Put, Source};
use crate::exit::{Exit, Failure};
use crate::input::{self, InputError, Known};
use crate::output;
use crate::progress::Progress;

pub(crate) fn put(args: &Put, agent: &Agent) -> anyhow::Result<()> {
    let targets = targets(&args.name, &args.source)?;
    let client = agent.connect()?;
    let options = args.version.options(Mode::Replace);
    each(&targets, |Target { name, file }| {
        publish(file, &args.source, || None, |rows| client.write_reader(name, rows, options, |_| {}))
    })
}

pub(crate) fn append(args: &Append, agent: &Agent) -> anyhow::Result<()> {
    if let (Some(number), files @ 2..) = (args.version.if_version, args.source.files.len()) {
        let asked = format!("--if-version {number} for {files} files, each of which makes a version");
        return Err(Failure::usage(format!("{asked}: append one file at a time")).into());
    }
    let client = agent.connect()?;
    let target = |file| Target { name: args.name.clone(), file };
    let targets: Vec<_> = args.source.files.iter().map(|file| target(file.as_path())).collect();
    let options = args.version.options(Mode::Append);
    let options = if args.by_name { options.by_name() } else { options };
    each(&targets, |Target { name, file }| {
        // The columns of the frame that there is. Without them, and without the right to read them, the agent compares.
        let known = || client.schema(name).ok().map(|schema| Known { schema, by_name: args.by_name });
        publish(file, &args.source, known, |rows| client.write_reader(name, rows, options, |_| {}))
    })
}

/// A file, and the frame that it becomes or is appended to.
struct Target<'a> {
    name: String,
    file: &'a Path,
}

/// The frames that files become: `name` if it is one, or below `name/` one of each file's own name.
fn targets<'a>(name: &str, source: &'a Source) -> Result<Vec<Target<'a>>, Failure> {
    let files = source.files.iter().map(std::path::PathBuf::as_path);
    let Some(prefix) = name.strip_suffix('/') else {
        return match &source.files[..] {
            [file] => Ok(vec![Target { name: name.to_owned(), file }]),
            files => Err(Failure::usage(format!(
                "{counted} for the one frame {name:?}. Each becomes a frame of its own by `farrow put {0}/ FILE...`, and all \
                 of them one frame by `farrow append {0} FILE...`",
                operand(name),
                counted = output::counted(files.len() as u64, "file")
            ))),
        };
    };
    let mut taken: HashMap<String, &Path> = HashMap::new();
    let target = |file: &'a Path| {
        let own = own_name(file).ok_or_else(|| {
            let place = file.display();
            Failure::usage(format!("{place} has no name for a frame below {name:?}: name the whole frame"))
        })?;
        let name = if prefix.is_empty() { own.to_owned() } else { format!("{name}{own}") };
        if let Some(other) = taken.insert(name.clone(), file) {
            let (other, file) = (other.display(), file.display());
            return Err(Failure::usage(format!("{other} and {file} would both be the frame {name:?}")));
        }
        Ok(Target { name, file })
    };
    files.map(target).collect()
}

/// A file's name without its last ending.
fn own_name(file: &Path) -> Option<&str> {
    file.file_stem()?.to_str().filter(|name| *name != "-")
}

/// Publishes one after another. Of several, the failure of one does not keep the others.
fn each(targets: &[Target<'_>], publish: impl Fn(&Target<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if let [target] = targets {
        return publish(target);
    }
    let mut exits: Vec<Exit> = Vec::new();
    for target in targets {
        if let Err(error) = publish(target) {
            exits.push(Exit::of(&error));
            let named = error.chain().any(|cause| cause.is::<InputError>());
            output::error(&if named { error } else { error.context(target.file.display().to_string()) });
        }
    }
    let Some(exit) = Exit::of_several(&exits) else { return Ok(()) };
    let (failed, all) = (exits.len(), output::counted(targets.len() as u64, "file"));
    Err(Failure::new(exit, format!("{failed} of {all} not published, for the reasons above")).into())
}

fn publish(
    file: &Path,
    source: &Source,
    known: impl FnOnce() -> Option<Known>,
    give: impl FnOnce(Box<dyn RecordBatchReader + Send>) -> Result<Info, ClientError>,
) -> anyhow::Result<()> {
    let progress = Progress::new()?;
    let rows = input::open(file, source.format, &source.csv, known, &progress)?;
    let given = give(Box::new(rows));
    progress.clear();
    let info = given.map_err(|error| in_words_of_the_command(error, file))?;
    if let Some(why) = &info.why {
        output::note(format_args!("streamed to the agent, not written in place: {why}"));
    }
    let facts = match info.rows {
        Some(rows) => format!("{}, {}", output::counted(rows, "row"), output::size(info.bytes)),
        None => "published; its rows and bytes are told to those who may read it".to_owned(),
    };
    output::note(format_args!("{}@{}: {facts}", info.name, info.version));
    Ok(())
}

/// Names the file in errors about rows, and the command's option where one is a remedy.
fn in_words_of_the_command(error: ClientError, file: &Path) -> anyhow::Error {
    match error {
        ClientError::Reader(ArrowError::ExternalError(cause)) => match cause.downcast::<InputError>() {
            Ok(error) => (*error).into(),
            Err(cause) => ClientError::Reader(ArrowError::ExternalError(cause)).into(),
        },
        error @ ClientError::Ipc(_) => InputError::new(file, error.in_words(remedy)).into(),
        error if error.advice().is_some() => {
            let told = error.in_words(remedy);
            Failure::new(Exit::of(&error.into()), told).into()
        }
        error => error.into(),
    }
}

/// The command that does what is advised.
fn remedy(advice: Advice) -> &'static str {
    match advice {
        Advice::ByName => "`farrow append --by-name NAME FILE`",
        _ => "see `farrow help append`",
    }
}
