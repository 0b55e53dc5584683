//! Renders how much of the events of services waits; pure functions of answer and width.
//!
//! What does not apply, and what the host does not know at the moment, is a dash.

use super::answers::{Backlog, BrokerState, Depth, Service};
use super::layout::{Row, field, table};
use super::show::{or_dash, whole_seconds};

/// What is said of each service.
const HEAD: [&str; 6] = ["SERVICE", "OUTBOX", "OLDEST", "DELIVERIES", "OLDEST", "DEAD LETTERS"];

/// Renders a row for each service that has to do with events, and the broker; nothing when there is none.
pub(super) fn listed(services: &[Service], width: usize) -> String {
    let told = || services.iter().filter_map(|service| Some((service.name.as_str(), service.events.as_ref()?)));
    let Some((_, first)) = told().next() else { return String::new() };
    let rows: Vec<Row> = told().map(|(name, events)| row(name, events)).collect();
    let mut text = format!("\n{}\n", table(&HEAD, &rows, 0, width));
    text.push_str(&field("broker", &broker(first.broker.as_ref()), width));
    text
}

/// Renders it for one service.
pub(super) fn shown(events: &Backlog, width: usize) -> String {
    let letters = events.dead_letters.map(|count| format!("{count} dead"));
    let fields = [
        ("broker", broker(events.broker.as_ref())),
        ("outbox", sentence(events.outbox.as_ref())),
        ("deliveries", sentence(events.deliveries.as_ref())),
        ("letters", or_dash(letters.as_deref())),
    ];
    fields.iter().map(|(name, value)| field(name, value, width)).collect()
}

fn row(name: &str, events: &Backlog) -> Row {
    let cells = |depth: Option<&Depth>| [or_dash(depth.map(count).as_deref()), or_dash(depth.and_then(age).as_deref())];
    let [outbox, outbox_oldest] = cells(events.outbox.as_ref());
    let [deliveries, deliveries_oldest] = cells(events.deliveries.as_ref());
    let letters = or_dash(events.dead_letters.map(|count| count.to_string()).as_deref());
    Row::new([name.to_owned(), outbox, outbox_oldest, deliveries, deliveries_oldest, letters])
}

fn sentence(depth: Option<&Depth>) -> String {
    let Some(depth) = depth else { return or_dash(None) };
    let oldest = age(depth).map(|age| format!(", the oldest for {age}")).unwrap_or_default();
    format!("{} waiting{oldest}", count(depth))
}

fn count(depth: &Depth) -> String {
    let Depth { waiting, more, .. } = depth;
    if *more { format!(">{waiting}") } else { waiting.to_string() }
}

fn age(depth: &Depth) -> Option<String> {
    depth.oldest_seconds.map(|seconds| format!("{seconds} s"))
}

fn broker(broker: Option<&BrokerState>) -> String {
    let Some(BrokerState { kind, state, away_since }) = broker else { return or_dash(None) };
    let since = away_since.as_ref().map(|since| format!(" since {}", whole_seconds(since))).unwrap_or_default();
    format!("{kind}, {state}{since}")
}
