//! The command line of `provesi`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use provesi::app::{App, Options};
use provesi::config::{Config, ConfigError};
use provesi::runtime::{Place, compile_to};
use provesi::{cli, shutdown, telemetry};

/// This program as it runs, also when its file has been replaced meanwhile.
const SELF: &str = "/proc/self/exe";

/// The configuration that is read if none is named.
const CONFIG: &str = "provesi.toml";

/// A request makes a few hundred small allocations, on threads that hand them to each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Makes the allocator give memory back at once rather than a second later, when an idle host may never come to it.
///
/// Halves what a host keeps after a compilation, and costs no throughput; see docs/performance.md.
#[expect(unsafe_code, reason = "mimalloc's options have no safe interface")]
fn give_memory_back() {
    /// `mi_option_purge_delay` of mimalloc 3, for which the bindings have no name.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets one integer of the allocator, before another thread exists.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}

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
    /// Compiles the component on standard input into a file of code, for a host of this program.
    #[command(hide = true)]
    Compile {
        /// At the side of others; without, it gets only what they leave of the cores.
        #[arg(long)]
        beside: bool,
        /// The file, which must not exist.
        output: PathBuf,
    },
    #[command(flatten)]
    Operate(Box<cli::Command>),
}

#[derive(clap::Args)]
struct Serve {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Where keys, databases and compiled code are kept.
    #[arg(long, value_name = "DIR", env = "PROVESI_DATA", default_value = "data")]
    data: PathBuf,
    /// Fills empty databases with demo data.
    #[arg(long)]
    demo: bool,
    /// Deploys a service again when the file of its component changes.
    #[arg(long)]
    watch: bool,
}

fn main() -> ExitCode {
    give_memory_back();
    let outcome = match Cli::parse().command {
        Command::Serve(serve) => run(serve),
        Command::Compile { beside, output } => {
            return compile(if beside { Place::Beside } else { Place::Behind }, &output);
        }
        Command::Operate(command) => return cli::run(&command, admin_listen),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The reason on one line first, what led to it below.
            tracing::debug!(error = format!("{error:#}"), "failed");
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
        let options = Options { data: serve.data, compiler: PathBuf::from(SELF), demo: serve.demo, watch: serve.watch };
        let app = App::start(&config, options).await?;
        app.run(stop).await;
        Ok(())
    })
}

/// Compiles one component, and says what is wrong with it to the host that waits.
#[expect(clippy::print_stderr, reason = "the host reads it")]
fn compile(place: Place, output: &Path) -> ExitCode {
    match compile_to(place, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.reason());
            ExitCode::FAILURE
        }
    }
}

/// Says what the configuration listens on for operators; nothing if there is none and none was named.
fn admin_listen(named: Option<&Path>) -> Result<Option<SocketAddr>, ConfigError> {
    let path = named.unwrap_or(Path::new(CONFIG));
    // A team's machine has no configuration, and an operator may not be allowed to read the host's.
    if named.is_none() && std::fs::File::open(path).is_err() {
        return Ok(None);
    }
    Config::load(path).map(|config| Some(config.admin.listen))
}

#[expect(clippy::print_stderr, reason = "the last word of a process that could not start")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_configuration_that_is_named_has_to_be_there() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(admin_listen(Some(&folder.path().join("none.toml"))).is_err());
    }
}
