//! Renders answers for a person; pure functions of answer and width.
//!
//! Times are shown as the host tells them, in tables to the second.
//!
//! Not here: refusals (see `refusal`), JSON (shown as it came).

use serde_json::Value;

use super::answers::{AuditEntry, Checked, Deployed, Event, Moved, Revision, Service, Share, Task, Timings};
use super::backlog;
use super::layout::{Row, field, indented, table};

/// Hex digits of a digest that are shown.
const DIGEST: usize = 12;

/// Renders what a deploy did: one line, then times and warnings.
pub(super) fn deployed(answer: &Deployed, width: usize) -> String {
    let Deployed { service, revision, .. } = answer;
    let mut text = format!("{service}@{revision} is ");
    let (is, before) = match answer.state.as_str() {
        "canary" => ("a canary", Some("beside")),
        "idle" => ("kept without traffic", None),
        state => (state, Some("replaced")),
    };
    text.push_str(is);
    if let (Some(word), Some(before)) = (before, answer.replaced) {
        text.push_str(&format!(" ({word} {service}@{before})"));
    }
    if let Some(total) = answer.timings_ms.total {
        text.push_str(&format!(" in {}", milliseconds(total)));
    }
    text.push('\n');
    text.push_str(&field("digest", &short(&answer.digest), width));
    text.push_str(&timings(&answer.timings_ms, width));
    text.push_str(&warnings(&answer.warnings, width));
    text
}

/// Renders what a deploy would do.
pub(super) fn checked(answer: &Checked, width: usize) -> String {
    let mut text = format!("{} {} can be deployed\n", answer.service, answer.version);
    let migrations = if answer.migrations.is_empty() { "none".to_owned() } else { answer.migrations.join(" ") };
    text.push_str(&field("digest", &short(&answer.digest), width));
    text.push_str(&field("migrations", &migrations, width));
    text.push_str(&timings(&answer.timings_ms, width));
    text.push_str(&warnings(&answer.warnings, width));
    text
}

/// Renders where the traffic goes now.
pub(super) fn moved(answer: &Moved) -> String {
    format!("the traffic of {} goes to {}", answer.service, weights(&answer.traffic))
}

/// Renders all services, one row each, and below how much of their events waits.
pub(super) fn services(services: &[Service], width: usize) -> String {
    let row = |service: &Service| {
        Row::new([
            service.name.clone(),
            service.state.clone(),
            weights(&service.traffic),
            or_dash(service.version.as_deref()),
            service.requests.to_string(),
            service.faults.to_string(),
            whole_seconds(&or_dash(service.deployed_at.as_deref())),
        ])
    };
    let rows: Vec<Row> = services.iter().map(row).collect();
    let head = ["SERVICE", "STATE", "REVISION", "VERSION", "REQUESTS", "FAULTS", "DEPLOYED"];
    table(&head, &rows, 0, width) + &backlog::listed(services, width)
}

/// Renders one service in detail.
pub(super) fn service(service: &Service, width: usize) -> String {
    let grants: Vec<String> = service.grants.iter().map(plain).collect();
    let canary = service.canary.as_ref().map(|canary| format!("{} since {}", canary.revision, canary.since));
    let counts =
        format!("{} requests, {} faults, {} links since start", service.requests, service.faults, service.links);
    let mut text = String::new();
    for (name, value) in [
        ("service", service.name.clone()),
        ("state", service.state.clone()),
        ("version", or_dash(service.version.as_deref())),
        ("deployed", or_dash(service.deployed_at.as_deref())),
        ("canary", or_dash(canary.as_deref())),
        ("breaker", or_dash(service.breaker.as_deref())),
        ("counted", counts),
        ("exports", service.exports.join(" ")),
        ("imports", service.imports.join(" ")),
        ("grants", grants.join(" ")),
        ("limits", limits(&service.limits)),
    ] {
        text.push_str(&field(name, &value, width));
    }
    if let Some(events) = &service.events {
        text.push_str(&backlog::shown(events, width));
    }
    let shares: Vec<Row> = service.traffic.iter().map(share).collect();
    text.push('\n');
    text.push_str(&table(&["REV", "WEIGHT", "SHA-256"], &shares, 2, width));
    if !service.routes.is_empty() {
        let routes: Vec<Row> = service
            .routes
            .iter()
            .map(|route| {
                Row::new([route.method.clone(), route.path.clone(), route.operation.clone(), plain(&route.access)])
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&["METHOD", "PATH", "OPERATION", "ACCESS"], &routes, 1, width));
    }
    if !service.tasks.is_empty() {
        let tasks: Vec<Row> = service.tasks.iter().map(task).collect();
        text.push('\n');
        text.push_str(&table(&["TASK", "SCHEDULE", "STARTED", "NEXT"], &tasks, 0, width));
    }
    text
}

/// Renders the revisions of a service, each with the reason why it is what it is.
pub(super) fn revisions(revisions: &[Revision], width: usize) -> String {
    let row = |revision: &Revision| Row {
        cells: vec![
            revision.revision.to_string(),
            revision.state.clone(),
            or_dash(revision.weight.map(|weight| format!("{weight}%")).as_deref()),
            or_dash(revision.version.as_deref()),
            short(&revision.digest),
            whole_seconds(&revision.created_at),
            or_dash(revision.by.as_deref()),
        ],
        note: revision.reason.clone(),
    };
    let rows: Vec<Row> = revisions.iter().map(row).collect();
    table(&["REVISION", "STATE", "WEIGHT", "VERSION", "DIGEST", "CREATED", "BY"], &rows, 6, width)
}

/// Renders the audit trail.
pub(super) fn audit(entries: &[AuditEntry], width: usize) -> String {
    let row = |entry: &AuditEntry| Row {
        cells: vec![
            whole_seconds(&entry.at),
            or_dash(Some(&entry.service)),
            entry.action.clone(),
            entry.outcome.clone(),
            or_dash(entry.revision.map(|revision| revision.to_string()).as_deref()),
            or_dash(entry.by.as_deref()),
        ],
        note: entry.reason.clone(),
    };
    let rows: Vec<Row> = entries.iter().map(row).collect();
    table(&["AT", "SERVICE", "ACTION", "OUTCOME", "REVISION", "BY"], &rows, 1, width)
}

/// Renders an event as one line, as long as it is.
pub(super) fn event(event: &Event) -> String {
    let revision = event.revision.map(|revision| format!("@{revision}")).unwrap_or_default();
    let mut line = format!("{}  {:<15}  {}{revision}", event.at, event.kind, event.service);
    if let Some(detail) = &event.detail {
        line.push_str("  ");
        line.push_str(detail);
    }
    if let Some(by) = &event.by {
        line.push_str(&format!("  (by {by})"));
    }
    line.replace(['\n', '\r'], " ")
}

/// A task and, under it, how its last run went.
fn task(task: &Task) -> Row {
    let time = |time: &Option<String>| whole_seconds(&or_dash(time.as_deref()));
    let cells = vec![task.name.clone(), task.schedule.clone(), time(&task.last_started), time(&task.next)];
    let note = task.outcome.as_ref().map(|outcome| match &task.last_ended {
        Some(ended) if outcome != "running" => format!("{outcome}, ended {}", whole_seconds(ended)),
        _ => outcome.clone(),
    });
    Row { cells, note }
}

fn timings(timings: &Timings, width: usize) -> String {
    let steps = [
        ("COMPILE", timings.compile),
        ("LINK", timings.link),
        ("DESCRIBE", timings.describe),
        ("CONTRACT", timings.contract),
        ("MIGRATE", timings.migrate),
        ("ACTIVATE", timings.activate),
        ("TOTAL", timings.total),
    ];
    // A step that was not taken has no time, or none at all has passed in it.
    let taken = steps.iter().filter_map(|&(step, time)| Some((step, milliseconds(time.filter(|&time| time > 0.0)?))));
    let (head, cells): (Vec<&str>, Vec<String>) = taken.unzip();
    if head.is_empty() { String::new() } else { format!("\n{}", table(&head, &[Row::new(cells)], 0, width)) }
}

fn warnings(warnings: &[String], width: usize) -> String {
    warnings.iter().map(|warning| format!("\n{}", indented(&format!("warning: {warning}"), 0, width))).collect()
}

fn share(share: &Share) -> Row {
    let digest = share.digest.strip_prefix("sha256:").unwrap_or(&share.digest);
    Row::new([share.revision.to_string(), format!("{}%", share.weight), digest.to_owned()])
}

/// The revisions that get traffic; the only one without its 100 %.
fn weights(traffic: &[Share]) -> String {
    match traffic {
        [] => "-".to_owned(),
        [Share { revision, weight: 100, .. }] => revision.to_string(),
        shares => {
            let parts: Vec<String> =
                shares.iter().map(|share| format!("{}:{}%", share.revision, share.weight)).collect();
            parts.join(" ")
        }
    }
}

fn limits(limits: &Value) -> String {
    let Some(limits) = limits.as_object() else { return String::new() };
    let parts: Vec<String> = limits.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
    parts.join(", ")
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

fn short(digest: &str) -> String {
    digest.strip_prefix("sha256:").unwrap_or(digest).chars().take(DIGEST).collect()
}

/// A time without what a second is divided into: in a table there is no room for it.
pub(super) fn whole_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}{}", fraction.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => time.to_owned(),
    }
}

/// Whole milliseconds where they say enough, tenths below ten.
fn milliseconds(time: f64) -> String {
    let decimals = if time >= 10.0 || time.fract() == 0.0 { 0 } else { 1 };
    format!("{time:.decimals$} ms")
}

#[cfg(test)]
mod tests;
