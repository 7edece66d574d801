//! `farrow-agent`: parse, check, open, serve, drain.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use farrow_agent::{Access, App, Args, Config};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// The settings are wrong (EX_CONFIG of sysexits(3)): starting again without a change is of no use.
const BAD_CONFIG: u8 = 78;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
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
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&config.log.level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();

    match serve(args, &config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", farrow_agent::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Puts the configuration's rules, tokens and certificates in force at each SIGHUP.
async fn reload(mut hangup: Signal, args: Args, access: Arc<Access>) {
    while hangup.recv().await.is_some() {
        let reloaded = match Config::load(&args) {
            Ok(config) => access.reload(&config),
            Err(problems) => Err(problems.0.iter().map(ToString::to_string).collect()),
        };
        match reloaded {
            Ok(()) => tracing::info!("rights, tokens and certificates were read again"),
            Err(problems) => {
                for problem in problems {
                    tracing::error!(%problem, "not reloaded: all stays as it was");
                }
            }
        }
    }
}

async fn serve(args: Args, config: &Config) -> anyhow::Result<()> {
    // Memory of the region that goes away shall be an error of the requests that need it.
    farrow_region::survive_bus_errors()?;
    // Before the region is opened, so that a signal during a long start is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let app = App::build(config).await?;
    tokio::spawn(reload(signal(SignalKind::hangup())?, args, app.access()));
    let listen = app.tcp_address().map(|address| address.to_string());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        region = config.region.as_ref().map(|region| tracing::field::display(region.display())),
        socket = %app.socket().display(),
        listen,
        pages = app.pages(),
        "serving"
    );
    app.run(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
            _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
        }
    })
    .await
}

fn lines(problems: &[farrow_agent::Problem]) -> String {
    problems.iter().map(|problem| format!("farrow-agent: {problem}\n")).collect()
}

/// Writes `text`; who closed the stream does not want it.
fn tell(stream: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    let _ = stream.write_all(text.as_bytes());
    code
}
