//! Deploys that would break a typed call between live services, from either side, and removals that would.

use serde_json::{Value, json};

use super::revisions::{component, read, renamed, variant};
use super::{
    Ground, REVISION, add_tables, answering, assert_refused, check, columns, look, serving, set_traffic, start_notes,
};
use crate::support::{Answer, Backend, Setup, TestApp, fixture, send, service};

const STOCK: &str = "provesi:inventory/stock@0.1.0";

/// A field of a record of that interface, and one that no consumer knows.
const FIELD: (&str, &str) = ("warehouse-name", "warehouse-nome");

on_each_database!(a_service_goes_only_when_no_live_one_imports_it);

/// Checks and uploads a component that must be refused, and returns what it would break.
async fn breaches(app: &TestApp, name: &str, bytes: Vec<u8>) -> Value {
    let before = serving(app).await;
    let checked = check(app, name, bytes.clone()).await;
    assert_refused(&checked, 409, "contract-breach");
    let uploaded = app.upload(name, "", bytes).await;
    let reason = assert_refused(&uploaded, 409, "contract-breach");
    let breaches = uploaded.body["breaches"].clone();
    assert_eq!(checked.body["breaches"], breaches, "a check says what a deploy would say");
    for part in ["consumer", "interface", "reason"] {
        let part = breaches[0][part].as_str().expect("a text");
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }
    assert_eq!(serving(app).await, before);
    breaches
}

/// Checks that a field has another name in what some functions of `stock` answer.
fn assert_field_differs(breaches: &Value, consumer: &str, exporter: &str, wanted: &str, given: &str) {
    let seen = columns(breaches, ["consumer", "exporter", "interface", "function"]);
    let row = |function: &str| json!([consumer, exporter, STOCK, function]);
    assert_eq!(seen, json!([row("candidates"), row("holder")]));
    for breach in breaches.as_array().expect("a list") {
        let text = |field: &str| breach[field].as_str().expect("a text");
        assert!(text("expected").contains(wanted) && !text("expected").contains(given), "{breach}");
        assert!(text("actual").contains(given) && !text("actual").contains(wanted), "{breach}");
        assert!(text("reason").contains(given) && text("reason").contains(wanted), "{breach}");
    }
}

async fn order(app: &TestApp, cliente: &str) -> Answer {
    let order = json!({ "product": "Casco de Seguridad", "units": 5, "lat": 4.711, "lon": -74.072 });
    app.post("/api/orders/create/", cliente, &order).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_that_would_break_its_consumer_is_refused() {
    let app = TestApp::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    let cliente = app.token("cliente").await;
    let found = breaches(&app, "inventory", read(&fixture("faulty"))).await;
    let missing = json!([{
        "consumer": "orders@1", "exporter": null, "interface": STOCK, "function": null, "expected": null,
        "actual": null, "reason": "no live service exports it"
    }]);
    assert_eq!(found, missing);
    let whole = read(&component("inventory"));
    let found = breaches(&app, "inventory", renamed(&whole, FIELD.0, FIELD.1)).await;
    assert_field_differs(&found, "orders@1", "inventory@3", FIELD.0, FIELD.1);

    let revisions = look(&app, "/v1/services/inventory/revisions").await;
    let seen = columns(&revisions, ["revision", "state", "weight"]);
    assert_eq!(seen, json!([[3, "refused", 0], [2, "refused", 0], [1, "active", 100]]));
    assert!(revisions[0]["reason"].as_str().is_some_and(|reason| reason.contains(STOCK)), "{revisions}");
    for number in ["2", "3"] {
        let moved = set_traffic(&app, "inventory", &json!({ number: 100 })).await;
        assert_refused(&moved, 404, "unknown-revision");
    }
    let placed = order(&app, &cliente).await;
    assert_eq!((placed.status, &placed.body["confirmed"]), (200, &json!(true)), "{:?}", placed.body);
    let accepted = app.upload("inventory", "", variant(&whole, 1)).await;
    assert_eq!((accepted.status, &accepted.body["revision"]), (201, &json!(4)), "{:?}", accepted.body);
    let placed = order(&app, &cliente).await;
    assert_eq!((placed.status, &placed.body["confirmed"]), (200, &json!(true)), "{:?}", placed.body);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_wants_what_nobody_exports_is_refused() {
    let app = TestApp::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    let cliente = app.token("cliente").await;
    let whole = read(&component("orders"));
    let found = breaches(&app, "orders", renamed(&whole, FIELD.0, FIELD.1)).await;
    assert_field_differs(&found, "orders@2", "inventory@1", FIELD.1, FIELD.0);
    let placed = order(&app, &cliente).await;
    assert_eq!((placed.status, placed.header(REVISION)), (200, "orders@1"), "{:?}", placed.body);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_exporter_is_not_there_is_refused() {
    let app = start_notes().await;
    let component = fixture("reviews");
    add_tables(&app, &service("reviews", &component, "\"sql\", \"provesi:products/catalog\""));
    let found = breaches(&app, "reviews", read(&component)).await;
    let missing = json!([["reviews@1", null, "provesi:products/catalog@0.1.0", "no live service exports it"]]);
    assert_eq!(columns(&found, ["consumer", "exporter", "interface", "reason"]), missing);
    assert_refused(&send(app.operate("GET", "/v1/services/reviews")).await, 404, "unknown-service");
    let revisions = look(&app, "/v1/services/reviews/revisions").await;
    assert_eq!(columns(&revisions, ["revision", "state"]), json!([[1, "refused"]]));
    assert_eq!(app.get("/api/reviews/", "").await.status, 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_cannot_export_one_interface() {
    let shop = fixture("badcatalog");
    let app = TestApp::start_as(&Setup { services: &["products"], ..Setup::default() }).await;
    add_tables(&app, &service("shop", &shop, ""));
    let before = serving(&app).await;
    for answer in [check(&app, "shop", read(&shop)).await, app.upload("shop", "", read(&shop)).await] {
        let reason = assert_refused(&answer, 409, "route-collision");
        let expected = "provesi:products/catalog@0.1 is exported by both products and shop";
        assert_eq!(reason, expected);
    }
    assert_eq!(serving(&app).await, before);
    app.stop().await;
}

async fn remove(app: &TestApp, name: &str) -> Answer {
    send(app.operate("DELETE", &format!("/v1/services/{name}"))).await
}

async fn a_service_goes_only_when_no_live_one_imports_it(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start(&Setup::default()).await;
    let (cliente, operario) = (app.token("cliente").await, app.token("operario").await);
    assert_eq!(order(&app, &cliente).await.status, 200);
    let before = serving(&app).await;
    for (name, by) in [
        ("products", "inventory, orders import what it exports"),
        ("inventory", "orders imports what it exports"),
        ("auth", "orders imports what it exports"),
    ] {
        assert_eq!(assert_refused(&remove(&app, name).await, 409, "still-imported"), by);
    }
    assert_eq!(serving(&app).await, before);

    assert_eq!(remove(&app, "orders").await.status, 204);
    assert_eq!(app.get("/api/orders/", &operario).await.status, 404);
    assert_refused(&remove(&app, "orders").await, 404, "unknown-service");
    assert_refused(&send(app.operate("GET", "/v1/services/orders")).await, 404, "unknown-service");
    assert_eq!(columns(&serving(&app).await, ["name"]), json!([["auth"], ["inventory"], ["products"]]));
    assert_eq!(look(&app, "/readyz").await["status"], "ready", "nobody waits for it");
    let revisions = look(&app, "/v1/services/orders/revisions").await;
    assert_eq!(columns(&revisions, ["revision", "state", "weight"]), json!([[1, "retired", 0]]));
    let audit = look(&app, "/v1/audit?service=orders&limit=2").await;
    assert_eq!(columns(&audit, ["action", "outcome"]), json!([["remove", "refused"], ["remove", "done"]]));
    // Nobody imports it any more.
    assert_eq!(remove(&app, "inventory").await.status, 204);
    assert_eq!(answering(&app, "/api/products/1/").await, "products@1");
    app.stop().await;

    // Removed stays removed, although both have their tables; the host says that it waits for them.
    let app = ground.start(&Setup::default()).await;
    assert_eq!(columns(&serving(&app).await, ["name"]), json!([["auth"], ["products"]]));
    let waiting = send(app.operate("GET", "/readyz")).await;
    assert_eq!((waiting.status, &waiting.body["missing"]), (503, &json!(["inventory", "orders"])));
    for name in ["inventory", "orders"] {
        let again = app.deploy(name, &component(name)).await;
        assert_eq!((&again["revision"], &again["replaced"]), (&json!(2), &Value::Null));
    }
    assert_eq!(look(&app, "/readyz").await["status"], "ready");
    let orders = app.get("/api/orders/", &operario).await;
    assert_eq!((orders.header(REVISION), orders.body.as_array().map(Vec::len)), ("orders@2", Some(1)));
    app.stop().await;
}
