//! Dead letters: events that a subscriber could not handle, to be looked at, replayed or discarded.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use humantime_serde::re::humantime::format_rfc3339_micros;
use serde::Serialize;

use super::Admin;
use super::problem::Problem;
use super::query;
use crate::events::{Broker, BrokerError, DeadLetter, DeadLetters, Survey};
use crate::names::ServiceName;
use crate::registry::Actor;

/// The last microsecond that RFC 3339 can name.
const LAST_US: u64 = 253_402_300_799_999_999;

/// Where events wait and dead letters are, and who takes them again.
pub struct Letters {
    /// All of them.
    pub dead: Arc<DeadLetters>,
    /// Hands them to their subscribers again.
    pub broker: Arc<dyn Broker>,
    /// Says how much waits.
    pub survey: Arc<Survey>,
}

/// The number of a dead letter that a path names.
pub(super) struct Id(i64);

/// A dead letter as operators see it.
#[derive(Debug, Serialize)]
pub(super) struct Letter {
    id: i64,
    subscriber: ServiceName,
    topic: String,
    key: String,
    event_id: String,
    source: ServiceName,
    published_at: String,
    attempts: u32,
    reason: String,
    dead_at: String,
    /// Only where one letter is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<serde_json::Value>,
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await.map(|Path(text)| text).unwrap_or_default();
        let shown = || format!("{:?}", text.chars().take(50).collect::<String>());
        text.parse().map(Self).map_err(|_| Problem::NoDeadLetter(shown()))
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        tracing::error!(%error, cause = std::error::Error::source(&error), "dead letters cannot be reached");
        Self::EventsUnavailable(error.to_string())
    }
}

impl From<DeadLetter> for Letter {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { id, subscriber, attempts, reason, dead_us, event } = letter;
        Self {
            id,
            subscriber,
            topic: event.topic,
            key: event.key,
            event_id: event.id,
            source: event.source,
            published_at: rfc3339(event.time_us),
            attempts,
            reason,
            dead_at: rfc3339(dead_us),
            payload: serde_json::from_slice(&event.payload).ok(),
        }
    }
}

/// `GET /v1/dead-letters[?service=…&before=…&limit=…]`, newest first, without payloads.
pub(super) async fn list(State(admin): State<Arc<Admin>>, uri: Uri) -> Result<Json<Vec<Letter>>, Problem> {
    let page = query::dead_letters(&uri)?;
    let letters = admin.letters.dead.list(&page).await.map_err(BrokerError::from)?;
    Ok(Json(letters.into_iter().map(Letter::from).collect()))
}

/// `GET /v1/dead-letters/{id}`.
pub(super) async fn show(State(admin): State<Arc<Admin>>, Id(id): Id) -> Result<Json<Letter>, Problem> {
    Ok(Json(find(&admin, id).await?.into()))
}

/// `POST /v1/dead-letters/{id}/replay`.
pub(super) async fn replay(State(admin): State<Arc<Admin>>, Id(id): Id, actor: Actor) -> Result<Json<Letter>, Problem> {
    let this = Arc::clone(&admin);
    let replay = async move {
        let replayed = this.letters.dead.replay(id, &*this.letters.broker).await?;
        let letter = replayed.ok_or_else(|| Problem::NoDeadLetter(id.to_string()))?;
        this.registry.note_replay(&letter.subscriber, &actor, describe(&letter)).await;
        Ok::<_, Problem>(letter)
    };
    Ok(Json(admin.to_its_end(replay).await?.into()))
}

/// `DELETE /v1/dead-letters/{id}`.
pub(super) async fn discard(State(admin): State<Arc<Admin>>, Id(id): Id, actor: Actor) -> Result<StatusCode, Problem> {
    let this = Arc::clone(&admin);
    let discard = async move {
        let letter = find(&this, id).await?;
        if !this.letters.dead.discard(id).await.map_err(BrokerError::from)? {
            return Err(Problem::NoDeadLetter(id.to_string()));
        }
        this.registry.note_discard(&letter.subscriber, &actor, describe(&letter)).await;
        Ok(())
    };
    admin.to_its_end(discard).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(admin: &Admin, id: i64) -> Result<DeadLetter, Problem> {
    let found = admin.letters.dead.find(id).await.map_err(BrokerError::from)?;
    found.ok_or_else(|| Problem::NoDeadLetter(id.to_string()))
}

/// What the audit trail says of it: the letter itself is gone.
fn describe(letter: &DeadLetter) -> String {
    let DeadLetter { id, event, .. } = letter;
    format!("dead letter {id}: {} of {}, event {}", event.topic, event.key, event.id)
}

fn rfc3339(us: i64) -> String {
    let since = Duration::from_micros(u64::try_from(us).unwrap_or_default().min(LAST_US));
    format_rfc3339_micros(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Event;

    fn letter(payload: &[u8]) -> DeadLetter {
        let event = Event {
            id: "e-1".to_owned(),
            topic: "a.said".to_owned(),
            key: "k".to_owned(),
            source: "a".parse().expect("a name"),
            time_us: 1_500_000,
            payload: payload.to_vec(),
        };
        let (subscriber, reason) = ("b".parse().expect("a name"), "no".to_owned());
        DeadLetter { id: 7, subscriber, attempts: 3, reason, dead_us: i64::MAX, event }
    }

    #[test]
    fn a_letter_is_shown_with_times_in_utc_and_its_payload_as_json() {
        let shown = serde_json::to_value(Letter::from(letter(br#"{"x": 1}"#))).expect("JSON");
        let expected = serde_json::json!({
            "id": 7,
            "subscriber": "b",
            "topic": "a.said",
            "key": "k",
            "event_id": "e-1",
            "source": "a",
            "published_at": "1970-01-01T00:00:01.500000Z",
            "attempts": 3,
            "reason": "no",
            "dead_at": "9999-12-31T23:59:59.999999Z",
            "payload": {"x": 1},
        });
        assert_eq!(shown, expected);
        let listed = serde_json::to_value(Letter::from(letter(b""))).expect("JSON");
        assert!(listed.get("payload").is_none());
    }

    #[test]
    fn the_audit_trail_names_the_event() {
        assert_eq!(describe(&letter(b"1")), "dead letter 7: a.said of k, event e-1");
    }
}
