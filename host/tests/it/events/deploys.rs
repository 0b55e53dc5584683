//! What may be published and subscribed to, as a component and an operator get to know it.

use serde_json::json;

use super::{heard, listener, say, start};
use crate::support::{Answer, Backend, Setup, TestApp, fixture, service, set};

async fn what_no_event_may_be_is_refused(backend: Backend) {
    let Some((app, _tables)) = start(backend, &[], 3).await else { return };
    for (mode, reason) in
        [("unknown", "names no topic"), ("large", "TooLarge"), ("broken", "JSON"), ("long-key", "255")]
    {
        let answer = say(&app, &format!("?mode={mode}"), "k", "x").await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let error = answer.body["Err"].as_str().expect("an error");
        assert!(error.contains(reason), "{mode}: {error}");
    }
    // A refused event ends nothing: what follows it is heard.
    super::said(&app, "k", "last").await;
    assert_eq!(super::texts(&super::until_heard(&app, "last").await), ["last"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_event_may_be_is_refused_on_sqlite() {
    what_no_event_may_be_is_refused(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_event_may_be_is_refused_on_postgres() {
    what_no_event_may_be_is_refused(Backend::Postgres).await;
}

/// Deploys `notes` with settings.
async fn deploy_notes(app: &TestApp, settings: &[(&str, &str)]) -> Answer {
    let notes = std::fs::read(fixture("notes")).expect("`make test` builds the fixtures");
    app.upload("notes", "", set(&notes, settings)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_that_cannot_be_kept_is_refused() {
    let notes = service("notes", &fixture("notes"), "\"sql\"");
    let app = TestApp::start_as(&Setup { services: &[], more: &notes, ..Setup::default() }).await;
    for (setting, reason) in [
        (("subscription", "emitter.said"), "exports no subscriber"),
        (("topic", "notes.written"), "\"events\""),
        (("topic", "emitter.said"), "its own name"),
        (("topic", "written"), "`<service>.<what>`"),
        (("subscription", "emitter.*"), "`<service>.<what>`"),
    ] {
        let answer = deploy_notes(&app, &[setting]).await;
        assert_eq!((answer.status, &answer.body["type"]), (422, &json!("urn:provesi:problem:invalid-component")));
        let detail = answer.body["detail"].as_str().expect("a reason");
        assert!(detail.contains(reason), "{setting:?}: {detail}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_nobody_serves_is_a_warning() {
    let more = service("listener", &fixture("listener"), "\"sql\"");
    let app = TestApp::start_as(&Setup { services: &[], more: &more, ..Setup::default() }).await;
    let deployed = app.upload("listener", "", listener(&[("slow", "0")])).await;
    let warning = json!(["it subscribes to emitter.said, which no live service publishes"]);
    assert_eq!((deployed.status, &deployed.body["warnings"]), (201, &warning), "{:?}", deployed.body);
    assert!(heard(&app).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_is_replaced_misses_nothing() {
    let (app, _tables) = start(Backend::Sqlite, &[], 10).await.expect("SQLite needs nothing");
    let publish = async {
        for n in 0..100 {
            super::said(&app, &format!("key-{}", n % 4), &n.to_string()).await;
        }
    };
    let replace = async {
        for n in 0..5 {
            let deployed = app.upload("listener", "", listener(&[("slow", &n.to_string())])).await;
            assert_eq!(deployed.status, 201, "{:?}", deployed.body);
            assert_eq!(deployed.body["warnings"], json!([]), "the emitter publishes it");
        }
    };
    futures::join!(publish, replace);
    crate::support::eventually("all are heard", super::SOON, async || heard(&app).await.len() >= 100).await;
    let heard = heard(&app).await;
    assert_eq!(heard.len(), 100);
    super::assert_once_and_in_order(&heard);
    app.stop().await;
}
