//! A deploy that is accepted: it serves at once, everything says so, and a restart comes back to it.

use std::collections::BTreeMap;

use futures::future::join_all;
use provesi::db::{Cell, Value as Parameter};
use provesi::names::ComponentDigest;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::revisions::{component, notes, read, variant};
use super::{
    Ground, LABEL, REVISION, add_tables, answering, assert_refused, columns, look, remove_counters, serving,
    start_notes,
};
use crate::support::{Backend, Setup, TestApp, fixture, send, service};

const PRODUCT: &str = "/api/products/1/";

on_each_database!(a_deployed_revision_serves_at_once_and_after_a_restart, a_new_service_needs_a_table_and_no_restart);

async fn a_deployed_revision_serves_at_once_and_after_a_restart(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start(&Setup::default()).await;
    let bytes = variant(&read(&component("products")), 1);
    let digest = ComponentDigest::of(&bytes).to_string();
    let before = app.get(PRODUCT, "").await;
    assert_eq!(before.header(REVISION), "products@1");

    let upload = app.operate("POST", "/v1/services/products/revisions").header("x-provesi-by", "ana");
    let answer = send(upload.header("content-type", "application/wasm").body(bytes)).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    assert_says_all(&answer.body, &digest);
    let after = app.get(PRODUCT, "").await;
    assert_eq!((after.header(REVISION), after.status, &after.body), ("products@2", 200, &before.body));
    assert_agree(&app, &digest).await;
    app.stop().await;

    // The configuration still names the file of the first revision.
    let app = ground.start(&Setup::default()).await;
    let again = app.get(PRODUCT, "").await;
    assert_eq!((again.header(REVISION), again.status, &again.body), ("products@2", 200, &before.body));
    assert_agree(&app, &digest).await;
    let registry = ground.open("provesi_registry").await;
    let statement = "SELECT bytes FROM components WHERE digest = $1";
    let rows = registry.query(statement, &[Parameter::Text(digest.clone())]).await.expect("an answer");
    let row = rows.rows().next().expect("the component is stored");
    let [Cell::Blob(stored)] = row[..] else { panic!("bytes, not {row:?}") };
    assert_eq!(ComponentDigest::of(stored).to_string(), digest, "what is stored is what serves");
    registry.close().await;
    app.stop().await;
}

/// Checks the answer to a deploy, field by field.
fn assert_says_all(body: &Value, digest: &str) {
    let mut fields = body.as_object().expect("an object").clone();
    let timings = fields.remove("timings_ms").expect("how long it took");
    let expected = json!({
        "service": "products", "revision": 2, "digest": digest, "state": "active", "replaced": 1, "warnings": []
    });
    assert_eq!(Value::Object(fields), expected);
    let timings: BTreeMap<String, f64> = serde_json::from_value(timings).expect("numbers");
    let steps: Vec<&str> = timings.keys().map(String::as_str).collect();
    assert_eq!(steps, ["activate", "compile", "contract", "describe", "link", "migrate", "total"]);
    let total = timings["total"];
    let parts = timings.values().sum::<f64>() - total;
    let whole = timings.values().all(|ms| *ms >= 0.0) && timings["compile"] > 0.0 && parts < total + 0.1;
    assert!(whole, "the steps are parts of the total: {timings:?}");
}

/// Checks that services, revisions and audit trail tell of the same deploy.
async fn assert_agree(app: &TestApp, digest: &str) {
    let services = serving(app).await;
    let mut own = look(app, "/v1/services/products").await;
    remove_counters(&mut own);
    assert!(services.as_array().expect("a list").contains(&own), "{own} is not in {services}");
    assert_eq!(own["traffic"], json!([{ "revision": 2, "digest": digest, "weight": 100 }]));
    let seen = columns(&json!([own]), ["state", "canary", "breaker", "exports", "grants"]);
    assert_eq!(seen, json!([["serving", null, "closed", ["provesi:products/catalog@0.1.0"], ["sql", "events"]]]));
    let routes = own["routes"].as_array().expect("a list");
    let get =
        json!({ "operation": "get-product", "method": "GET", "path": "/api/products/{id:int}/", "access": "public" });
    assert!(routes.contains(&get), "{routes:?}");

    let revisions = look(app, "/v1/services/products/revisions").await;
    let seen = columns(&revisions, ["revision", "state", "weight", "by", "reason"]);
    assert_eq!(seen, json!([[2, "active", 100, "ana", null], [1, "retired", 0, "provesi.toml", null]]));
    assert_eq!(revisions[0]["digest"], digest);

    let audit = look(app, "/v1/audit?service=products").await;
    let seen = columns(&audit, ["action", "outcome", "revision", "digest", "by"]);
    let first = &revisions[1]["digest"];
    assert_eq!(seen, json!([["deploy", "done", 2, digest, "ana"], ["seed", "done", 1, first, "provesi.toml"]]));
    let from = audit[0]["from"].as_str().expect("an address");
    assert!(from.starts_with("127.0.0.1:"), "{from}");
}

async fn a_new_service_needs_a_table_and_no_restart(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let setup = Setup { services: &["products"], ..Setup::default() };
    let app = ground.start(&setup).await;
    let component = fixture("reviews");
    let before = serving(&app).await;
    let refused = app.upload("reviews", "", read(&component)).await;
    let reason = assert_refused(&refused, 422, "import-denied");
    assert!(reason.contains("provesi:platform/sql@0.1.0") && reason.contains("\"sql\""), "{reason}");
    let absent = send(app.operate("GET", "/v1/services/reviews")).await;
    assert_refused(&absent, 404, "unknown-service");
    assert_eq!(serving(&app).await, before);

    add_tables(&app, &service("reviews", &component, "\"sql\", \"provesi:products/catalog\""));
    let deployed = app.deploy("reviews", &component).await;
    assert_eq!((&deployed["revision"], &deployed["replaced"]), (&json!(1), &Value::Null));
    let review = json!({ "product": "Casco de Seguridad", "stars": 5 });
    let created = app.post("/api/reviews/", "", &review).await;
    assert_eq!((created.status, created.header(REVISION)), (201, "reviews@1"), "{:?}", created.body);
    app.stop().await;

    // The next start has a configuration without that table: it serves with what it was deployed with.
    let app = ground.start(&setup).await;
    let kept = app.get("/api/reviews/", "").await;
    assert_eq!((kept.status, kept.body), (200, json!([created.body])));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_links_nothing_else_again_and_callers_reach_the_new_revision() {
    let app = TestApp::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    let cliente = app.token("cliente").await;
    let mut expected = links(&app).await;
    let deployed = app.upload("products", "", variant(&read(&component("products")), 2)).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    *expected.get_mut("products").expect("it serves") += 1;
    let order = json!({ "product": "Casco de Seguridad", "units": 5, "lat": 4.711, "lon": -74.072 });
    let placed = app.post("/api/orders/create/", &cliente, &order).await;
    assert_eq!((placed.status, &placed.body["confirmed"]), (200, &json!(true)), "{:?}", placed.body);
    assert_eq!(links(&app).await, expected);
    // The counter belongs to the new revision: orders, which was linked before it was there, has called it.
    let products = look(&app, "/v1/services/products").await;
    assert_eq!(products["traffic"][0]["revision"], 2);
    assert!(products["requests"].as_u64().is_some_and(|calls| calls > 0), "{products}");
    app.stop().await;
}

async fn links(app: &TestApp) -> BTreeMap<String, u64> {
    let services = look(app, "/v1/services").await;
    let services = services.as_array().expect("a list").iter();
    services.map(|service| (name(service), service["links"].as_u64().expect("a count"))).collect()
}

fn name(service: &Value) -> String {
    service["name"].as_str().expect("a name").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_during_swaps_is_of_the_revision_that_it_names() {
    let app = start_notes().await;
    let done = CancellationToken::new();
    let deploying = async {
        for number in 2..=6 {
            let label = number.to_string();
            let answer = app.upload("notes", "", notes(&[("label", label.as_str())])).await;
            assert_eq!((answer.status, &answer.body["revision"]), (201, &json!(number)), "{:?}", answer.body);
        }
        done.cancel();
    };
    let asking = join_all((0..4).map(|_| ask_until(&app, &done)));
    let (asked, ()) = futures::join!(asking, deploying);
    assert!(asked.iter().all(|requests| *requests > 0), "{asked:?}");
    assert_eq!(answering(&app, LABEL).await, "notes@6");
    app.stop().await;
}

/// Asks again and again; each revision has its own number as its label.
async fn ask_until(app: &TestApp, done: &CancellationToken) -> usize {
    let mut requests = 0;
    while !done.is_cancelled() {
        let answer = app.get(LABEL, "").await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let label = answer.body.as_str().expect("a label");
        assert_eq!(answer.header(REVISION), format!("notes@{label}"));
        requests += 1;
    }
    requests
}
