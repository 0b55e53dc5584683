//! Clients of all four services, each on one connection that it keeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::sync::watch;

use super::activations::Answered;
use super::connection::{Ask, Connection, Reply};
use crate::support::{Process, send};

/// Longest wait for one answer: twice the deadline of a request, and what a busy machine adds.
const ANSWER: Duration = Duration::from_secs(20);

/// Time between an answer and the next request, in milliseconds: people do not ask without a pause, and a machine
/// that is never idle has nothing left for a compiler that stands back.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 5..=60;

/// What is ordered and restocked, as segments of a path and by name.
const PRODUCTS: [(&str, &str); 2] =
    [("Mascarilla%20N95", "Mascarilla N95"), ("Guantes%20Industriales", "Guantes Industriales")];

const WAREHOUSES: [&str; 3] = ["Bodega Norte", "Bodega Centro", "Bodega Sur"];

/// Demo products, by id.
const IDS: std::ops::RangeInclusive<u32> = 1..=8;

/// Units added to each warehouse: more than any run can order.
const PLENTY: i64 = 1_000_000;

/// Failures that are kept whole; the others are only counted.
const KEPT: usize = 10;

/// Who asks.
pub(super) struct Tokens {
    cliente: String,
    operario: String,
}

/// What a client was told.
#[derive(Default)]
pub(super) struct Record {
    pub(super) answered: Vec<Answered>,
    pub(super) failed: usize,
    pub(super) failures: Vec<String>,
}

/// A client.
pub(super) struct Client {
    number: usize,
    asked: u64,
    host: String,
    tokens: Arc<Tokens>,
    rng: StdRng,
    connection: Option<Connection>,
    record: Record,
}

impl Tokens {
    /// Logs the demo users in.
    pub(super) async fn of(process: &Process) -> Self {
        Self { cliente: process.token("cliente").await, operario: process.token("operario").await }
    }

    /// Restocks what is ordered.
    pub(super) async fn fill(&self, process: &Process) {
        for (segment, _) in PRODUCTS {
            for warehouse in WAREHOUSES {
                let request = process.request("POST", &format!("/api/inventory/{segment}/restock/"));
                let body = json!({ "units": PLENTY, "warehouse": warehouse });
                let answer = send(request.bearer_auth(&self.operario).json(&body)).await;
                assert_eq!(answer.status, 200, "{:?}", answer.body);
            }
        }
    }
}

impl Client {
    pub(super) fn new(number: usize, base: &str, tokens: Arc<Tokens>, rng: StdRng) -> Self {
        let host = base.strip_prefix("http://").expect("plain HTTP").to_owned();
        Self { number, asked: 0, host, tokens, rng, connection: None, record: Record::default() }
    }

    /// Asks until it is over, and returns what it was told.
    pub(super) async fn ask_until(mut self, over: watch::Receiver<bool>) -> Record {
        while !*over.borrow() {
            self.ask_once().await;
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(PAUSE_MS))).await;
        }
        self.record
    }

    async fn ask_once(&mut self) {
        let ask = self.choose();
        let sent = Instant::now();
        let outcome = tokio::time::timeout(ANSWER, self.exchange(&ask)).await;
        let received = Instant::now();
        let why = match outcome {
            Ok(Ok(Reply { status: 200, revision: Some(revision), .. })) => {
                return self.record.answered.push(Answered { revision, changes: ask.method != "GET", sent, received });
            }
            Ok(Ok(Reply { status, revision, body })) => {
                format!("{status} of {revision:?}: {}", String::from_utf8_lossy(&body))
            }
            Ok(Err(error)) => {
                self.connection = None;
                error.to_string()
            }
            Err(_) => {
                self.connection = None;
                format!("no answer within {ANSWER:?}")
            }
        };
        self.record.failed += 1;
        if self.record.failures.len() < KEPT {
            self.record.failures.push(format!("{} {}: {why}", ask.method, ask.path));
        }
    }

    /// Asks on the connection that it has; only the first request, and one after a failure, opens one.
    async fn exchange(&mut self, ask: &Ask) -> std::io::Result<Reply> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(&self.host).await?),
        };
        connection.ask(ask).await
    }

    /// Chooses what to ask: a quarter of the clients order, a quarter change things, the others read.
    fn choose(&mut self) -> Ask {
        self.asked += 1;
        let key = format!("{}-{}", self.number, self.asked);
        let (segment, name) = PRODUCTS[self.rng.random_range(0..PRODUCTS.len())];
        let id = self.rng.random_range(IDS);
        let get = |path: String, token: &str| Ask { method: "GET", path, token: token.to_owned(), ..Ask::default() };
        let (cliente, operario) = (&self.tokens.cliente, &self.tokens.operario);
        match (self.number % 4, self.rng.random_range(0..10)) {
            (0, 0..6) => {
                let units: u32 = self.rng.random_range(1..=3);
                // Between the warehouses, so that each of them is the nearest of some orders.
                let (lat, lon): (f64, f64) = (self.rng.random_range(4.55..4.72), self.rng.random_range(-74.3..-74.05));
                let body = json!({ "product": name, "units": units, "lat": lat, "lon": lon }).to_string();
                Ask { method: "POST", path: "/api/orders/create/".to_owned(), token: cliente.clone(), key, body }
            }
            (0, _) => get("/api/orders/?limit=20".to_owned(), cliente),
            (1, 0..4) => {
                let body = json!({ "min_stock": self.rng.random_range(1..=50) }).to_string();
                let path = format!("/api/products/{id}/");
                Ask { method: "PATCH", path, token: operario.clone(), body, ..Ask::default() }
            }
            (1, 4..8) => {
                let warehouse = WAREHOUSES[self.rng.random_range(0..WAREHOUSES.len())];
                let body = json!({ "units": 1, "warehouse": warehouse }).to_string();
                let path = format!("/api/inventory/{segment}/restock/");
                Ask { method: "POST", path, token: operario.clone(), key, body }
            }
            (2.., 0..3) => get("/api/products/".to_owned(), ""),
            (2.., 3..5) => get(format!("/api/products/{id}/"), ""),
            (2.., 5..8) => get(format!("/api/inventory/{segment}/"), operario),
            _ => get("/api/auth/profile/".to_owned(), cliente),
        }
    }
}
