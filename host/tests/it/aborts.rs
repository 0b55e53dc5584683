//! Guests that are cut short in the middle of a transaction, in random ways: nothing of it is kept, no session is left
//! in it, and no lock.
//!
//! Every test run has the short form; `PROVESI_SOAK=1` (`make soak`) asks for the full one. `PROVESI_SOAK_SEED`
//! repeats the choices of an earlier run, though not what the machine made of them.

use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use sqlx::PgPool;

use crate::support::soak::{self, say};
use crate::support::{Backend, Setup, TestApp, eventually, fixture, service};

/// Clients at once; SQLite has one writer, and who waits for it is in no transaction.
const CLIENTS: usize = 3;

/// What the accounts of the component hold together.
const TOTAL: i64 = 8000;

/// How transfers end; see the component.
const ENDS: [&str; 8] = ["commit", "commit", "drop", "trap", "trap", "memory", "loop", "statement"];

/// Patience of a client that goes away, in milliseconds: before the transaction, within it, or after.
const PATIENCE_MS: std::ops::RangeInclusive<u64> = 1..=80;

/// Longest wait for an answer, and for the end of what was cut short.
const BOUND: Duration = Duration::from_secs(30);

mod sums_are_kept_and_no_session_stays_in_a_transaction_however_guests_end {
    use super::{Backend, sums_outlive_aborts};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        sums_outlive_aborts(Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        sums_outlive_aborts(Backend::Postgres).await;
    }
}

/// How much is done, and by which choices.
struct Form {
    aborts: usize,
    seed: u64,
}

impl Form {
    fn chosen() -> Self {
        let seed = soak::seed().unwrap_or_else(rand::random);
        Self { aborts: if soak::is_full() { 10_000 } else { 300 }, seed }
    }
}

/// How the transfers of a client ended.
#[derive(Default)]
struct Tally {
    committed: usize,
    /// Transactions that were dropped or cut short, by the guest or by its end.
    aborted: usize,
    /// Of these, those whose client went away.
    left: usize,
    /// Those that could not even begin, or got no turn.
    refused: usize,
}

async fn sums_outlive_aborts(backend: Backend) {
    // A breaker would keep away most of what is to be cut short.
    let keys = "limits = { deadline = \"150ms\", memory = \"16MiB\" }\nbreaker = { enabled = false }\n";
    let more = service("faulty", &fixture("faulty"), "\"sql\"") + keys;
    let setup = Setup { services: &[], more: &more, ..Setup::default() };
    let Some(app) = TestApp::start_on(backend, &setup).await else { return };
    let form = Form::chosen();
    say(&format!("aborts on {backend:?}: seed {}", form.seed));
    let mut rng = StdRng::seed_from_u64(form.seed);
    let each = form.aborts.div_ceil(CLIENTS);
    let clients = (0..CLIENTS).map(|_| transfer_again_and_again(&app, StdRng::seed_from_u64(rng.random()), each));
    let tallies = join_all(clients).await;
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    let (committed, aborted, left) =
        (sum(|tally| tally.committed), sum(|tally| tally.aborted), sum(|tally| tally.left));
    say(&format!(
        "aborts on {backend:?}: {aborted} aborted, of which {left} by their client, {committed} committed, {} refused, \
         seed {}",
        sum(|tally| tally.refused),
        form.seed
    ));
    let some = form.aborts / 50;
    assert!(committed >= some && left >= some && aborted >= form.aborts, "seed {}", form.seed);

    eventually("a transfer commits again", BOUND, async || commits(&app).await).await;
    eventually("the sum is answered", BOUND, async || app.get("/api/faulty/accounts/", "").await.status == 200).await;
    let accounts = app.get("/api/faulty/accounts/", "").await;
    assert_eq!((accounts.status, accounts.body), (200, json!(TOTAL)), "seed {}", form.seed);
    match backend {
        Backend::Sqlite => file_is_free(&app).await,
        Backend::Postgres => sessions_are_idle(&app.url()).await,
    }
    app.stop().await;
}

/// Moves amounts until so many transfers were cut short.
async fn transfer_again_and_again(app: &TestApp, mut rng: StdRng, aborts: usize) -> Tally {
    let mut tally = Tally::default();
    for attempt in 0.. {
        assert!(attempt < aborts * 10, "too few transfers come as far as a transaction");
        let end = ENDS[rng.random_range(0..ENDS.len())];
        let (from, to) = (rng.random_range(1..=8), rng.random_range(1..=8));
        let (amount, after) = (rng.random_range(1..=100), rng.random_range(0..=2));
        let path = format!("/api/faulty/transfer/?from={from}&to={to}&amount={amount}&after={after}&end={end}");
        let leaves = rng.random_bool(0.25);
        let patience = if leaves { Duration::from_millis(rng.random_range(PATIENCE_MS)) } else { BOUND };
        match app.request("GET", &path).timeout(patience).send().await {
            Ok(answer) => match (answer.status().as_u16(), end) {
                (200, "commit") => tally.committed += 1,
                (204, "drop") | (503, "statement") | (502 | 504, _) => tally.aborted += 1,
                (409 | 503, _) => tally.refused += 1,
                (status, end) => panic!("a transfer that ends as {end:?} answers {status}"),
            },
            Err(_) if leaves => {
                tally.aborted += 1;
                tally.left += 1;
            }
            Err(error) => panic!("a transfer that ends as {end:?} has no answer: {error}"),
        }
        if tally.aborted >= aborts {
            break;
        }
    }
    tally
}

/// Says whether a write transaction goes through; on a busy machine one can miss its deadline.
async fn commits(app: &TestApp) -> bool {
    let path = "/api/faulty/transfer/?from=1&to=2&amount=1&after=2&end=commit";
    app.get(path, "").await.status == 200
}

/// Checks that the file can be written beside the host.
async fn file_is_free(app: &TestApp) {
    let database = app.database("faulty").await;
    let changed = database.execute("UPDATE accounts SET amount = amount", &[]).await.expect("nobody holds a lock");
    assert_eq!(changed, 8);
    database.close().await;
}

/// Checks that no session of the service is in a transaction, works, or holds a lock.
async fn sessions_are_idle(url: &str) {
    const BUSY: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = 'faulty_db' \
        AND backend_type = 'client backend' AND state IS DISTINCT FROM 'idle'";
    const LOCKS: &str = "SELECT COUNT(*) FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid \
        WHERE a.datname = 'faulty_db' AND a.backend_type = 'client backend'";
    let admin = PgPool::connect(url).await.expect("the server runs");
    let admin = &admin;
    let count = async |statement: &'static str| -> i64 {
        sqlx::query_scalar(statement).fetch_one(admin).await.expect("the administrator may ask")
    };
    eventually("no session is in a transaction", BOUND, async || count(BUSY).await == 0).await;
    eventually("no lock is held", BOUND, async || count(LOCKS).await == 0).await;
    admin.close().await;
}
