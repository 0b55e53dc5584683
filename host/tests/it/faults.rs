//! What a bad component, a fifth service and a wrong start do to the others: nothing.

use serde_json::json;

use crate::support::{Backend, TestApp, root};

fn with(name: &str, grants: &str) -> String {
    let file = root().join(format!("target/fixtures/fixture_{name}.wasm"));
    format!("[services.{name}]\ncomponent = \"{}\"\ngrants = [{grants}]\n", file.display())
}

async fn faulty(backend: Backend) -> Option<TestApp> {
    let limits = "limits = { deadline = \"500ms\", memory = \"16MiB\" }\n";
    TestApp::start_with(backend, &(with("faulty", "\"sql\"") + limits)).await
}

async fn each_fault_ends_alone(backend: Backend) {
    let Some(app) = faulty(backend).await else { return };
    let invalid = json!({ "error": "El servicio respondió de forma inválida" });
    let late = json!({ "error": "El servicio no respondió a tiempo" });
    for (path, status, body) in [
        ("panic/", 502, &invalid),
        ("loop/", 504, &late),
        ("memory/", 502, &invalid),
        ("recursion/", 502, &invalid),
        ("status/0/", 502, &invalid),
        ("status/99/", 502, &invalid),
        ("status/101/", 502, &invalid),
        ("status/1000/", 502, &invalid),
        ("header/", 502, &invalid),
        ("huge/", 502, &invalid),
        ("transaction/", 502, &invalid),
    ] {
        let answer = app.get(&format!("/api/faulty/{path}"), "").await;
        assert_eq!((answer.status, &answer.body), (status, body), "{path}");
        assert_eq!(app.get("/api/products/1/", "").await.status, 200, "a neighbour after {path}");
    }
    // The transaction of the trapped guest was rolled back, and its connection is free again.
    assert_eq!(app.get("/api/faulty/marks/", "").await.body, json!(0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_ends_alone_on_sqlite() {
    each_fault_ends_alone(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_ends_alone_on_postgres() {
    each_fault_ends_alone(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_leaves_the_threads_to_others() {
    let app = faulty(Backend::Sqlite).await.expect("SQLite needs nothing");
    let loops = futures::future::join_all((0..4).map(|_| app.get("/api/faulty/loop/", "")));
    let others = async {
        for _ in 0..20 {
            assert_eq!(app.get("/api/products/1/", "").await.status, 200);
        }
    };
    let (loops, ()) = futures::join!(loops, others);
    assert!(loops.iter().all(|answer| answer.status == 504));
    app.stop().await;
}

async fn a_fifth_service_needs_no_change_of_the_host(backend: Backend) {
    let more = with("reviews", "\"sql\", \"provesi:products/catalog\"");
    let Some(app) = TestApp::start_with(backend, &more).await else { return };
    let created = app.post("/api/reviews/", "", &json!({ "product": "Casco de Seguridad", "stars": 5 })).await;
    let expected = json!({ "id": 1, "product_name": "Casco de Seguridad", "stars": 5 });
    assert_eq!((created.status, &created.body), (201, &expected));
    assert_eq!(app.get("/api/reviews/", "").await.body, json!([expected]));
    let unknown = app.post("/api/reviews/", "", &json!({ "product": "Nada", "stars": 5 })).await;
    assert_eq!((unknown.status, unknown.body), (404, json!({ "error": "Producto no encontrado" })));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_service_needs_no_change_of_the_host_on_sqlite() {
    a_fifth_service_needs_no_change_of_the_host(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_service_needs_no_change_of_the_host_on_postgres() {
    a_fifth_service_needs_no_change_of_the_host(Backend::Postgres).await;
}
