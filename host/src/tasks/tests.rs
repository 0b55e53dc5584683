//! Turns of a host that is alone, on SQLite; `tests/it` runs two hosts on PostgreSQL.

use std::path::Path;
use std::time::Instant;

use super::*;
use crate::db::{Bounds, Storage};

const LONGEST: Duration = Duration::from_secs(10);

async fn database(folder: &Path) -> Arc<Database> {
    let storage = Storage::sqlite(folder.to_owned(), Duration::from_secs(5)).expect("a folder");
    let bounds = Bounds {
        connections: 2,
        result_bytes: 1 << 20,
        statement_bytes: 4096,
        params_bytes: 4096,
        statement_timeout: Duration::from_secs(10),
    };
    Arc::new(storage.open("host", bounds).await.expect("opens"))
}

async fn board(database: &Arc<Database>) -> Board {
    Board::open(Arc::clone(database), Sharing::Alone).await.expect("opens")
}

fn key(name: &str) -> TaskKey {
    TaskKey { service: "a".parse().expect("a name"), name: name.to_owned() }
}

fn every(interval: Duration) -> Schedule {
    Schedule::every(interval).expect("an interval")
}

async fn claim(board: &Board, key: &TaskKey, schedule: &Schedule) -> Turn {
    board.claim(key, schedule, LONGEST).await.expect("an answer")
}

async fn end(board: &Board, key: &TaskKey, schedule: &Schedule, outcome: TaskOutcome) {
    board.end(key, schedule, &outcome).await.expect("an answer");
}

async fn outcome(board: &Board) -> Option<String> {
    board.runs().await.expect("an answer").remove(0).outcome
}

#[tokio::test]
async fn a_task_runs_at_once_and_an_interval_after_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let board = board(&database(folder.path()).await).await;
    let (key, schedule) = (key("tidy"), every(Duration::from_millis(100)));
    assert_eq!(claim(&board, &key, &schedule).await, Turn::Run);
    assert_eq!(outcome(&board).await.as_deref(), Some("running"));
    let before = Instant::now();
    end(&board, &key, &schedule, TaskOutcome::Done).await;
    let runs = board.runs().await.expect("an answer").remove(0);
    assert_eq!((runs.service.as_str(), runs.name.as_str(), runs.outcome.as_deref()), ("a", "tidy", Some("done")));
    assert_eq!(Some(runs.next_us), runs.ended_us.map(|ended| ended + 100_000));
    assert!(runs.started_us.is_some_and(|started| Some(started) <= runs.ended_us));
    while let Turn::Wait(wait) = claim(&board, &key, &schedule).await {
        assert!(wait <= Duration::from_millis(100));
        tokio::time::sleep(wait).await;
    }
    assert!(before.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_shorter_interval_counts_from_when_it_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let board = board(&database(folder.path()).await).await;
    let (key, hour) = (key("tidy"), every(Duration::from_secs(3600)));
    assert_eq!(claim(&board, &key, &hour).await, Turn::Run);
    end(&board, &key, &hour, TaskOutcome::Done).await;
    let Turn::Wait(wait) = claim(&board, &key, &hour).await else { panic!("it has just run") };
    assert!(wait > Duration::from_secs(3000));
    let Turn::Wait(wait) = claim(&board, &key, &every(Duration::from_secs(10))).await else { panic!("at once") };
    assert!(wait <= Duration::from_secs(10));
}

#[tokio::test]
async fn a_run_that_was_cut_short_is_due_again_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let (key, hour) = (key("tidy"), every(Duration::from_secs(3600)));
    let first = board(&database).await;
    assert_eq!(claim(&first, &key, &hour).await, Turn::Run);
    end(&first, &key, &hour, TaskOutcome::Stopped).await;
    assert_eq!(outcome(&first).await.as_deref(), Some("stopped"));
    assert_eq!(claim(&first, &key, &hour).await, Turn::Run);
    drop(first);
    // As after kill -9.
    let second = board(&database).await;
    assert_eq!(outcome(&second).await.as_deref(), Some("interrupted"));
    assert_eq!(claim(&second, &key, &hour).await, Turn::Run);
}

#[tokio::test]
async fn a_time_of_a_cron_expression_that_passed_meanwhile_is_made_up_for_once() {
    const PAST: &str = "INSERT INTO tasks (service, name, schedule, next_us) VALUES ($1, $2, $3, 1000000)";
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    drop(board(&database).await);
    let [kept, changed, new] = ["kept", "changed", "new"].map(key);
    for (key, schedule) in [(&kept, "cron 30 4 29 2 *"), (&changed, "cron 0 0 * * *")] {
        let [service, name] = key.params();
        database.execute(PAST, &[service, name, Value::Text(schedule.to_owned())]).await.expect("stores");
    }
    let board = board(&database).await;
    let schedule = Schedule::cron("30 4 29 2 *").expect("a schedule");
    assert_eq!(claim(&board, &kept, &schedule).await, Turn::Run);
    end(&board, &kept, &schedule, TaskOutcome::Done).await;
    for key in [kept, changed, new] {
        assert!(matches!(claim(&board, &key, &schedule).await, Turn::Wait(_)), "{key:?}");
    }
}

#[tokio::test]
async fn a_reason_is_kept_in_part_and_without_what_cannot_be_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let board = board(&database(folder.path()).await).await;
    let (key, schedule) = (key("tidy"), every(Duration::from_secs(60)));
    assert_eq!(claim(&board, &key, &schedule).await, Turn::Run);
    let reason = format!("two\nlines\0 and {}", "ñ".repeat(1000));
    end(&board, &key, &schedule, TaskOutcome::Failed(reason)).await;
    let kept = outcome(&board).await.expect("a text");
    assert!(kept.starts_with("failed: twolines and ñ") && kept.len() <= MAX_OUTCOME, "{kept}");
}
