//! What a transaction that commits publishes is handled once, whatever comes between; what it does not is never.

use futures::future::join_all;
use provesi::db::{Database, Value};

use super::{assert_once_and_in_order, heard, metric, said, say, start, texts, until_heard};
use crate::support::{Backend, database, eventually};

/// Events of the test of the order, and their keys.
const EVENTS: usize = 500;
const KEYS: usize = 5;

/// Clients that publish at once.
const CLIENTS: usize = 10;

macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        $(mod $test {
            use super::Backend;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::run::$test(Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::run::$test(Backend::Postgres).await;
            }
        })*
    };
}

on_both!(
    what_commits_is_heard_once_and_what_rolls_back_never,
    each_key_stays_in_its_order_under_concurrent_publishers,
    a_failed_attempt_is_repeated_and_leaves_nothing,
    an_event_that_is_delivered_again_has_no_second_effect,
);

mod run {
    use super::*;

    pub(super) async fn what_commits_is_heard_once_and_what_rolls_back_never(backend: Backend) {
        let Some((app, _tables)) = start(backend, &[], 3).await else { return };
        said(&app, "k", "first").await;
        assert_eq!(say(&app, "?mode=rolled-back", "k", "never").await.status, 409);
        said(&app, "k", "last").await;
        // One key: what was rolled back would have come before the last.
        let heard = until_heard(&app, "last").await;
        assert_eq!(texts(&heard), ["first", "last"]);
        assert_once_and_in_order(&heard);
        let delivered = async || metric(&app, "provesi_events_delivered_total", "listener").await >= 2.0;
        eventually("both are counted", super::super::SOON, delivered).await;
        assert!(metric(&app, "provesi_events_published_total", "emitter").await >= 2.0);
        app.stop().await;
    }

    pub(super) async fn each_key_stays_in_its_order_under_concurrent_publishers(backend: Backend) {
        let Some((app, _tables)) = start(backend, &[], 3).await else { return };
        let app_of = &app;
        let clients = (0..CLIENTS).map(|client| async move {
            for n in (client..EVENTS).step_by(CLIENTS) {
                said(app_of, &format!("key-{}", n % KEYS), &n.to_string()).await;
            }
        });
        join_all(clients).await;
        eventually("all are heard", super::super::SOON, async || heard(&app).await.len() >= EVENTS).await;
        let heard = heard(&app).await;
        assert_eq!(heard.len(), EVENTS);
        assert_once_and_in_order(&heard);
        app.stop().await;
    }

    pub(super) async fn a_failed_attempt_is_repeated_and_leaves_nothing(backend: Backend) {
        let settings = [("fail", "hard"), ("times", "2")];
        let Some((app, _tables)) = start(backend, &settings, 5).await else { return };
        said(&app, "k", "hard").await;
        said(&app, "k", "next").await;
        let heard = until_heard(&app, "next").await;
        assert_eq!(texts(&heard), ["hard", "next"], "the next one waits for its turn");
        assert_eq!((heard[0].attempt, heard[1].attempt), (3, 1));
        assert_eq!(metric(&app, "provesi_events_failed_total", "listener").await, 2.0);
        assert_eq!(metric(&app, "provesi_events_dead_total", "listener").await, 0.0);
        app.stop().await;
    }

    pub(super) async fn an_event_that_is_delivered_again_has_no_second_effect(backend: Backend) {
        let Some((app, _tables)) = start(backend, &[], 3).await else { return };
        said(&app, "k", "once").await;
        let event = until_heard(&app, "once").await[0].event.clone();
        let database = app.database("provesi_host").await;
        let handled = async || waiting(&database).await == 0;
        eventually("it is forgotten", super::super::SOON, handled).await;
        deliver_again(&database, &event).await;
        eventually("it was delivered again", super::super::SOON, handled).await;
        said(&app, "k", "last").await;
        assert_eq!(texts(&until_heard(&app, "last").await), ["once", "last"]);
        database.close().await;
        app.stop().await;
    }
}

async fn waiting(database: &Database) -> i64 {
    database::number(database, "SELECT COUNT(*) FROM deliveries", &[]).await
}

/// Does what a broker does that has lost the news of a delivery.
async fn deliver_again(database: &Database, event: &str) {
    let insert = "INSERT INTO events (id, topic, key, source, time_us, payload) \
        VALUES ($1, 'emitter.said', 'k', 'emitter', 1, $2)";
    let payload = br#"{"key": "k", "n": 1, "text": "once"}"#.to_vec();
    database.execute(insert, &[Value::Text(event.to_owned()), Value::Blob(payload)]).await.expect("stores");
    let deliver = "INSERT INTO deliveries (subscriber, event_seq) SELECT 'listener', seq FROM events WHERE id = $1";
    database.execute(deliver, &[Value::Text(event.to_owned())]).await.expect("stores");
}
