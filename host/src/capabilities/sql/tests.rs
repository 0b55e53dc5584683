//! Denial first: what a guest without the grant, or while it is described, gets; then what it gets too much of.

use std::time::Duration;

use super::*;
use wit::Host as _;

const BOUNDS: db::Bounds = db::Bounds {
    connections: 8,
    result_bytes: 1024,
    statement_bytes: 1024,
    params_bytes: 1024,
    statement_timeout: Duration::from_secs(10),
};

const READS: wit::TransactionOptions =
    wit::TransactionOptions { access: wit::AccessMode::ReadOnly, isolation: wit::Isolation::ReadCommitted };

fn allowance() -> SqlAllowance {
    SqlAllowance { until: Instant::now() + Duration::from_secs(10), statements: 100, transactions: 4 }
}

async fn database(folder: &std::path::Path) -> Arc<Database> {
    let storage = db::Storage::sqlite(folder.to_owned(), Duration::from_secs(5)).expect("a folder");
    Arc::new(storage.open("a", BOUNDS).await.expect("opens"))
}

#[tokio::test]
async fn without_a_database_every_call_ends_the_guest() {
    let (mut ctx, mut table) = (SqlCtx::new(None, None, allowance()), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    let denied = |error: wasmtime::Error| error.downcast_ref::<Denied>().map(Denied::capability) == Some("sql");
    assert!(view.query("SELECT 1".to_owned(), Vec::new()).await.is_err_and(denied));
    assert!(view.execute("DELETE FROM t".to_owned(), Vec::new()).await.is_err_and(denied));
    assert!(view.begin(READS).await.is_err_and(denied));
}

#[tokio::test]
async fn open_transactions_are_few_and_roll_back_with_their_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let (mut ctx, mut table) = (SqlCtx::new(Some(Arc::clone(&database)), None, allowance()), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    let mut last = None;
    for _ in 0..allowance().transactions {
        last = Some(view.begin(READS).await.expect("no trap").expect("begins"));
    }
    assert!(matches!(view.begin(READS).await.expect("no trap"), Err(wit::Error::TooLarge)));
    wit::HostTransaction::drop(&mut view, last.expect("one was begun")).await.expect("no trap");
    view.begin(READS).await.expect("no trap").expect("one is free again");
    drop(table);
    let (mut ctx, mut table) = (SqlCtx::new(Some(database), None, allowance()), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    for _ in 0..allowance().transactions {
        view.begin(READS).await.expect("no trap").expect("all connections are free");
    }
}

#[tokio::test]
async fn statements_are_counted_in_and_out_of_transactions() {
    let folder = tempfile::tempdir().expect("a folder");
    let allowance = SqlAllowance { statements: 3, ..allowance() };
    let database = database(folder.path()).await;
    let (mut ctx, mut table) = (SqlCtx::new(Some(database), None, allowance), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    view.query("SELECT 1".to_owned(), Vec::new()).await.expect("no trap").expect("the first");
    let transaction = view.begin(READS).await.expect("no trap").expect("the second");
    query_in(&mut view, &transaction, "SELECT 1").await.expect("the third");
    assert!(matches!(query_in(&mut view, &transaction, "SELECT 1").await, Err(wit::Error::TooLarge)));
    let another = view.query("SELECT 1".to_owned(), Vec::new()).await.expect("no trap");
    assert!(matches!(another, Err(wit::Error::TooLarge)));
    let committed = wit::HostTransaction::commit(&mut view, transaction).await.expect("no trap");
    committed.expect("what was begun can be ended");
}

#[tokio::test]
async fn nothing_runs_past_the_end_of_the_invocation() {
    const ENDLESS: &str = "SELECT COUNT(*) FROM \
        (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)";
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    let short = SqlAllowance { until: Instant::now() + Duration::from_millis(50), ..allowance() };
    let (mut ctx, mut table) = (SqlCtx::new(Some(database), None, short), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    let query = view.query(ENDLESS.to_owned(), Vec::new()).await.expect("no trap");
    assert!(matches!(query, Err(wit::Error::Timeout)));
}

#[tokio::test]
async fn a_guest_reaches_its_tables_and_not_the_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    assert!(db::ledger::applied(&database).await.expect("there is a ledger now").is_empty());
    let (mut ctx, mut table) = (SqlCtx::new(Some(database), None, allowance()), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    let ledger = "SELECT name FROM provesi_migrations";
    let query = view.query(ledger.to_owned(), Vec::new()).await.expect("no trap");
    assert!(matches!(query, Err(wit::Error::Invalid(_))));
    let transaction = view.begin(READS).await.expect("no trap").expect("begins");
    assert!(matches!(query_in(&mut view, &transaction, ledger).await, Err(wit::Error::Invalid(_))));
}

/// Runs a statement in a transaction.
async fn query_in(
    view: &mut SqlView<'_>,
    transaction: &Resource<GuestTransaction>,
    statement: &str,
) -> Result<wit::Rows, wit::Error> {
    let this = Resource::new_borrow(transaction.rep());
    wit::HostTransaction::query(view, this, statement.to_owned(), Vec::new()).await.expect("no trap")
}

async fn publish(view: &mut SqlView<'_>, topic: &str, payload: &[u8]) -> Result<(), wit::Error> {
    let options =
        wit::TransactionOptions { access: wit::AccessMode::ReadWrite, isolation: wit::Isolation::ReadCommitted };
    let tx = view.begin(options).await.expect("no trap").expect("begins");
    let this = Resource::new_borrow(tx.rep());
    let event = wit::Event { topic: topic.to_owned(), key: "k".to_owned(), payload: payload.to_vec() };
    let published = wit::HostTransaction::publish(view, this, event).await.expect("no trap");
    wit::HostTransaction::commit(view, tx).await.expect("no trap").expect("commits");
    published
}

#[tokio::test]
async fn only_topics_that_were_described_and_granted_are_published() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = database(folder.path()).await;
    db::outbox::create_outbox(&database).await.expect("makes it");
    let (mut ctx, mut table) = (SqlCtx::new(Some(Arc::clone(&database)), None, allowance()), ResourceTable::new());
    let denied = publish(&mut SqlView::new(&mut ctx, &mut table), "a.said", b"1").await;
    assert!(matches!(&denied, Err(wit::Error::Invalid(why)) if why.contains("grant \"events\"")), "{denied:?}");
    let topics = Arc::new(BTreeSet::from(["a.said".to_owned()]));
    let (mut ctx, mut table) =
        (SqlCtx::new(Some(Arc::clone(&database)), Some(topics), allowance()), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    let unknown = publish(&mut view, "a.meant", b"1").await;
    assert!(matches!(&unknown, Err(wit::Error::Invalid(why)) if why.contains("a.meant")), "{unknown:?}");
    assert!(matches!(publish(&mut view, "a.said", b"{").await, Err(wit::Error::Invalid(_))));
    assert!(matches!(publish(&mut view, "a.said", &vec![b'1'; 300_000]).await, Err(wit::Error::TooLarge)));
    publish(&mut view, "a.said", b"1").await.expect("publishes");
    assert_eq!(database.outgoing().await.expect("reads").len(), 1);
}
