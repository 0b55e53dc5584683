//! Denial first: what a guest without the grant, or while it is described, gets.

use super::*;
use wit::Host as _;

#[tokio::test]
async fn without_a_database_every_call_is_unavailable() {
    let (mut ctx, mut table) = (SqlCtx::default(), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    let query = view.query("SELECT 1".to_owned(), Vec::new()).await.expect("no trap");
    assert!(matches!(query, Err(wit::Error::Unavailable)));
    let execute = view.execute("DELETE FROM t".to_owned(), Vec::new()).await.expect("no trap");
    assert!(matches!(execute, Err(wit::Error::Unavailable)));
    let options =
        wit::TransactionOptions { access: wit::AccessMode::ReadWrite, isolation: wit::Isolation::Serializable };
    assert!(matches!(view.begin(options).await.expect("no trap"), Err(wit::Error::Unavailable)));
}

#[tokio::test]
async fn open_transactions_are_few_and_roll_back_with_their_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = db::Storage::sqlite(folder.path().to_owned(), std::time::Duration::from_secs(1)).expect("a folder");
    let bounds = db::Bounds { connections: 8, result_bytes: 1024, statement_bytes: 1024, params_bytes: 1024 };
    let database = Arc::new(storage.open("a", bounds).await.expect("opens"));
    let (mut ctx, mut table) = (SqlCtx::new(Some(database)), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    let options =
        wit::TransactionOptions { access: wit::AccessMode::ReadOnly, isolation: wit::Isolation::ReadCommitted };
    for _ in 0..MAX_OPEN_TRANSACTIONS {
        view.begin(options).await.expect("no trap").expect("begins");
    }
    assert!(matches!(view.begin(options).await.expect("no trap"), Err(wit::Error::TooLarge)));
    drop(table);
    let (mut ctx, mut table) = (SqlCtx::new(ctx.database.clone()), ResourceTable::new());
    let mut view = SqlView::new(&mut ctx, &mut table);
    assert!(view.begin(options).await.expect("no trap").is_ok());
}
