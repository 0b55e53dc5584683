//! `gateway.access = "open"`: what the old system showed to everybody, and what stays closed all the same.

use crate::support::{Answer, Setup, TestApp, send};
use serde_json::{Value, json};

const NO_CREDENTIALS: &str = "Las credenciales de autenticación no se proveyeron.";

async fn open() -> TestApp {
    TestApp::start_as(&Setup { access: "open", ..Setup::default() }).await
}

async fn ask(app: &TestApp, method: &str, path: &str, token: &str, body: &Value) -> Answer {
    let request = app.request(method, path).json(body);
    send(if token.is_empty() { request } else { request.bearer_auth(token) }).await
}

fn assert_unauthenticated(answer: &Answer, what: &str) {
    assert_eq!((answer.status, &answer.body), (401, &json!({ "detail": NO_CREDENTIALS })), "{what}");
    assert_eq!(answer.header("www-authenticate"), "Bearer", "{what}");
}

/// Makes a token whose signature is not the host's.
fn forged(genuine: &str) -> String {
    let (signed, signature) = genuine.rsplit_once('.').expect("a JWT");
    format!("{signed}.{}", signature.chars().rev().collect::<String>())
}

/// Every route that is not public when access is enforced, but auth's and users', in an order in which each succeeds.
fn opened() -> Vec<(&'static str, &'static str, Value, u16)> {
    let order = json!({ "units": 1, "lat": 4.71, "lon": -74.07 });
    let measurement = json!({ "variable_name": "Temperatura", "value": 21.5, "unit": "C", "place": 1 });
    vec![
        ("GET", "/api/suppliers/", Value::Null, 200),
        ("GET", "/api/inventory/Casco%20de%20Seguridad/", Value::Null, 200),
        ("GET", "/api/measurements/", Value::Null, 200),
        ("GET", "/api/orders/", Value::Null, 200),
        ("POST", "/api/products/", json!({ "name": "Silbato" }), 201),
        ("POST", "/api/products/create/", json!({ "name": "Linterna" }), 201),
        ("PATCH", "/api/products/1/", json!({ "category": "Cabeza" }), 200),
        ("DELETE", "/api/products/8/", Value::Null, 204),
        ("POST", "/api/suppliers/", supplier(), 201),
        ("PATCH", "/api/suppliers/1/", json!({ "credit_days": 15 }), 200),
        ("DELETE", "/api/suppliers/1/", Value::Null, 204),
        ("POST", "/api/variables/", json!({ "name": "Peso" }), 201),
        ("PATCH", "/api/variables/1/", json!({ "name": "Calor" }), 200),
        ("DELETE", "/api/variables/8/", Value::Null, 204),
        ("POST", "/api/warehouses/", json!({ "name": "Bodega Este", "latitude": 4.6, "longitude": -74.1 }), 201),
        ("PATCH", "/api/warehouses/3/", json!({ "capacity": 40_000 }), 200),
        (
            "POST",
            "/api/inventory/Casco%20de%20Seguridad/restock/",
            json!({ "units": 1, "warehouse": "Bodega Norte" }),
            200,
        ),
        ("POST", "/api/measurements/", measurement.clone(), 201),
        ("POST", "/api/measurements/create/", measurement, 201),
        ("POST", "/api/orders/Casco%20de%20Seguridad/", order, 200),
        (
            "POST",
            "/api/orders/create/",
            json!({ "product": "Mascarilla N95", "units": 1, "lat": 4.71, "lon": -74.07 }),
            200,
        ),
        ("GET", "/api/orders/1/", Value::Null, 200),
        ("PATCH", "/api/orders/1/status/", json!({ "status": "IN_TRANSIT" }), 200),
        ("POST", "/api/orders/2/cancel/", Value::Null, 200),
    ]
}

/// Every route of auth and users that is not public.
fn closed() -> Vec<(&'static str, &'static str, Value)> {
    let new = json!({ "username": "nueva", "password": "correo-lento-7", "email": "nueva@logistica.com" });
    let passwords = json!({ "current_password": "cliente123", "new_password": "correo-lento-7" });
    vec![
        ("GET", "/api/auth/profile/", Value::Null),
        ("GET", "/api/auth/verify/", Value::Null),
        ("POST", "/api/auth/password/", passwords),
        ("POST", "/api/auth/logout/", Value::Null),
        ("GET", "/api/users/1/", Value::Null),
        ("GET", "/api/users/", Value::Null),
        ("POST", "/api/users/", new),
        ("PATCH", "/api/users/1/", json!({ "city": "Cali" })),
    ]
}

fn supplier() -> Value {
    json!({
        "name": "Acme", "nit": "800111222-3", "email": "hola@acme.co", "phone": "6015550000",
        "address": "Carrera 7 #1-2", "city": "Cali", "contact_person": "Ana Díaz",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_gateway_wants_no_token_where_the_old_system_wanted_none() {
    let app = open().await;
    for (method, path, body, status) in opened() {
        let answer = ask(&app, method, path, "", &body).await;
        assert_eq!(answer.status, status, "{method} {path}: {:?}", answer.body);
    }
    for path in ["/api/products/", "/api/variables/", "/api/warehouses/", "/health/services/"] {
        assert_eq!(app.get(path, "").await.status, 200, "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_enforcing_gateway_wants_a_token_for_the_same_routes() {
    let app = TestApp::start_as(&Setup::default()).await;
    for (method, path, body, _) in opened() {
        assert_unauthenticated(&ask(&app, method, path, "", &body).await, &format!("{method} {path}"));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_and_tokens_stay_closed_in_an_open_gateway() {
    let app = open().await;
    let genuine = app.token("cliente").await;
    for token in ["", "no.es.un-token", &forged(&genuine)] {
        for (method, path, body) in closed() {
            assert_unauthenticated(&ask(&app, method, path, token, &body).await, &format!("{method} {path} {token}"));
        }
    }
    // Roles count there too, and the token is still good after all of that.
    for (method, path, body) in closed().into_iter().filter(|(_, path, _)| path.starts_with("/api/users/")) {
        assert_eq!(ask(&app, method, path, &genuine, &body).await.status, 403, "{method} {path}");
    }
    assert_eq!(app.get("/api/auth/profile/", &genuine).await.status, 200);
    assert_eq!(app.get("/api/users/", &app.token("admin").await).await.status, 200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_open_gateway_a_good_token_makes_a_caller_and_a_forged_one_nobody() {
    let app = open().await;
    let genuine = app.token("cliente").await;
    let path = "/api/orders/Casco%20de%20Seguridad/";
    let body = json!({ "units": 1, "lat": 4.71, "lon": -74.07 });
    let forged = forged(&genuine);
    for (token, customer) in [(&*genuine, json!(3)), (&*forged, Value::Null), ("", Value::Null)] {
        let answer = app.post(path, token, &body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(answer.body["order"]["customer_id"], customer, "{token}");
    }
    // A client sees its own orders; nobody is as in the old system, which showed all.
    let seen = async |token: &str| app.get("/api/orders/", token).await.body.as_array().map(Vec::len);
    assert_eq!(seen(&genuine).await, Some(1));
    assert_eq!(seen("").await, Some(3));
    assert_eq!(seen(&forged).await, Some(3));

    assert_eq!(app.post("/api/auth/logout/", &genuine, &json!({})).await.status, 200);
    assert_unauthenticated(&app.get("/api/auth/profile/", &genuine).await, "a token that was logged out");
    assert_eq!(seen(&genuine).await, Some(3), "a dead token makes nobody either");
    app.stop().await;
}
