//! `events list|show|replay|discard`: dead letters, the events that a service could not handle.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::answers::DeadLetter;
use super::client::Client;
use super::failure::Failure;
use super::host::Host;
use super::layout::{Row, field, indented, table};
use super::screen;
use super::show::{or_dash, whole_seconds};
use crate::names::ServiceName;

/// What is done with dead letters.
#[derive(Subcommand)]
pub(super) enum Letters {
    /// Lists the events that a service could not handle, the newest first.
    List {
        /// Name of the service that could not [default: all].
        service: Option<ServiceName>,
        /// Letters at most.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Only those before this one: the next page.
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        #[command(flatten)]
        host: Host,
    },
    /// Shows one of them with its payload.
    Show(One),
    /// Hands one to its service again.
    Replay(One),
    /// Forgets one.
    Discard(One),
}

/// Which dead letter is meant.
#[derive(clap::Args)]
pub(super) struct One {
    /// Its number, as `list` shows it.
    id: i64,
    #[command(flatten)]
    host: Host,
}

impl Letters {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        match self {
            Self::List { service, limit, before, host } => {
                let service = service.as_ref().map(|name| format!("&service={name}")).unwrap_or_default();
                let before = before.map(|id| format!("&before={id}")).unwrap_or_default();
                let answer = client.get(&format!("/v1/dead-letters?limit={limit}{service}{before}")).await?;
                screen::show(&answer, host.json, |letters: &Vec<DeadLetter>| listed(letters, screen::WIDTH))
            }
            Self::Show(One { id, host }) => {
                let answer = client.get(&format!("/v1/dead-letters/{id}")).await?;
                screen::show(&answer, host.json, |letter| shown(letter, screen::WIDTH))
            }
            Self::Replay(One { id, host }) => {
                let answer = client.send(Method::POST, &format!("/v1/dead-letters/{id}/replay"), &json!({})).await?;
                screen::show(&answer, host.json, |letter: &DeadLetter| {
                    format!("{} of {} goes to {} again", letter.topic, letter.key, letter.subscriber)
                })
            }
            Self::Discard(One { id, host }) => {
                let answer = client.delete(&format!("/v1/dead-letters/{id}")).await?;
                if host.json { screen::raw(&answer) } else { screen::text(&format!("dead letter {id} is discarded")) }
            }
        }
    }

    pub(super) fn host(&self) -> &Host {
        match self {
            Self::List { host, .. } => host,
            Self::Show(one) | Self::Replay(one) | Self::Discard(one) => &one.host,
        }
    }
}

fn listed(letters: &[DeadLetter], width: usize) -> String {
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let row = |letter: &DeadLetter| Row {
        cells: vec![
            letter.id.to_string(),
            letter.subscriber.clone(),
            letter.topic.clone(),
            or_dash(Some(&letter.key)),
            or_dash(letter.attempts.map(|attempts| attempts.to_string()).as_deref()),
            whole_seconds(&or_dash(letter.dead_at.as_deref())),
        ],
        note: Some(letter.reason.clone()),
    };
    let rows: Vec<Row> = letters.iter().map(row).collect();
    table(&["ID", "SERVICE", "TOPIC", "KEY", "ATTEMPTS", "GIVEN UP"], &rows, 3, width)
}

fn shown(letter: &DeadLetter, width: usize) -> String {
    let attempts = letter.attempts.map(|attempts| attempts.to_string());
    let mut text = String::new();
    for (name, value) in [
        ("id", letter.id.to_string()),
        ("service", letter.subscriber.clone()),
        ("topic", letter.topic.clone()),
        ("key", letter.key.clone()),
        ("event", letter.event_id.clone()),
        ("publisher", letter.source.clone()),
        ("published", or_dash(letter.published_at.as_deref())),
        ("attempts", or_dash(attempts.as_deref())),
        ("given up", or_dash(letter.dead_at.as_deref())),
        ("reason", letter.reason.clone()),
    ] {
        text.push_str(&field(name, &value, width));
    }
    let payload = serde_json::to_string_pretty(&letter.payload).unwrap_or_default();
    text.push_str(&format!("\npayload\n{}", indented(&payload, 2, width)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        serde_json::from_value(json!({
            "id": 7, "subscriber": "b", "topic": "a.said", "key": "k", "event_id": "e-1", "source": "a",
            "published_at": "2026-01-02T03:04:05.678901Z", "attempts": 3, "reason": "no room",
            "dead_at": "2026-01-02T03:05:05.678901Z", "payload": {"x": 1},
        }))
        .expect("a letter")
    }

    #[test]
    fn a_list_has_a_row_for_each_with_its_reason_under_it() {
        assert_eq!(listed(&[], 80), "no dead letters");
        let text = listed(&[letter()], 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "ID  SERVICE  TOPIC   KEY  ATTEMPTS  GIVEN UP");
        assert_eq!(lines[1], "7   b        a.said  k    3         2026-01-02T03:05:05Z");
        assert_eq!(lines[2].trim(), "no room");
    }

    #[test]
    fn one_is_shown_with_its_payload() {
        let text = shown(&letter(), 80);
        assert!(text.contains("publisher   a\n"), "{text}");
        assert!(text.contains("reason      no room\n"), "{text}");
        assert!(text.contains("\"x\": 1"), "{text}");
    }
}
