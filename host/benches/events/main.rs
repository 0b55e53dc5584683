//! Measures events: how many a second go from a publisher to a subscriber, how late they are, and what they cost
//! orders.
//!
//! The real binary as a process of its own, on SQLite and on a private PostgreSQL, with the embedded broker and a
//! private RabbitMQ; its clients are in this process, on one thread. What is missing on a machine is named, and the rest
//! is measured. What comes out is Markdown. No number is asserted: a bench reports.
//!
//! `BENCH_SECONDS` (5) is the length of what is measured at a time, `BENCH_OUT` (`target/bench/events.md`) the file.
//!
//! Not here: the host (see `host`), posts (see `load`), events (see `flow`), orders (see `orders`), orders without
//! events (see `silent`), the table (see `report`).

#[path = "../support/client.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod client;
#[path = "../../tests/it/support/database.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod database;
mod flow;
mod host;
mod load;
#[path = "../support/measure.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod measure;
mod orders;
#[path = "../../tests/it/support/patch.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod patch;
#[path = "../../tests/it/support/postgres.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod postgres;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "each bench uses a part of it")]
mod process;
#[path = "../../tests/it/support/rabbit.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod rabbit;
mod report;
#[path = "../support/settings.rs"]
mod settings;
mod silent;
#[path = "../../tests/it/support/ward.rs"]
mod ward;

use std::path::PathBuf;
use std::time::Duration;

use self::host::{Database, Host};
use self::measure::say;
use self::rabbit::Rabbit;
use self::report::{Report, Way};
use self::settings::{number, root, variable};

/// Where events are without a broker.
const EMBEDDED: &str = "embedded:";

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> anyhow::Result<()> {
    let seconds = number("BENCH_SECONDS", 5, 1..=100)?;
    let span = Duration::from_secs(seconds.into());
    let out = variable("BENCH_OUT").map_or_else(|| root().join("target/bench/events.md"), PathBuf::from);
    let mut report = Report::default();
    say("starting RabbitMQ");
    let rabbit = Rabbit::start().await;
    if rabbit.is_none() {
        report.note("RabbitMQ is not installed: only the embedded broker was measured");
    }
    let url = rabbit.as_ref().map(Rabbit::url);
    for database in [Database::Sqlite, Database::Postgres] {
        if !measure(database, url.as_deref(), span, &mut report).await? {
            report.note("PostgreSQL is not installed: only SQLite was measured");
        }
    }
    report.note(&format!("{seconds} s each; orders in turns, three of each host, medians"));
    report.note("lag: from `publish`, followed by the commit alone, to the handler's first line, by the host's clock");
    report.note("without events: the same component of orders, whose calls of `publish` do nothing");
    report.note("clients, PostgreSQL and RabbitMQ are on the same cores");
    report.write(&out)
}

/// Measures on a database; says whether there is one.
async fn measure(
    database: Database,
    rabbit: Option<&str>,
    span: Duration,
    report: &mut Report,
) -> anyhow::Result<bool> {
    let brokers = [("embedded", Some(EMBEDDED)), ("RabbitMQ", rabbit)];
    for (broker, url) in brokers {
        let Some(url) = url else { continue };
        let way = Way { database, broker };
        say(&format!("events on {way}"));
        let Some(host) = Host::start(database, url, &flow::services()).await? else { return Ok(false) };
        flow::measure(&host, way, span, report).await?;
        host.stop().await?;
    }
    orders::measure(database, rabbit, span, report).await?;
    Ok(true)
}
