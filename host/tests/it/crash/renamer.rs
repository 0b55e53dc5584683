//! Renames a product again and again whatever happens to the host; in the end each rename was told to each subscriber,
//! and had its effect once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::RECOVERY;
use super::client::Phase;
use super::databases::Databases;
use crate::support::{Process, eventually, send, try_send};

/// What is renamed: nobody else orders or restocks it.
const PRODUCT: &str = "/api/products/1/";

/// Pause between two renames: their events have one key, and are handled one after the other.
const PAUSE: Duration = Duration::from_millis(200);

/// Who renames.
pub(super) struct Renamer {
    operario: String,
    phase: watch::Receiver<Phase>,
    http: reqwest::Client,
    /// The order that has a copy of the name.
    order: i64,
    attempts: u64,
}

impl Renamer {
    /// Begins with an order of the product.
    pub(super) async fn new(process: &Process, operario: String, phase: watch::Receiver<Phase>) -> Self {
        let body = json!({ "product": "Casco de Seguridad", "units": 1, "lat": 4.711, "lon": -74.072 });
        let request = process.request("POST", "/api/orders/create/").bearer_auth(&operario);
        let answer = send(request.json(&body)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let order = answer.body["order_id"].as_i64().expect("an id");
        Self { operario, phase, http: reqwest::Client::new(), order, attempts: 0 }
    }

    /// Returns the order that it has placed, which no client knows of.
    pub(super) fn order(&self) -> i64 {
        self.order
    }

    /// Renames until the trouble is over, and once more.
    pub(super) async fn rename_until_over(mut self) -> Self {
        loop {
            let is_last = matches!(*self.phase.borrow(), Phase::Over(_));
            let has_renamed = self.rename().await;
            if is_last && has_renamed {
                return self;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Gives the product a name that it never had; says whether that was answered.
    async fn rename(&mut self) -> bool {
        let up = self.phase.wait_for(|phase| phase.base().is_some()).await.expect("who makes trouble outlives it");
        let url = format!("{}{PRODUCT}", up.base().expect("it was waited for"));
        drop(up);
        self.attempts += 1;
        let body = json!({ "name": format!("Casco {}", self.attempts) });
        let answer = try_send(self.http.patch(url).bearer_auth(&self.operario).json(&body)).await;
        match answer {
            Some(answer) if answer.status < 500 => {
                assert_eq!(answer.status, 200, "{:?}", answer.body);
                true
            }
            _ => false,
        }
    }

    /// Checks that the copies agree with the product, and that each event was handled once; returns how many renames
    /// there were.
    pub(super) async fn check(&self, process: &Process, databases: &Databases) -> i64 {
        // The product counts its changes itself, those included that nobody was answered.
        let renames = databases.number("products", "SELECT version FROM products WHERE id = 1").await;
        assert!(renames > 0, "nothing was renamed");
        let all = async || {
            let handled = (databases.handled("orders").await, databases.handled("inventory").await);
            // A rename is two events for inventory: the new name, and that the product has changed.
            handled == (renames, 2 * renames)
        };
        eventually("every event is handled", RECOVERY, all).await;

        let name = process.get(PRODUCT, &self.operario).await.body["name"].clone();
        let order = process.get(&format!("/api/orders/{}/", self.order), &self.operario).await.body;
        assert_eq!(order["product_name"], name, "{order}");
        let text = name.as_str().expect("a name").replace(' ', "%20");
        let stock = process.get(&format!("/api/inventory/{text}/"), &self.operario).await.body;
        let rows = stock.as_array().expect("a bare array");
        assert!(!rows.is_empty() && rows.iter().all(|row: &Value| row["product_name"] == name), "{name}: {stock}");
        renames
    }
}
