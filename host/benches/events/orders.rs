//! Orders a second with events and without, in turns.
//!
//! Orders needs the grant `events` for the topics that it describes, so "without" is the same component with a
//! `publish` that does nothing (see `silent`): its description, statements and typed calls are the same, and no event is
//! stored, relayed or delivered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hyper::StatusCode;
use serde_json::json;

use super::host::{Database, Host, Service};
use super::load::{CONNECTIONS, Load, Seen};
use super::measure::{median, say};
use super::report::{Report, Way};
use super::silent::silent;
use super::{EMBEDDED, root};

/// Turns of each host: an odd number, so that the median is one that was measured.
const ROUNDS: usize = 3;

/// Orders that do not count.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long what a turn has left may take to be relayed and handled.
const DRAINED: Duration = Duration::from_secs(300);

/// What is ordered, and where it lies; more units than all orders of a bench together.
const ORDER: &str = "/api/orders/Mascarilla%20N95/";
const RESTOCK: &str = "/api/inventory/Mascarilla%20N95/restock/";
const WAREHOUSE: &str = "Bodega Norte";
const UNITS: u32 = 1_000_000_000;

/// What orders is granted.
const GRANTS: &str =
    r#""sql", "events", "provesi:products/catalog", "provesi:inventory/stock", "provesi:auth/directory""#;

/// What becomes of the events of an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Events {
    /// There are none.
    None,
    /// They are stored and relayed, and nobody subscribes.
    Unheard,
    /// A subscriber keeps a row of each.
    Heard,
}

/// A host that takes its turns.
struct Rival {
    what: &'static str,
    way: Way,
    events: Events,
    host: Host,
    token: String,
    /// Orders that were confirmed so far, each of which is an event.
    confirmed: f64,
    rates: Vec<f64>,
    others: u32,
}

/// Measures on a database, with a broker beside the embedded one where there is a URL.
pub(crate) async fn measure(
    database: Database,
    rabbit: Option<&str>,
    span: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut rivals = Vec::new();
    let embedded = [
        ("orders a second without events", Events::None),
        ("orders a second, nobody subscribes to their events", Events::Unheard),
        ("orders a second with events and a subscriber", Events::Heard),
    ];
    let kinds = embedded.map(|(what, events)| (what, events, EMBEDDED));
    let with_rabbit = rabbit.map(|url| (embedded[2].0, Events::Heard, url));
    for (what, events, url) in kinds.into_iter().chain(with_rabbit) {
        let way = Way { database, broker: if url == EMBEDDED { "embedded" } else { "RabbitMQ" } };
        say(&format!("{what}: starting a host on {way}"));
        let Some(rival) = Rival::start(what, way, events, url, folder.path()).await? else { return Ok(()) };
        rivals.push(rival);
    }
    for round in 1..=ROUNDS {
        for rival in &mut rivals {
            say(&format!("{} on {}: {round} of {ROUNDS}", rival.what, rival.way));
            let seen = rival.take_turn(span).await?;
            rival.rates.push(seen.rate());
            rival.others += seen.others;
        }
    }
    let base = rivals[0].rates.clone();
    for rival in &rivals {
        let ratios: Vec<f64> = rival.rates.iter().zip(&base).map(|(rate, base)| rate / base).collect();
        let ratio = format!("{:.2} of that without", median(&ratios));
        let note = format!("{ratio}; {CONNECTIONS} clients, back to back, {} not confirmed", rival.others);
        report.add(rival.what, rival.way, format!("{:.0}/s", median(&rival.rates)), note);
    }
    for rival in rivals {
        rival.host.stop().await?;
    }
    Ok(())
}

impl Rival {
    /// Starts one with stock, and warms it up; none where there is no PostgreSQL to start.
    async fn start(
        what: &'static str,
        way: Way,
        events: Events,
        url: &str,
        folder: &Path,
    ) -> anyhow::Result<Option<Self>> {
        let services = services(events, folder)?;
        let Some(host) = Host::start(way.database, url, &services).await? else { return Ok(None) };
        let staff = host.token("operario").await?;
        host.post(RESTOCK, &staff, &json!({ "units": UNITS, "warehouse": WAREHOUSE })).await?;
        let token = host.token("cliente").await?;
        let mut rival = Self { what, way, events, host, token, confirmed: 0.0, rates: Vec::new(), others: 0 };
        rival.take_turn(WARM_UP).await?;
        Ok(Some(rival))
    }

    /// Orders for a while, and waits until nothing of it is left to be done: the next turn is another's.
    async fn take_turn(&mut self, span: Duration) -> anyhow::Result<Seen> {
        let body = |_: u32, _: u32| json!({ "units": 1, "lat": 4.711, "lon": -74.072 }).to_string();
        let load = Load { host: &self.host, path: ORDER, token: &self.token, body, good: StatusCode::OK };
        let seen = load.back_to_back(span).await?;
        ensure!(seen.good > 0, "no order was confirmed");
        self.confirmed += f64::from(seen.good);
        let (counter, service) = match self.events {
            Events::None => return Ok(seen),
            Events::Unheard => ("provesi_events_published_total", "orders"),
            Events::Heard => ("provesi_events_delivered_total", "tally"),
        };
        self.host.until(counter, service, self.confirmed, DRAINED).await?;
        Ok(seen)
    }
}

/// Returns the four services, and a subscriber where there is to be one.
fn services(events: Events, folder: &Path) -> anyhow::Result<Vec<Service>> {
    let component = |name: &str| root().join(format!("target/components/{name}.wasm"));
    let service = |name: &'static str, grants| Service { name, component: component(name), grants };
    let mut services = vec![
        service("auth", r#""sql", "events", "tokens", "passwords""#),
        service("products", r#""sql", "events""#),
        service("inventory", r#""sql", "events", "provesi:products/catalog""#),
        Service {
            name: "orders",
            component: if events == Events::None { silenced(folder)? } else { component("orders") },
            grants: GRANTS,
        },
    ];
    if events == Events::Heard {
        let component = root().join("target/fixtures/fixture_tally.wasm");
        services.push(Service { name: "tally", component, grants: r#""sql""# });
    }
    Ok(services)
}

/// Writes orders with a `publish` that does nothing, and returns the file.
fn silenced(folder: &Path) -> anyhow::Result<PathBuf> {
    let built = root().join("target/components/orders.wasm");
    let component = std::fs::read(&built).with_context(|| format!("there is no {}", built.display()))?;
    let file = folder.join("silent.wasm");
    std::fs::write(&file, silent(&component)?)?;
    Ok(file)
}
