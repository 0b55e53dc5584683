//! Two hosts on one PostgreSQL server, with data folders of their own and the same keys.

use std::path::Path;
use std::time::Duration;

use crate::support::{Postgres, Setup, TestApp, eventually, send};
use serde_json::{Value, json};

/// Ten times what a host takes to learn what another one revoked.
const BOUND: Duration = Duration::from_secs(10);

struct Pair {
    first: TestApp,
    second: TestApp,
    _folders: [tempfile::TempDir; 2],
    _postgres: Postgres,
}

impl Pair {
    /// Starts two hosts; none where there is no PostgreSQL to start.
    async fn start() -> Option<Self> {
        let postgres = Postgres::start()?;
        let url = postgres.url();
        let folder = || tempfile::tempdir().expect("a folder");
        let folders = [folder(), folder()];
        let setup = Setup { url: &url, ..Setup::default() };
        let first = TestApp::start_as(&Setup { data: Some(folders[0].path()), ..setup }).await;
        // A token of one is good on the other only when that has its key.
        copy(&folders[0].path().join("keys"), &folders[1].path().join("keys"));
        let second = TestApp::start_as(&Setup { data: Some(folders[1].path()), ..setup }).await;
        Some(Self { first, second, _folders: folders, _postgres: postgres })
    }

    async fn stop(self) {
        self.first.stop().await;
        self.second.stop().await;
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is made");
    for entry in std::fs::read_dir(from).expect("the first host has keys") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a file"))).expect("the key is copied");
    }
}

async fn profile(host: &TestApp, token: &str) -> u16 {
    host.get("/api/auth/profile/", token).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_out_on_one_host_counts_on_the_other() {
    let Some(hosts) = Pair::start().await else { return };
    let (first, second) = (&hosts.first, &hosts.second);
    for (here, there) in [(first, second), (second, first)] {
        let (ended, other) = (here.token("cliente").await, here.token("cliente").await);
        assert_eq!((profile(here, &ended).await, profile(there, &ended).await), (200, 200));
        assert_eq!(here.post("/api/auth/logout/", &ended, &json!({})).await.status, 200);
        assert_eq!(profile(here, &ended).await, 401, "at once where it was logged out");
        eventually("the other host refuses the token", BOUND, async || profile(there, &ended).await == 401).await;
        assert_eq!((profile(here, &other).await, profile(there, &other).await), (200, 200), "another session goes on");
    }
    hosts.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_deactivated_on_one_host_is_refused_by_the_other() {
    let Some(hosts) = Pair::start().await else { return };
    let (first, second) = (&hosts.first, &hosts.second);
    let (token, admin) = (first.token("cliente").await, second.token("admin").await);
    assert_eq!((profile(first, &token).await, profile(second, &token).await), (200, 200));
    let off = second.patch("/api/users/3/", &admin, &json!({ "is_active": false })).await;
    assert_eq!((off.status, &off.body["is_active"]), (200, &json!(false)), "{:?}", off.body);
    assert_eq!(profile(second, &token).await, 401, "at once where it was done");
    eventually("the other host refuses the token", BOUND, async || profile(first, &token).await == 401).await;
    let login = json!({ "username": "cliente", "password": "cliente123" });
    assert_eq!(first.post("/api/auth/login/", "", &login).await.status, 400);
    assert_eq!(profile(first, &admin).await, 200, "others' tokens live on");
    hosts.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_through_one_host_is_read_through_the_other() {
    let Some(hosts) = Pair::start().await else { return };
    let (first, second) = (&hosts.first, &hosts.second);
    let operario = first.token("operario").await;
    let keyed = async |host: &TestApp| {
        let request = host.request("POST", "/api/products/").bearer_auth(&operario);
        send(request.header("Idempotency-Key", "alta-1").json(&json!({ "name": "Silbato" }))).await
    };
    let created = keyed(first).await;
    assert_eq!(created.status, 201, "{:?}", created.body);
    let path = format!("/api/products/{}/", created.body["id"]);
    assert_eq!(second.get(&path, "").await.body, created.body);
    let again = keyed(second).await;
    assert_eq!((again.status, &again.body), (201, &created.body), "a key counts on both");

    let casco = "/api/inventory/Casco%20de%20Seguridad/";
    let quantity = async |host: &TestApp| host.get(casco, &operario).await.body[0]["quantity"].clone();
    assert_eq!(quantity(first).await, 150, "the second host filled nothing again");
    let order = json!({ "units": 5, "lat": 4.711, "lon": -74.072 });
    let placed = second.post("/api/orders/Casco%20de%20Seguridad/", &operario, &order).await;
    assert_eq!((placed.status, &placed.body["confirmed"]), (200, &Value::Bool(true)), "{:?}", placed.body);
    assert_eq!((quantity(first).await, quantity(second).await), (json!(145), json!(145)));
    let path = format!("/api/orders/{}/", placed.body["order"]["id"]);
    assert_eq!(first.get(&path, &operario).await.body, placed.body["order"]);
    hosts.stop().await;
}
