//! A flood: what those notice who are admitted, those who are turned away, and the neighbours.
//!
//! Three kinds of windows in turns, each with the neighbour's clients: calm, the flooded service at four fifths of what
//! it can do, and at ten times.

use std::collections::BTreeMap;
use std::time::Duration;

use super::host::Host;
use super::load::{self, Load, Series};
use super::measure::{median, say};
use super::report::{Report, Row, Unit};
use super::{NEIGHBOUR, PART, ROUNDS, SLOWER};

/// Limits of the broken service.
pub(crate) const LIMITS: &str = "concurrency = 8, queue = 4";

/// The places of the same queue.
const QUEUE: f64 = 4.0;

/// What waits for 20 ms and computes next to nothing.
const NAP: &str = "/api/faulty/nap/";

/// Parts of what the service can do that it is asked for in steady windows and in the flood.
const STEADY: f64 = 0.8;
const FLOOD: f64 = 10.0;

/// Connections of a steady window: more than have to wait at once.
const STEADY_CONNECTIONS: u32 = 32;

/// Connections of the flood: so many that each is due again only after an admitted request has been answered.
const FLOOD_CONNECTIONS: u32 = 256;

/// How many times longer than in steady windows may be waited by those that the flood's service admits.
const ADMITTED: f64 = 2.0;

/// How many times its memory before the flood the host may take: queues and connections are bounded, so not many.
const MEMORY: f64 = 1.5;

/// What was seen in all windows.
#[derive(Default)]
struct Seen {
    neighbour_calm: Series,
    neighbour_steady: Series,
    neighbour_flood: Series,
    steady: Series,
    flood: Series,
    /// Memory before the first flood and after each.
    rss_mb: Vec<f64>,
}

/// Measures calm, steady and flooded windows in turns.
pub(crate) async fn flood(host: &Host, span: Duration, report: &mut Report) -> anyhow::Result<()> {
    say("what the neighbour and the service can do");
    let neighbours = load::capacity(host, NEIGHBOUR).await? * PART;
    let neighbour = Load { host, path: NEIGHBOUR, connections: load::CONNECTIONS, rate: neighbours };
    let capacity = load::capacity(host, NAP).await?;
    let nap = |connections, part: f64| Load { host, path: NAP, connections, rate: capacity * part };
    let (steady, flood) = (nap(STEADY_CONNECTIONS, STEADY), nap(FLOOD_CONNECTIONS, FLOOD));
    let mut seen = Seen::default();
    for round in 1..=ROUNDS {
        say(&format!("calm, steady, flood: {round} of {ROUNDS}"));
        neighbour.run(span, &mut seen.neighbour_calm).await?;
        futures::try_join!(neighbour.run(span, &mut seen.neighbour_steady), steady.run(span, &mut seen.steady))?;
        if seen.rss_mb.is_empty() {
            seen.rss_mb.push(host.rss_mb()?);
        }
        futures::try_join!(neighbour.run(span, &mut seen.neighbour_flood), flood.run(span, &mut seen.flood))?;
        seen.rss_mb.push(host.rss_mb()?);
        seen.neighbour_calm.check("the calm neighbour")?;
        seen.neighbour_steady.check("the neighbour beside a steady load")?;
        seen.neighbour_flood.check("the neighbour beside the flood")?;
    }
    admitted(&seen, capacity, report);
    statuses(&seen, report);
    neighbours_of(&seen, report);
    memory(&seen, host.peak_rss_mb()?, report);
    Ok(())
}

/// Reports how long those waited who were let in.
fn admitted(seen: &Seen, capacity: f64, report: &mut Report) {
    let what = format!("`GET {NAP}`, back to back");
    let note = format!("{LIMITS}, 20 ms each; {} connections", load::CONNECTIONS);
    report.add(Row::one(what, Unit::PerSecond, capacity).note(note));
    let (steady, flood) = (&seen.steady, &seen.flood);
    let what = format!("`GET {NAP}`: p99 at {STEADY} times that");
    report.add(Row::median(what, Unit::Milliseconds, &steady.p99_ms).note(steady.note()));
    let what = format!("`GET {NAP}`: p99 of those admitted at {FLOOD} times that");
    report.add(Row::median(what, Unit::Milliseconds, &flood.p99_ms).note(flood.note()));
    let what = "flood's p99 of those admitted, to steady".to_owned();
    report.add(Row::ratio(what, &flood.p99_ms, &steady.p99_ms).wanted(ADMITTED));
    // In a flood the queue is always full, and whoever gets its last place waits until all before have left it.
    let wait_ms = QUEUE / capacity * 1000.0;
    let what = "the same without the queue's own wait".to_owned();
    let ratio = (median(&flood.p99_ms) - wait_ms) / median(&steady.p99_ms);
    let note = format!("a full queue is {wait_ms:.1} ms: {QUEUE} places at the rate of above");
    report.add(Row::one(what, Unit::Ratio, ratio).wanted(ADMITTED).note(note));
}

/// Reports what the flood was answered with.
fn statuses(seen: &Seen, report: &mut Report) {
    let Series { answered, refused, .. } = seen.flood;
    let mut others: BTreeMap<u16, u32> = seen.flood.others.clone();
    for (status, count) in &seen.steady.others {
        *others.entry(*status).or_default() += count;
    }
    let note = format!(
        "flood: {answered} with 200, {refused} with 503 and `Retry-After`; steady: {} and {}; others by status: {}",
        seen.steady.answered,
        seen.steady.refused,
        if others.is_empty() { "none".to_owned() } else { format!("{others:?}") },
    );
    let what = format!("`GET {NAP}`: answers besides 200, and 503 with `Retry-After`");
    let count = others.values().sum::<u32>();
    report.add(Row::one(what, Unit::Count, f64::from(count)).wanted(0.0).note(note));
    if !seen.flood.refusal_p99_ms.is_empty() {
        let what = format!("`GET {NAP}`: p99 of those refused");
        let note = format!("p50 {:.2} ms", median(&seen.flood.refusal_p50_ms));
        report.add(Row::median(what, Unit::Milliseconds, &seen.flood.refusal_p99_ms).note(note));
    }
}

/// Reports how long clients of another service waited.
fn neighbours_of(seen: &Seen, report: &mut Report) {
    let Seen { neighbour_calm: calm, neighbour_steady: steady, neighbour_flood: flood, .. } = seen;
    for (when, series) in [("calm", calm), ("beside a steady load", steady), ("beside the flood", flood)] {
        let what = format!("`GET {NEIGHBOUR}`: p99 {when}");
        report.add(Row::median(what, Unit::Milliseconds, &series.p99_ms).note(series.note()));
    }
    let what = "beside the flood, to calm".to_owned();
    report.add(Row::ratio(what, &flood.p99_ms, &calm.p99_ms).wanted(SLOWER));
    let what = "beside a steady load, to calm".to_owned();
    report.add(Row::ratio(what, &steady.p99_ms, &calm.p99_ms));
}

/// Reports the host's memory.
fn memory(seen: &Seen, peak_mb: f64, report: &mut Report) {
    let Some((before, after)) = seen.rss_mb.split_first() else { return };
    report.add(Row::one("RSS of the host before the first flood".to_owned(), Unit::Megabytes, *before));
    let what = "RSS of the host after a flood".to_owned();
    let each: Vec<String> = after.iter().map(|mb| format!("{mb:.0}")).collect();
    report.add(Row::median(what, Unit::Megabytes, after).note(format!("one after the other: {}", each.join(", "))));
    let note = format!("{peak_mb:.0} MB, its start included");
    let what = "its most, to before the first flood".to_owned();
    report.add(Row::one(what, Unit::Ratio, peak_mb / before).wanted(MEMORY).note(note));
}
