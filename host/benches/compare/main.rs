//! Measures the host against a native twin, in turns on the same data, and prints one table of Markdown.
//!
//! Three processes at a time: the host (the binary that cargo has built), the twin (this binary again, see `twin`),
//! and `wrk`, one after the other on the same cores. Before anything is timed, both have to answer the same bytes.
//! What is missing on a machine is named, and the rest is measured. No number is asserted: a bench reports.
//!
//! `BENCH_ROUNDS` (5), `BENCH_SECONDS` (5) and `BENCH_OUT` (`target/bench/table.md`) change how; `BENCH_ONLY` takes
//! only routes that contain a text.
//!
//! Not here: what is asked for (see `cases`), databases (see `stage`), processes (see `server`), the table (see
//! `report`).

mod cases;
#[path = "../support/measure.rs"]
mod measure;
mod peers;
#[path = "../../tests/it/support/postgres.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod postgres;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod process;
mod report;
mod same;
mod server;
#[path = "../support/services.rs"]
mod services;
#[path = "../support/settings.rs"]
mod settings;
mod stage;
mod turns;
#[path = "../twin/twin.rs"]
mod twin;
#[path = "../../tests/it/support/ward.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod ward;
mod wrk;

use std::path::{Path, PathBuf};

use reqwest::Client;

use self::cases::{Against, Case, Instances};
use self::measure::say;
use self::report::Report;
use self::server::Server;
use self::settings::{number, root, variable};
use self::stage::{Database, Stage, Tokens};
use self::turns::Turns;

/// As in the host: a request makes a few hundred small allocations, on threads that hand them to each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections that requests come over.
const CONNECTIONS: [u32; 3] = [1, 32, 256];

/// How it is measured.
struct Settings {
    rounds: usize,
    seconds: u32,
    out: PathBuf,
    only: String,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, data, url] = &arguments[..]
        && mode == twin::MODE
    {
        return twin::run(Path::new(data), url);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> anyhow::Result<()> {
    let settings = Settings::read()?;
    let mut report = Report::default();
    let wrk = wrk::version();
    if wrk.is_none() {
        report.note("wrk is not installed: answers were compared, nothing was timed");
    }
    for database in [Database::Sqlite, Database::Postgres] {
        say(&format!("{database}: a host makes databases and demo data"));
        let Some(stage) = Stage::prepare(database).await? else {
            report.note("PostgreSQL is not installed: only SQLite was measured");
            continue;
        };
        report.version(&stage.version());
        for instances in [Instances::Fresh, Instances::Reused] {
            let session = match Session::start(&stage, instances).await {
                Ok(session) => session,
                // A build without the limit refuses the whole configuration.
                Err(error) if instances == Instances::Reused => {
                    report.note(&format!("{database}: not measured with reused instances: {error:#}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            session.measure(&settings, wrk.is_some(), &mut report).await?;
        }
    }
    report.write(&settings.out, &settings.how(wrk.as_deref()))
}

/// A host and a twin that run on one database.
struct Session<'s> {
    stage: &'s Stage,
    instances: Instances,
    client: Client,
    host: Server,
    twin: Server,
    tokens: Tokens,
}

impl<'s> Session<'s> {
    async fn start(stage: &'s Stage, instances: Instances) -> anyhow::Result<Self> {
        let host = stage.host(instances).await?;
        let twin = stage.twin().await?;
        let client = server::client()?;
        let tokens = stage::log_in(&client, &host).await?;
        Ok(Self { stage, instances, client, host, twin, tokens })
    }

    async fn measure(&self, settings: &Settings, timed: bool, report: &mut Report) -> anyhow::Result<()> {
        let cases = self.cases(settings);
        for case in &cases {
            let (ours, theirs) = self.sides(case);
            same::check(&self.client, case, &self.tokens, ours, theirs).await?;
        }
        if timed {
            if self.is_first() {
                say("the twin against itself");
                report.noise(&self.turns(settings).noise(&self.twin)?);
            }
            for case in &cases {
                let (ours, theirs) = self.sides(case);
                self.time(settings, case, ours, theirs, report)?;
            }
            if self.is_first() {
                self.peers(settings, report).await?;
            }
        }
        report.memory(self.stage.database(), self.instances, self.host.rss_mb()?, self.twin.rss_mb()?);
        Ok(())
    }

    /// Times one kind of request at each number of connections.
    fn time(
        &self,
        settings: &Settings,
        case: &Case,
        ours: &Server,
        theirs: &Server,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (database, instances) = (self.stage.database(), self.instances);
        for connections in CONNECTIONS {
            say(&format!("{database}, {instances}: {}, {connections} connections", case.label));
            let rivals = self.turns(settings).compare(case, &self.tokens, connections, ours, theirs)?;
            report.add(database, instances, case, connections, &rivals);
        }
        Ok(())
    }

    /// Compares with other hosts of components, as far as they are installed.
    async fn peers(&self, settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
        let Some(version) = peers::version() else {
            report.note("`wasmtime` is not installed: no comparison with `wasmtime serve`");
            return Ok(());
        };
        report.version(&version);
        for peer in &peers::PEERS {
            match peer.start(&self.client, self.stage.folder()).await {
                Ok(server) => self.time(settings, &peer.case, &self.host, &server, report)?,
                Err(error) => report.note(&format!("{}: not measured: {error:#}", peer.case.label)),
            }
        }
        Ok(())
    }

    fn cases(&self, settings: &Settings) -> Vec<&'static Case> {
        let first = self.stage.database() == Database::Sqlite;
        let wanted = |case: &&Case| (first || case.uses_database) && case.label.contains(&settings.only);
        cases::CASES.iter().filter(wanted).collect()
    }

    fn sides(&self, case: &Case) -> (&Server, &Server) {
        match case.against {
            Against::Twin => (&self.host, &self.twin),
            Against::Itself(_) => (&self.host, &self.host),
        }
    }

    fn turns(&self, settings: &Settings) -> Turns<'_> {
        Turns { rounds: settings.rounds, seconds: settings.seconds, folder: self.stage.folder() }
    }

    fn is_first(&self) -> bool {
        self.stage.database() == Database::Sqlite && self.instances == Instances::Fresh
    }
}

impl Settings {
    fn read() -> anyhow::Result<Self> {
        Ok(Self {
            rounds: usize::try_from(number("BENCH_ROUNDS", 5, 1..=1000)?)?,
            seconds: number("BENCH_SECONDS", 5, 1..=1000)?,
            out: variable("BENCH_OUT").map_or_else(|| root().join("target/bench/table.md"), PathBuf::from),
            only: variable("BENCH_ONLY").unwrap_or_default(),
        })
    }

    /// Says how it was measured, for below the table.
    fn how(&self, wrk: Option<&str>) -> String {
        let load = wrk.unwrap_or("no load generator");
        format!("- load: {load}, {} rounds of {} s, in turns A B A B, on the same cores", self.rounds, self.seconds)
    }
}
