//! `kill -9` in the middle: what was committed is heard, once.
//!
//! Every test run has the short form; `PROVESI_SOAK=1` (`make soak`) asks for the full one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use rand::Rng as _;
use serde_json::{Value, json};

use super::{Heard, Tables, assert_once_and_in_order};
use crate::support::soak::{self, say};
use crate::support::{Backend, Process, eventually, send, try_send};

/// Clients that publish until a kill comes.
const CLIENTS: usize = 4;

/// Longest wait for what many kills have left: on PostgreSQL a host that was killed keeps others from delivering until
/// its leases end, so nearly all of it.
const DELIVERED: Duration = Duration::from_secs(300);

/// Time that a started host has before it is killed, in milliseconds.
const LIFE_MS: std::ops::RangeInclusive<u64> = 100..=800;

/// How much is done.
struct Form {
    kills: usize,
    /// Pause between two events of a client, in milliseconds: half of all have one key, and each is handled for 5 ms.
    pause_ms: std::ops::RangeInclusive<u64>,
}

impl Form {
    fn chosen() -> Self {
        if soak::is_full() { Self { kills: 100, pause_ms: 0..=60 } } else { Self { kills: 5, pause_ms: 0..=5 } }
    }
}

async fn what_was_committed_outlives_kills(backend: Backend) {
    let form = Form::chosen();
    let tables = Tables::new(&[("slow", "5")], 10);
    let Some(mut process) = Process::start_as(backend, &tables.setup()).await else { return };
    let mut acknowledged = Vec::new();
    for kill in 0..form.kills {
        let base = process.base().to_owned();
        let clients = join_all((0..CLIENTS).map(|client| publish_until_gone(&base, kill, client, &form)));
        let life = Duration::from_millis(rand::rng().random_range(LIFE_MS));
        let killed = async {
            tokio::time::sleep(life).await;
            process.kill9();
        };
        let (answers, ()) = futures::join!(clients, killed);
        acknowledged.extend(answers.into_iter().flatten());
        process.start_again().await;
    }
    assert!(!acknowledged.is_empty(), "nothing was published before the kills");
    let committed: BTreeSet<String> = list(&process, "/api/emitter/").await.iter().map(ToString::to_string).collect();
    for saying in &acknowledged {
        assert!(committed.contains(&saying.to_string()), "{saying} was acknowledged and is lost");
    }
    let all = async || list(&process, "/api/listener/").await.len() >= committed.len();
    eventually("all that was committed is heard", DELIVERED, all).await;
    let heard: Vec<Heard> =
        serde_json::from_value(list(&process, "/api/listener/").await.into()).expect("what was heard");
    assert_eq!(heard.len(), committed.len());
    assert_once_and_in_order(&heard);
    let later = heard.iter().filter(|heard| heard.attempt > 1).count();
    process.terminate();
    assert!(process.end().await.success());
    say(&format!(
        "kills under events on {backend:?}: {} kills, {} events acknowledged, {} committed and heard, 0 lost, 0 heard \
         twice, {later} not at the first attempt",
        form.kills,
        acknowledged.len(),
        heard.len()
    ));
}

/// Publishes with a key of its own and with a common one, and returns what was acknowledged.
async fn publish_until_gone(base: &str, kill: usize, client: usize, form: &Form) -> Vec<Value> {
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
        let pause = rand::rng().random_range(form.pause_ms.clone());
        tokio::time::sleep(Duration::from_millis(pause)).await;
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
