//! `farrow-agent`: parse, check, open, serve, drain.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use farrow_agent::{App, Args, Config, LogLevel, Reload, Signals};

/// It gives memory back that streams have used for a moment; glibc's keeps hundreds of MiB (measured, crates/README.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The settings are wrong (EX_CONFIG of sysexits(3)): starting again without a change is of no use.
const BAD_CONFIG: u8 = 78;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse().with_environment();
    if let Some(text) = farrow_agent::reference(&args) {
        return tell(&mut std::io::stdout(), &text, ExitCode::SUCCESS);
    }
    if args.print_config {
        return tell(&mut std::io::stdout(), farrow_agent::DEFAULT_FILE, ExitCode::SUCCESS);
    }
    if args.check_config {
        return match &Config::problems(&args)[..] {
            [] => ExitCode::SUCCESS,
            problems => tell(&mut std::io::stderr(), &lines(problems), ExitCode::from(BAD_CONFIG)),
        };
    }
    let config = match Config::load(&args) {
        Ok(config) => config,
        Err(problems) => {
            return tell(&mut std::io::stderr(), &lines(&problems.0), ExitCode::from(BAD_CONFIG));
        }
    };
    match serve(args, config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", farrow_agent::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args, config: Config) -> anyhow::Result<()> {
    let log = LogLevel::init(&config.log)?;
    // Memory of the region that goes away shall be an error of the requests that need it.
    farrow_region::survive_bus_errors()?;
    // Before the region is opened, so that a signal during a long start is not lost.
    let signals = Signals::new()?;
    let app = App::build(&config).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        region = config.region.as_ref().map(|region| tracing::field::display(region.display())),
        socket = %app.socket().display(),
        listen = app.tcp_address().map(|address| address.to_string()),
        http = app.http_address().map(|address| address.to_string()),
        pages = app.pages(),
        "serving"
    );
    app.run(signals, Reload::new(args, config, log)).await
}

fn lines(problems: &[farrow_agent::Problem]) -> String {
    problems.iter().map(|problem| format!("farrow-agent: {problem}\n")).collect()
}

/// Writes `text`; who closed the stream does not want it.
fn tell(stream: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    let _ = stream.write_all(text.as_bytes());
    code
}
