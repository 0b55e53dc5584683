//! The command line of `provesi`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use provesi::app::{App, Options};
use provesi::config::Config;
use provesi::{shutdown, telemetry};

/// An API gateway that is also a WebAssembly component host.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the configured services until SIGTERM or Ctrl-C.
    Serve(Serve),
}

#[derive(clap::Args)]
struct Serve {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "provesi.toml")]
    config: PathBuf,
    /// Where keys, databases and compiled code are kept.
    #[arg(long, value_name = "DIR", env = "PROVESI_DATA", default_value = "data")]
    data: PathBuf,
    /// Fills empty databases with demo data.
    #[arg(long)]
    demo: bool,
}

fn main() -> ExitCode {
    let Command::Serve(serve) = Cli::parse().command;
    match run(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reason on one line first, what led to it below.
            tracing::debug!(error = format!("{error:#}"), "failed to serve");
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(serve: Serve) -> anyhow::Result<()> {
    let config = Config::load(&serve.config)?;
    telemetry::install(&config.log.filter).with_context(|| format!("log.filter = {:?}", config.log.filter))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        let app = App::start(&config, Options { data: serve.data, demo: serve.demo }).await?;
        app.run(stop).await;
        Ok(())
    })
}

#[expect(clippy::print_stderr, reason = "the last word of a process that could not start")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
}
