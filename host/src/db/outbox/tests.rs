//! What commits is in the outbox, in order; what does not is not. On SQLite; `tests/it` runs both databases.

use super::*;
use crate::db::{Bounds, Storage, TransactionOptions};

const WRITE: TransactionOptions = TransactionOptions { writes: true, serializable: false };

async fn database(folder: &std::path::Path) -> Database {
    let storage = Storage::sqlite(folder.to_owned(), Duration::from_secs(1)).expect("a folder");
    // Smaller than any event: the bounds are the service's, the outbox is the host's.
    let bounds = Bounds {
        connections: 2,
        result_bytes: 1 << 10,
        statement_bytes: 512,
        params_bytes: 256,
        statement_timeout: Duration::from_secs(10),
    };
    let database = storage.open("a", bounds).await.expect("opens");
    create_outbox(&database).await.expect("makes it");
    create_outbox(&database).await.expect("knows it");
    create_inbox(&database).await.expect("makes it");
    database
}

async fn publish(database: &Database, keys: &[&str]) {
    let mut tx = database.begin(WRITE).await.expect("begins");
    for key in keys {
        tx.publish("a.said", key, b"{}".to_vec()).await.expect("publishes");
    }
    tx.commit().await.expect("commits");
}

async fn keys(database: &Database) -> Vec<String> {
    database.outgoing().await.expect("reads").into_iter().map(|event| event.key).collect()
}

#[tokio::test]
async fn an_event_is_there_if_and_only_if_its_transaction_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let told = std::sync::Arc::clone(database.published());
    let mut told = std::pin::pin!(told.notified());
    let mut tx = database.begin(WRITE).await.expect("begins");
    tx.publish("a.said", "lost", b"{}".to_vec()).await.expect("publishes");
    drop(tx);
    assert_eq!(keys(&database).await, [""; 0]);
    assert!(futures::poll!(told.as_mut()).is_pending(), "nobody is told of what was rolled back");
    publish(&database, &["x", "y", "x"]).await;
    assert!(futures::poll!(told.as_mut()).is_ready());
    assert_eq!(keys(&database).await, ["x", "y", "x"]);
}

#[tokio::test]
async fn what_is_forgotten_is_exactly_what_was_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    publish(&database, &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let read = database.outgoing().await.expect("reads");
    assert_eq!(read.len(), 200);
    publish(&database, &["later"]).await;
    database.forget_outgoing(&read).await.expect("forgets");
    assert_eq!(keys(&database).await, ["later"]);
    database.forget_outgoing(&[]).await.expect("nothing to forget");
}

#[tokio::test]
async fn a_batch_is_bounded_in_events_and_in_bytes_but_never_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let mut tx = database.begin(WRITE).await.expect("begins");
    let large = format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 2)).into_bytes();
    for _ in 0..20 {
        tx.publish("a.said", "k", large.clone()).await.expect("publishes");
    }
    for _ in 0..300 {
        tx.publish("a.said", "k", b"1".to_vec()).await.expect("publishes");
    }
    tx.commit().await.expect("commits");
    let first = database.outgoing().await.expect("reads");
    assert_eq!(first.len(), 16, "as many as have 4 MiB");
    database.forget_outgoing(&first).await.expect("forgets");
    let second = database.outgoing().await.expect("reads");
    assert_eq!(second.len(), 256);
    assert!(second.is_sorted_by_key(|event| event.seq));
}

#[tokio::test]
async fn what_no_event_may_be_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let mut tx = database.begin(WRITE).await.expect("begins");
    let large = format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 1)).into_bytes();
    assert!(matches!(tx.publish("a.said", "k", large).await, Err(SqlError::TooLarge)));
    for payload in [&b""[..], b"{", b"{} {}", b"\xff", b"\"\xff\""] {
        let refused = tx.publish("a.said", "k", payload.to_vec()).await;
        assert!(matches!(&refused, Err(SqlError::Invalid(why)) if why.contains("JSON")), "{refused:?}");
    }
    for key in ["x".repeat(256), "a\0b".to_owned()] {
        let refused = tx.publish("a.said", &key, b"1".to_vec()).await;
        assert!(matches!(&refused, Err(SqlError::Invalid(why)) if why.contains("255")), "{refused:?}");
    }
    tx.publish("a.said", &"x".repeat(255), b"1".to_vec()).await.expect("the longest key");
    tx.commit().await.expect("a refusal ends no transaction");
    assert_eq!(keys(&database).await.len(), 1);
}

#[tokio::test]
async fn only_what_was_handled_long_ago_is_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let day = 24 * 60 * 60 * 1_000_000;
    for (id, age) in [("old", 31 * day), ("young", 29 * day)] {
        let row = [Value::Text(id.to_owned()), Value::Integer(now_us() - age)];
        let insert = "INSERT INTO provesi_inbox (event_id, handled_us) VALUES ($1, $2)";
        database.execute(insert, &row).await.expect("stores");
    }
    assert_eq!(database.forget_handled(&CancellationToken::new()).await.expect("forgets"), 1);
    let rows = database.query("SELECT event_id FROM provesi_inbox", &[]).await.expect("reads");
    assert_eq!(rows.rows().flatten().collect::<Vec<_>>(), [Cell::Text("young")]);
}

#[tokio::test]
async fn a_host_that_stops_forgets_no_more() {
    // More than one statement forgets.
    const OLD: i64 = 1500;
    const FILL: &str = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) \
        INSERT INTO provesi_inbox (event_id, handled_us) SELECT CAST(n AS TEXT), n FROM numbers";
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    database.host_execute(FILL, &[Value::Integer(OLD)]).await.expect("stores");
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(database.forget_handled(&stop).await.expect("answers"), 0);
    let all = database.forget_handled(&CancellationToken::new()).await.expect("forgets");
    assert_eq!(all, OLD.unsigned_abs(), "all of them are there still");
}
