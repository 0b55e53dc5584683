//! Events from a publisher to a subscriber: how many a second, and how late.

use std::time::Duration;

use anyhow::ensure;
use hyper::StatusCode;
use serde_json::json;

use super::host::{Host, Service};
use super::load::{CONNECTIONS, Load, Seen};
use super::report::{Report, Way};
use super::root;

/// Posts that do not count: connections, caches, queues.
const WARM_UP: Duration = Duration::from_secs(1);

/// Keys of one connection; those of different keys can be handled at once.
const KEYS: u32 = 4;

/// What part of what the host can handle is published when lag is measured.
const PART: f64 = 0.5;

/// How long what waits may take to be handled.
const DRAINED: Duration = Duration::from_secs(300);

const DELIVERED: &str = "provesi_events_delivered_total";
const SUBSCRIBER: &str = "listener";

/// The time from `publish`, which is followed by the commit alone, to the first line of the handler; by one clock.
const LAGS: &str = "SELECT handled_us - published_us FROM heard WHERE text = 'paced' ORDER BY 1";

/// Returns the publisher and the subscriber.
pub(crate) fn services() -> [Service; 2] {
    let component = |name: &str| root().join(format!("target/fixtures/fixture_{name}.wasm"));
    [
        Service { name: "emitter", component: component("emitter"), grants: r#""sql", "events""# },
        Service { name: SUBSCRIBER, component: component(SUBSCRIBER), grants: r#""sql""# },
    ]
}

/// Measures on a host with both.
pub(crate) async fn measure(host: &Host, way: Way, span: Duration, report: &mut Report) -> anyhow::Result<()> {
    let load =
        |body: fn(u32, u32) -> String| Load { host, path: "/api/emitter/", token: "", body, good: StatusCode::CREATED };
    let (hasty, paced) = (load(hasty_saying), load(paced_saying));
    let warm = hasty.back_to_back(WARM_UP).await?;
    let so_far = f64::from(warm.good);
    handled(host, so_far).await?;

    let began = tokio::time::Instant::now();
    let seen = hasty.back_to_back(span).await?;
    let ended = handled(host, so_far + f64::from(seen.good)).await?;
    let rate = f64::from(seen.good) / (ended - began).as_secs_f64();
    ensure!(rate > 0.0, "nothing was published: {} answers were not 201", seen.others);
    let publishing = format!("published by {CONNECTIONS} clients, back to back, {}", others(seen));
    report.add("events published a second", way, format!("{:.0}/s", seen.rate()), publishing);
    let note = format!("{} events, from the first published to the last handled", seen.good);
    report.add("events published and handled a second", way, format!("{rate:.0}/s"), note);

    let before = so_far + f64::from(seen.good);
    let seen = paced.paced(span, rate * PART).await?;
    handled(host, before + f64::from(seen.good)).await?;
    let lags = host.column(SUBSCRIBER, LAGS).await?;
    ensure!(lags.len() >= usize::try_from(seen.good)?, "{} lags of {} events", lags.len(), seen.good);
    for percent in [50, 99] {
        let note = format!("at {:.0} events/s, {}", seen.rate(), others(seen));
        let lag = format!("{:.1} ms", percentile_ms(&lags, percent)?);
        report.add(&format!("lag from the publishing transaction to the handler, p{percent}"), way, lag, note);
    }
    Ok(())
}

/// Waits until so many events were handled since the host's start, and returns when that was.
async fn handled(host: &Host, events: f64) -> anyhow::Result<tokio::time::Instant> {
    host.until(DELIVERED, SUBSCRIBER, events, DRAINED).await
}

fn hasty_saying(connection: u32, number: u32) -> String {
    saying(connection, number, "hasty")
}

fn paced_saying(connection: u32, number: u32) -> String {
    saying(connection, number, "paced")
}

fn saying(connection: u32, number: u32, text: &str) -> String {
    json!({ "key": format!("{connection}-{}", number % KEYS), "text": text }).to_string()
}

fn others(seen: Seen) -> String {
    format!("{} not accepted", seen.others)
}

/// Returns the milliseconds that so many percent of some microseconds, sorted, are not above.
fn percentile_ms(sorted: &[i64], percent: usize) -> anyhow::Result<f64> {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    let micros = u32::try_from(sorted.get(at).copied().unwrap_or_default().max(0))?;
    Ok(f64::from(micros) / 1000.0)
}
