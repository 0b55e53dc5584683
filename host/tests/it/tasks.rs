//! Tasks: again and again on one host, once per interval on two, and again after a kill in a run.

use std::time::Duration;

use provesi::db;
use serde_json::{Value, json};

use crate::deployments::revisions::read;
use crate::support::{Backend, Postgres, Process, Setup, TestApp, eventually, fixture, send, service, set, try_send};

/// Longest wait for a few runs, 300 ms apart.
const BOUND: Duration = Duration::from_secs(30);

/// The owner's requirement: what a crash has cut short is taken up within a minute.
const MINUTE: Duration = Duration::from_secs(60);

/// Pause between two runs of the task `tick`, in microseconds.
const PAUSE: i64 = 300_000;

fn table(component: &std::path::Path) -> String {
    service("ticking", component, "\"sql\"")
}

/// Returns when a task has run.
async fn runs(app: &TestApp, task: &str) -> Vec<i64> {
    let answer = app.get(&format!("/api/ticking/{task}/"), "").await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    serde_json::from_value(answer.body).expect("times")
}

/// Waits for a number of runs of `tick`, and checks that each came a pause after the one before.
async fn ticks(app: &TestApp, count: usize) -> usize {
    eventually("the task runs", BOUND, async || runs(app, "tick").await.len() >= count).await;
    let runs = runs(app, "tick").await;
    for pair in runs.windows(2) {
        assert!(pair[1] - pair[0] >= PAUSE, "twice in one interval: {runs:?}");
    }
    runs.len()
}

/// Returns a task as operators see it.
async fn status(app: &TestApp, task: &str) -> Value {
    let answer = send(app.operate("GET", "/v1/services/ticking")).await;
    let tasks = answer.body["tasks"].as_array().expect("tasks").clone();
    tasks.into_iter().find(|found| found["name"] == task).expect("the task is described")
}

async fn tasks_run_and_operators_see_them(backend: Backend) {
    let more = table(&fixture("ticking"));
    let setup = Setup { services: &[], more: &more, ..Setup::default() };
    let Some(app) = TestApp::start_on(backend, &setup).await else { return };
    ticks(&app, 4).await;
    eventually("a run is done", BOUND, async || status(&app, "tick").await["outcome"] == "done").await;
    let tick = status(&app, "tick").await;
    assert_eq!(tick["schedule"], "every 300ms");
    for time in ["last_started", "last_ended", "next"] {
        assert!(tick[time].as_str().is_some_and(|time| time.ends_with('Z')), "{time}: {tick}");
    }
    let once = async || status(&app, "stuck").await["outcome"] == "done";
    eventually("a task with a long interval runs at the start", BOUND, once).await;
    assert_eq!(runs(&app, "stuck").await.len(), 1);
    assert_eq!(runs(&app, "nightly").await.len(), 0, "a cron expression waits for its time");
    assert_eq!(status(&app, "nightly").await["schedule"], "cron 30 4 29 2 *");
    app.stop().await;
}

mod tasks_run_at_the_start_and_again {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        tasks_run_and_operators_see_them(Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        tasks_run_and_operators_see_them(Backend::Postgres).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_run_a_task_once_per_interval_and_one_alone_goes_on() {
    let Some(postgres) = Postgres::start() else { return };
    let (url, more) = (postgres.url(), table(&fixture("ticking")));
    let setup = Setup { services: &[], url: &url, more: &more, ..Setup::default() };
    let (first, second) = (TestApp::start_as(&setup).await, TestApp::start_as(&setup).await);
    let so_far = ticks(&second, 10).await;
    // Both tell the same, whoever ran it.
    for host in [&first, &second] {
        assert_eq!(runs(host, "stuck").await.len(), 1);
        eventually("it is done", BOUND, async || status(host, "stuck").await["outcome"] == "done").await;
    }
    assert_eq!(status(&first, "stuck").await, status(&second, "stuck").await);
    first.stop().await;
    ticks(&second, so_far + 4).await;
    second.stop().await;
}

/// Starts a host, kills it in the first run of `stuck`, and returns it.
async fn killed_in_a_run(backend: Backend, more: &str) -> Option<Process> {
    let mut process = Process::start_as(backend, &Setup { services: &[], more, ..Setup::default() }).await?;
    let started = async || {
        let answer = try_send(process.request("GET", "/api/ticking/stuck/")).await;
        answer.is_some_and(|answer| answer.body.as_array().is_some_and(|runs| runs.len() == 1))
    };
    eventually("the task has begun", BOUND, started).await;
    process.kill9();
    Some(process)
}

fn stuck() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join("stuck.wasm");
    std::fs::write(&component, set(&read(&fixture("ticking")), &[("stuck", "yes")])).expect("a component is written");
    let more = table(&component);
    (folder, more)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_a_killed_host_is_made_up_for_by_another() {
    let (_folder, more) = stuck();
    let Some(process) = killed_in_a_run(Backend::Postgres, &more).await else { return };
    let url = process.url();
    let app = TestApp::start_as(&Setup { services: &[], url: &url, more: &more, ..Setup::default() }).await;
    eventually("the other host runs it", MINUTE, async || runs(&app, "stuck").await.len() == 2).await;
    eventually("its run is done", BOUND, async || status(&app, "stuck").await["outcome"] == "done").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_of_a_killed_host_is_free_when_the_clock_was_put_back_since() {
    // An hour seen from the other side: the claim began an hour later.
    const LATER: &str = "UPDATE tasks SET started_us = started_us + $1, until_us = until_us + $1 WHERE name = 'stuck'";
    let (_folder, more) = stuck();
    let Some(process) = killed_in_a_run(Backend::Postgres, &more).await else { return };
    let url = process.url();
    let database = process.database("provesi_host").await;
    assert_eq!(database.execute(LATER, &[db::Value::Integer(3_600_000_000)]).await.expect("an answer"), 1);
    database.close().await;
    let app = TestApp::start_as(&Setup { services: &[], url: &url, more: &more, ..Setup::default() }).await;
    eventually("the other host runs it", MINUTE, async || runs(&app, "stuck").await.len() == 2).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_with_files_of_its_own_does_not_wait_for_itself() {
    let (_folder, more) = stuck();
    let mut process = killed_in_a_run(Backend::Sqlite, &more).await.expect("SQLite needs nothing");
    process.start_again().await;
    let again = async || {
        let answer = send(process.request("GET", "/api/ticking/stuck/")).await;
        answer.body.as_array().is_some_and(|runs| runs.len() == 2)
    };
    // Its claim would last for 15 s.
    eventually("it runs at the start", Duration::from_secs(10), again).await;
    let request = process.request("GET", "/api/ticking/nightly/");
    assert_eq!(send(request).await.body, json!([]));
}
