//! A client that places orders under keys, and wants each key answered whatever happens to the host.
//!
//! A key without an answer is sent again at once; one whose order was left half done is put aside until the trouble is
//! over, so that the next one meets a busy host.

use std::time::{Duration, Instant};

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::RECOVERY;
use super::ledger::{PRODUCTS, segment};
use crate::support::try_send;

/// Pause before keys put aside are tried once more.
const PAUSE: Duration = Duration::from_millis(250);

/// Times that a key is repeated which a busy host does not answer.
const REPEATS: usize = 5;

/// Where the host is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Killed, or not to be asked.
    Down,
    /// At an address, in trouble.
    Up(String),
    /// At an address, to stay.
    Over(String),
}

/// What is asked for under one key.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) product: &'static str,
    pub(super) units: i64,
    key: String,
    path: String,
    body: Value,
}

/// The order that a key was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) id: i64,
    pub(super) confirmed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// The key has its order.
    Order(Placed),
    /// The key's order is still to be finished or undone.
    InProgress,
    /// No answer, or one that promises nothing.
    Nothing,
}

/// A client and what it was told.
pub(super) struct Client {
    /// Answered keys with their orders.
    pub(super) kept: Vec<(Wish, Placed)>,
    pub(super) requests: u64,
    /// Keys whose orders were left half done.
    pub(super) half_done: usize,
    aside: Vec<Wish>,
    number: u32,
    wishes: u64,
    token: String,
    rng: StdRng,
    phase: watch::Receiver<Phase>,
    http: reqwest::Client,
}

impl Phase {
    pub(super) fn base(&self) -> Option<&str> {
        match self {
            Self::Down => None,
            Self::Up(base) | Self::Over(base) => Some(base),
        }
    }
}

impl Client {
    pub(super) fn new(number: u32, token: String, rng: StdRng, phase: watch::Receiver<Phase>) -> Self {
        let (kept, aside, http) = (Vec::new(), Vec::new(), reqwest::Client::new());
        Self { kept, requests: 0, half_done: 0, aside, number, wishes: 0, token, rng, phase, http }
    }

    /// Places orders until the trouble is over, and then waits until each of its keys is answered.
    pub(super) async fn place_until_over(mut self) -> Self {
        while !self.is_over() {
            let wish = self.wish();
            self.place(wish).await;
        }
        self.half_done = self.aside.len();
        let until = Instant::now() + RECOVERY;
        while !self.aside.is_empty() {
            for wish in std::mem::take(&mut self.aside) {
                self.place(wish).await;
            }
            assert!(self.aside.is_empty() || Instant::now() < until, "not within {RECOVERY:?}: {:?}", self.aside);
            tokio::time::sleep(PAUSE).await;
        }
        self
    }

    /// Sends every answered key again: it has the same order as before.
    pub(super) async fn repeat_all(mut self) -> Self {
        let kept = std::mem::take(&mut self.kept);
        for (wish, first) in &kept {
            let mut said = Said::Nothing;
            for _ in 0..REPEATS {
                said = self.ask(wish).await;
                if said != Said::Nothing {
                    break;
                }
            }
            assert_eq!(said, Said::Order(*first), "{wish:?}");
        }
        self.kept = kept;
        self
    }

    /// Sends a key until it has its order, or must be put aside.
    async fn place(&mut self, wish: Wish) {
        loop {
            match self.ask(&wish).await {
                Said::Order(order) => return self.kept.push((wish, order)),
                Said::InProgress => return self.aside.push(wish),
                Said::Nothing if self.is_over() => return self.aside.push(wish),
                Said::Nothing => {}
            }
        }
    }

    async fn ask(&mut self, wish: &Wish) -> Said {
        let up =
            self.phase.wait_for(|phase| phase.base().is_some()).await.expect("who makes trouble outlives the clients");
        let url = format!("{}{}", up.base().expect("it was waited for"), wish.path);
        drop(up);
        self.requests += 1;
        let request = self.http.post(url).bearer_auth(&self.token).header("Idempotency-Key", &wish.key);
        let Some(answer) = try_send(request.json(&wish.body)).await else { return Said::Nothing };
        let id = answer.body["order_id"].as_i64().or_else(|| answer.body["order"]["id"].as_i64());
        match (answer.status, id) {
            (status @ (200 | 409), Some(id)) => Said::Order(Placed { id, confirmed: status == 200 }),
            (409, None) => Said::InProgress,
            (500.., _) => Said::Nothing,
            _ => panic!("{wish:?} was answered with {answer:?}"),
        }
    }

    /// Makes a new key with an order by one of the two routes.
    fn wish(&mut self) -> Wish {
        self.wishes += 1;
        let key = format!("{}-{}", self.number, self.wishes);
        let product = PRODUCTS[self.rng.random_range(0..PRODUCTS.len())];
        let units: i64 = self.rng.random_range(1..=3);
        // Between the warehouses, so that each of them is the nearest of some orders.
        let (lat, lon): (f64, f64) = (self.rng.random_range(4.55..4.72), self.rng.random_range(-74.3..-74.05));
        let mut body = json!({ "units": units, "lat": lat, "lon": lon });
        let path = if self.rng.random_bool(0.5) {
            body["product"] = json!(product);
            "/api/orders/create/".to_owned()
        } else {
            format!("/api/orders/{}/", segment(product))
        };
        Wish { product, units, key, path, body }
    }

    fn is_over(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Over(_))
    }
}
