//! Two hosts on one PostgreSQL: an event is handled once in effect, whichever of them published it.

use std::time::Duration;

use super::{SOON, Tables, assert_once_and_in_order, heard, listener, metric, said, texts, until_heard};
use crate::support::{Backend, Setup, TestApp, eventually, fixture, service};

/// Longest time until another host goes on with a lease that nobody gave back, and some more for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_hosts_publish_is_handled_once_and_one_goes_on_without_the_other() {
    let tables = Tables::new(&[], 5);
    let Some(first) = TestApp::start_on(Backend::Postgres, &tables.setup()).await else { return };
    let url = first.url();
    let second = TestApp::start_as(&Setup { url: &url, ..tables.setup() }).await;
    let through = async |host: &TestApp, name: &str| {
        for n in 0..100 {
            said(host, &format!("key-{}", n % 5), &format!("{name}-{n}")).await;
        }
    };
    futures::join!(through(&first, "first"), through(&second, "second"));
    eventually("all are heard", SOON, async || heard(&second).await.len() >= 200).await;
    let all = heard(&first).await;
    assert_eq!(all.len(), 200);
    assert_once_and_in_order(&all);

    second.stop().await;
    said(&first, "after", "alone").await;
    let there = async || texts(&heard(&first).await).contains(&"alone");
    eventually("the other host goes on", TAKEN_OVER, there).await;
    assert_once_and_in_order(&until_heard(&first, "alone").await);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_lags_behind_a_deploy_loses_no_event_and_holds_up_none() {
    let emitter = service("emitter", &fixture("emitter"), r#""sql", "events""#);
    let setup = Setup { services: &[], more: &emitter, ..Setup::default() };
    let Some(lagging) = TestApp::start_on(Backend::Postgres, &setup).await else { return };
    let url = lagging.url();
    let setup = Setup { url: &url, ..setup };
    // It is the one that relays: there is no other yet.
    said(&lagging, "early", "to nobody").await;
    let relays = async || metric(&lagging, "provesi_events_published_total", "emitter").await >= 1.0;
    eventually("the first host relays", SOON, relays).await;

    let current = TestApp::start_as(&setup).await;
    let both = Tables::new(&[], 5);
    // What another host activates is followed with what the configuration says of it, which cannot be read here.
    std::fs::write(lagging.folder().join("provesi.toml"), "no = [table").expect("the configuration is written");
    Setup { more: &both.text, ..setup }.write(current.folder());
    let deployed = current.upload("listener", "", listener(&[])).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    let through = async |host: &TestApp, name: &str| {
        for n in 0..20 {
            said(host, &format!("key-{}", n % 4), &format!("{name}-{n}")).await;
        }
    };
    futures::join!(through(&lagging, "lagging"), through(&current, "current"));
    eventually("all are heard", TAKEN_OVER, async || heard(&current).await.len() >= 40).await;
    let all = heard(&current).await;
    assert_eq!(all.len(), 40);
    assert_once_and_in_order(&all);
    assert_eq!(lagging.get("/api/listener/", "").await.status, 404, "it lags behind still");

    Setup { more: &both.text, ..setup }.write(lagging.folder());
    let follows = async || lagging.get("/api/listener/", "").await.status == 200;
    eventually("it follows when it can", SOON, follows).await;
    said(&lagging, "late", "to both").await;
    assert_once_and_in_order(&until_heard(&current, "to both").await);
    current.stop().await;
    lagging.stop().await;
}

/// Returns the subscriber as it was before anybody said anything: it subscribes to another topic.
fn deaf() -> Vec<u8> {
    const SAID: &[u8] = b"emitter.said";
    let mut bytes = listener(&[]);
    let windows = bytes.windows(SAID.len()).enumerate();
    let places: Vec<usize> = windows.filter(|(_, window)| *window == SAID).map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "its topic is written in it");
    for place in places {
        bytes[place..place + SAID.len()].copy_from_slice(b"emitter.sung");
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_lags_behind_a_deploy_leaves_deliveries_to_one_that_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("listener.wasm");
    std::fs::write(&file, deaf()).expect("the component is written");
    let more = service("emitter", &fixture("emitter"), r#""sql", "events""#) + &service("listener", &file, r#""sql""#);
    let setup = Setup { services: &[], more: &more, ..Setup::default() };
    let Some(lagging) = TestApp::start_on(Backend::Postgres, &setup).await else { return };
    let database = lagging.database("provesi_host").await;
    // It is the one that delivers: there is no other yet.
    let held = "SELECT name FROM leases WHERE name = 'deliver/listener'";
    let delivers = async || database.query(held, &[]).await.expect("an answer").count == 1;
    eventually("the first host delivers", SOON, delivers).await;

    let url = lagging.url();
    let current = TestApp::start_as(&Setup { url: &url, ..setup }).await;
    // What another host activates is followed with what the configuration says of it, which cannot be read here.
    std::fs::write(lagging.folder().join("provesi.toml"), "no = [table").expect("the configuration is written");
    let deployed = current.upload("listener", "", listener(&[])).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    for n in 0..20 {
        said(&current, &format!("key-{}", n % 4), &n.to_string()).await;
    }
    eventually("all are heard", TAKEN_OVER, async || heard(&current).await.len() >= 20).await;
    let all = heard(&current).await;
    assert_once_and_in_order(&all);
    assert!(all.iter().all(|heard| heard.attempt == 1), "what a host cannot judge is no attempt: {all:?}");
    database.close().await;
    current.stop().await;
    lagging.stop().await;
}
