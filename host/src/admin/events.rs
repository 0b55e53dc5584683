//! Events as they happen, as server-sent events (`GET /v1/events`).
//!
//! Nothing is kept: a client hears what comes after it has come. One that reads too slowly is told, by an event
//! `lagged`, how many it has missed.

use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::feed::Numbered;

/// Time after which a comment shows both sides that the connection lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers with a stream that ends when the client goes or the host stops.
pub(super) fn answer(receiver: Receiver<Arc<Numbered>>, stop: CancellationToken) -> Response {
    Sse::new(stream(receiver, stop)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn stream(
    receiver: Receiver<Arc<Numbered>>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Event, axum::Error>> + Send + 'static {
    futures::stream::unfold((receiver, stop), |(mut receiver, stop)| async move {
        let event = match stop.run_until_cancelled(receiver.recv()).await? {
            Ok(numbered) => render(&numbered),
            Err(RecvError::Lagged(lost)) => {
                Event::default().event("lagged").json_data(serde_json::json!({ "lost": lost }))
            }
            Err(RecvError::Closed) => return None,
        };
        Some((event, (receiver, stop)))
    })
}

fn render(numbered: &Numbered) -> Result<Event, axum::Error> {
    Event::default().id(numbered.id.to_string()).event(numbered.event.kind.name()).json_data(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{self, Feed, Kind};
    use http_body_util::BodyExt as _;

    fn publish(feed: &Feed, times: usize) {
        for _ in 0..times {
            feed.publish(feed::Event {
                kind: Kind::DeployStep,
                service: "reviews".to_owned(),
                revision: None,
                digest: Some("sha256:00".to_owned()),
                by: None,
                detail: Some("compile".to_owned()),
            });
        }
    }

    async fn text(response: Response) -> String {
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(body.to_vec()).expect("a text")
    }

    #[tokio::test]
    async fn an_event_has_its_number_its_type_and_its_json() {
        let feed = Feed::new();
        let response = answer(feed.subscribe(), CancellationToken::new());
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        publish(&feed, 2);
        drop(feed);
        let text = text(response).await;
        let events: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
        assert_eq!(events.len(), 2, "{text}");
        let lines: Vec<&str> = events[1].lines().collect();
        assert_eq!(lines[..2], ["id: 2", "event: deploy.step"]);
        let json = lines[2].strip_prefix("data: ").expect("data");
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(json["type"], "deploy.step");
        assert_eq!(json["service"], "reviews");
        assert_eq!(json["detail"], "compile");
    }

    #[tokio::test]
    async fn a_slow_client_is_told_how_many_events_it_missed() {
        let feed = Feed::new();
        let response = answer(feed.subscribe(), CancellationToken::new());
        publish(&feed, 1024 + 5);
        drop(feed);
        let text = text(response).await;
        assert!(text.starts_with("event: lagged\ndata: {\"lost\":5}\n\nid: 6\n"), "{}", &text[..200]);
        assert!(text.contains("\nid: 1029\n"));
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_host_stops() {
        let feed = Feed::new();
        let stop = CancellationToken::new();
        let response = answer(feed.subscribe(), stop.clone());
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), text(response)).await;
        assert_eq!(ended.expect("it ends"), "");
    }
}
