//! What trouble does to orders and events: kills, hot swaps, a database that crashes, and all of it at once with a
//! broker and a cache that are away and a peer that traps. No order is lost, none stays half done, none is placed twice,
//! and every event has its effect once. And what SIGTERM does.
//!
//! Every test run has the short forms; `PROVESI_SOAK=1` (`make soak`) asks for the full ones. `PROVESI_SOAK_SEED`
//! repeats the choices of an earlier run, though not what the machine made of them.

mod all;
mod client;
mod databases;
mod keeper;
mod ledger;
mod renamer;
mod stage;
mod tally;
mod trapping;
mod trouble;

use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use self::client::{Client, Phase};
use self::databases::Databases;
use self::keeper::Reads;
use self::renamer::Renamer;
use self::stage::Stage;
use self::trouble::Trouble;
use crate::support::soak::{self, say};
use crate::support::{Backend, Process, eventually};

/// In which a crash is finished or undone: the contract's minute.
const RECOVERY: Duration = Duration::from_secs(60);

/// Longest wait for bytes that the host owes, or for its port to close: less than its drain time.
const PATIENCE: Duration = Duration::from_secs(15);

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

mod each_key_has_one_whole_order_however_often_the_host_is_killed {
    use super::{Backend, Trouble, orders_outlive};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        orders_outlive(Trouble::Kills, Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        orders_outlive(Trouble::Kills, Backend::Postgres).await;
    }
}

mod each_key_has_one_whole_order_while_services_are_swapped_under_it {
    use super::{Backend, Trouble, orders_outlive};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        orders_outlive(Trouble::Swaps, Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        orders_outlive(Trouble::Swaps, Backend::Postgres).await;
    }
}

mod each_key_has_one_whole_order_however_often_the_database_crashes {
    use super::{Backend, Trouble, orders_outlive};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        orders_outlive(Trouble::Restarts, Backend::Postgres).await;
    }
}

mod each_key_has_one_whole_order_in_all_trouble_at_once {
    use super::{Backend, Trouble, orders_outlive};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        orders_outlive(Trouble::All, Backend::Postgres).await;
    }
}

mod a_request_that_runs_at_sigterm_is_answered {
    use super::{Backend, a_running_request_is_answered};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        a_running_request_is_answered(Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        a_running_request_is_answered(Backend::Postgres).await;
    }
}

/// How much is done.
struct Form {
    clients: u32,
    times: u32,
    seed: u64,
}

impl Form {
    fn chosen(trouble: Trouble) -> Self {
        let (short, full) = match trouble {
            Trouble::Kills => (5, 200),
            Trouble::Swaps => (3, 30),
            Trouble::Restarts => (2, 30),
            Trouble::All => (3, 40),
        };
        let (clients, times) = if soak::is_full() { (16, full) } else { (4, short) };
        let seed = soak::seed().unwrap_or_else(rand::random);
        Self { clients, times, seed }
    }
}

async fn orders_outlive(trouble: Trouble, backend: Backend) {
    let Some(mut stage) = Stage::start(trouble, backend).await else { return };
    let form = Form::chosen(trouble);
    say(&format!("{trouble:?} on {backend:?}: seed {}", form.seed));
    let mut rng = StdRng::seed_from_u64(form.seed);
    let (cliente, operario) = (stage.process.token("cliente").await, stage.process.token("operario").await);
    ledger::fill(&stage.process, &operario).await;
    let initial = ledger::stock(&stage.process, &operario).await;

    let (phase, watched) = watch::channel(Phase::Down);
    let renamer = Renamer::new(&stage.process, operario.clone(), watched.clone()).await;
    let clients: Vec<Client> = (0..form.clients)
        .map(|number| Client::new(number, cliente.clone(), StdRng::seed_from_u64(rng.random()), watched.clone()))
        .collect();
    let placing = join_all(clients.into_iter().map(Client::place_until_over));
    let keeping = keep_if_cached(&stage, watched);
    let making = trouble.make(&mut stage, &operario, form.times, &mut rng, &phase);
    let (done, clients, renamer, reads) = tokio::join!(making, placing, renamer.rename_until_over(), keeping);

    let process = &mut stage.process;
    eventually("nothing is half done", RECOVERY, async || ledger::is_settled(process, &operario).await).await;
    let clients = join_all(clients.into_iter().map(Client::repeat_all)).await;
    let kept = clients.iter().flat_map(|client| &client.kept);
    let decided = ledger::check(process, &operario, initial, kept, renamer.order()).await;
    let databases = Databases::open(process).await;
    let told = tally::check(process, &databases, &decided).await;
    let renames = renamer.check(process, &databases).await;
    databases.close().await;
    process.terminate();
    assert_eq!(process.end().await.code(), Some(0), "a host that has recovered stops as any other");

    say(&format!(
        "{trouble:?} on {backend:?}: {done}, {}; {} events of orders and {} of {renames} renames delivered, 0 lost, 0 \
         with two effects, {} not at the first attempt{}; seed {}",
        figures(&clients),
        told.events,
        3 * renames,
        told.later,
        reads.map_or_else(String::new, |reads| beside(process, &reads)),
        form.seed
    ));
}

/// Keeps values in a cache where there is one.
fn keep_if_cached(stage: &Stage, watched: watch::Receiver<Phase>) -> impl Future<Output = Option<Reads>> + use<> {
    let is_cached = stage.neighbours.is_some();
    async move { if is_cached { Some(keeper::keep_until_over(watched).await) } else { None } }
}

/// Says what clients were told; something must have been.
fn figures(clients: &[Client]) -> String {
    let acknowledged = clients.iter().flat_map(|client| &client.kept).filter(|(_, order)| order.confirmed).count();
    let answered: usize = clients.iter().map(|client| client.kept.len()).sum();
    let requests: u64 = clients.iter().map(|client| client.requests).sum();
    let half_done: usize = clients.iter().map(|client| client.half_done).sum();
    assert!(acknowledged > 0, "no order was acknowledged");
    format!(
        "{} clients, {requests} requests, {acknowledged} orders acknowledged, {} rejected, {half_done} left half done",
        clients.len(),
        answered - acknowledged
    )
}

/// Says what a cache and a peer did that are in trouble of their own; both must have been in it.
fn beside(process: &Process, reads: &Reads) -> String {
    let traps = process.logged(&["guest fault", r#""service.name":"inventory""#, r#""fault.kind":"trap""#]);
    assert!(traps > 0, "the peer has not trapped");
    let Reads { found, empty } = reads;
    format!(", {traps} traps of a peer, {found} values found in the cache and {empty} not")
}

async fn a_running_request_is_answered(backend: Backend) {
    let Some(mut process) = Process::start(backend).await else { return };
    let token = process.token("cliente").await;
    let address = process.base().strip_prefix("http://").expect("plain HTTP").to_owned();
    let body = json!({ "product": "Casco de Seguridad", "units": 5, "lat": 4.711, "lon": -74.072 }).to_string();
    let head = format!(
        "POST /api/orders/create/ HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("the host reads");
    // It asks for the body: the request runs, and will until the body is there.
    let mut asked = vec![0; CONTINUE.len()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut asked)).await.expect("in time").expect("an interim answer");
    assert_eq!(asked, CONTINUE, "{}", String::from_utf8_lossy(&asked));

    process.terminate();
    eventually("the port is closed", PATIENCE, async || TcpStream::connect(&address).await.is_err()).await;
    stream.write_all(body.as_bytes()).await.expect("the host still reads");
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""confirmed":true"#), "{answer}");
    assert_eq!(process.end().await.code(), Some(0));

    process.start_again().await;
    let orders = process.get("/api/orders/", &token).await;
    assert_eq!(orders.body.as_array().map(Vec::len), Some(1), "{:?}", orders.body);
    assert_eq!(orders.body[0]["status"], "CONFIRMED");
}
