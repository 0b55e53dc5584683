//! `kill -9` in the middle: what was committed is heard, once.

use std::time::Duration;

use futures::future::join_all;
use rand::Rng as _;
use serde_json::{Value, json};

use super::{Heard, SOON, Tables, assert_once_and_in_order};
use crate::support::{Backend, Process, eventually, send, try_send};

/// Kills, and clients that publish until they come.
const KILLS: usize = 5;
const CLIENTS: usize = 4;

/// Time that a started host has before it is killed, in milliseconds.
const LIFE_MS: std::ops::RangeInclusive<u64> = 100..=800;

async fn what_was_committed_outlives_kills(backend: Backend) {
    let tables = Tables::new(&[("slow", "5")], 10);
    let Some(mut process) = Process::start_as(backend, &tables.setup()).await else { return };
    let mut acknowledged = Vec::new();
    for kill in 0..KILLS {
        let base = process.base().to_owned();
        let clients = join_all((0..CLIENTS).map(|client| publish_until_gone(&base, kill, client)));
        let life = Duration::from_millis(rand::rng().random_range(LIFE_MS));
        let killed = async {
            tokio::time::sleep(life).await;
            process.kill9();
        };
        let (answers, ()) = futures::join!(clients, killed);
        acknowledged.extend(answers.into_iter().flatten());
        process.start_again().await;
    }
    let committed = list(&process, "/api/emitter/").await;
    assert!(!acknowledged.is_empty(), "nothing was published before the kills");
    for saying in &acknowledged {
        assert!(committed.contains(saying), "{saying} was acknowledged and is lost");
    }
    let all = async || list(&process, "/api/listener/").await.len() >= committed.len();
    eventually("all that was committed is heard", SOON, all).await;
    let heard: Vec<Heard> =
        serde_json::from_value(list(&process, "/api/listener/").await.into()).expect("what was heard");
    assert_eq!(heard.len(), committed.len());
    assert_once_and_in_order(&heard);
    process.terminate();
    assert!(process.end().await.success());
}

/// Publishes with a key of its own and with a common one, and returns what was acknowledged.
async fn publish_until_gone(base: &str, kill: usize, client: usize) -> Vec<Value> {
    let http = reqwest::Client::new();
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let key = if n % 2 == 0 { "common".to_owned() } else { format!("own-{client}") };
        let body = json!({ "key": key, "text": format!("{kill}-{client}-{n}") });
        match try_send(http.post(format!("{base}/api/emitter/")).json(&body)).await {
            Some(answer) if answer.status == 201 => acknowledged.push(answer.body),
            // Busy, or in the middle of its end.
            Some(_) => {}
            None => break,
        }
    }
    acknowledged
}

async fn list(process: &Process, path: &str) -> Vec<Value> {
    let answer = send(process.request("GET", path)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body.as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_outlives_kills_on_sqlite() {
    what_was_committed_outlives_kills(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_outlives_kills_on_postgres() {
    what_was_committed_outlives_kills(Backend::Postgres).await;
}
