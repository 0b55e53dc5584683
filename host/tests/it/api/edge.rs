//! What every route shares: ids, redirects, methods, bodies, paths, tokens, pages and health.

use std::time::Duration;

use crate::support::{Backend, TestApp, on_both_databases, send};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const NO_CREDENTIALS: &str = "Las credenciales de autenticación no se proveyeron.";

/// `{"alg":"none","typ":"JWT"}`
const ALG_NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
/// `{"alg":"HS256","typ":"JWT"}`
const ALG_HS256: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
/// Claims of an ADMIN, valid until 2286.
const ADMIN_CLAIMS: &str = concat!(
    "eyJzdWIiOiIxIiwidXNlcm5hbWUiOiJhZG1pbiIsInJvbGUiOiJBRE1JTiIsImlzcyI6InByb3Zlc2kiLCJpYXQiOjE3",
    "MDAwMDAwMDAsImV4cCI6OTk5OTk5OTk5OSwianRpIjoieCJ9"
);

/// Sends bytes as they are and returns the head of the answer; the body need not be sent whole.
async fn head_of_answer(app: &TestApp, request: &str) -> String {
    let address = app.base().strip_prefix("http://").expect("plain HTTP");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    // The host may answer and close before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let reading = async {
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut answer).await.expect("an answer") == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn has_only(body: &Value, key: &str) -> bool {
    body.as_object().is_some_and(|object| object.len() == 1) && body[key].is_string()
}

on_both_databases! {
    async fn every_answer_has_a_request_id(app) {
        let good = app.request("GET", "/api/products/").header("X-Request-Id", "abc-1.2_3");
        assert_eq!(send(good).await.header("x-request-id"), "abc-1.2_3");
        for path in ["/api/products/", "/api/nada/", "/api/products", "/health/", "/api/orders/"] {
            let id = app.get(path, "").await.header("x-request-id").to_owned();
            assert!((1..=128).contains(&id.len()), "{path} {id:?}");
            assert_ne!(id, app.get(path, "").await.header("x-request-id"), "{path}");
        }
        for bad in ["a b", "<script>", &"x".repeat(129)] {
            let request = app.request("GET", "/health/").header("X-Request-Id", bad);
            let answer = send(request).await;
            assert_eq!(answer.status, 200);
            assert!(!answer.header("x-request-id").is_empty() && answer.header("x-request-id") != bad, "{bad}");
        }
    }

    async fn a_path_without_its_slash_is_redirected(app) {
        for (method, path, location) in [
            ("GET", "/api/products", "/api/products/"),
            ("GET", "/api/products?category=EPP&a=%20", "/api/products/?category=EPP&a=%20"),
            ("GET", "/api/products/name/Casco%20de%20Seguridad", "/api/products/name/Casco%20de%20Seguridad/"),
            ("POST", "/api/auth/login", "/api/auth/login/"),
            ("PATCH", "/api/orders/1/status", "/api/orders/1/status/"),
            ("GET", "/health", "/health/"),
            ("GET", "/health/services", "/health/services/"),
        ] {
            let answer = send(app.request(method, path)).await;
            assert_eq!((answer.status, answer.header("location")), (308, location), "{method} {path}");
        }
        for path in ["/", "/api/", "/api/nada/", "/api/nada", "/api/products/1/2/", "/nada/?next=//evil.test"] {
            let answer = app.get(path, "").await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(has_only(&answer.body, "error"), "{path} {:?}", answer.body);
        }
    }

    async fn other_methods_are_refused_and_the_right_ones_named(app) {
        for (method, path, allowed) in [
            ("DELETE", "/api/auth/login/", &["POST"][..]),
            ("GET", "/api/auth/login/", &["POST"]),
            ("PUT", "/api/products/", &["GET", "POST"]),
            ("DELETE", "/api/warehouses/1/", &["GET", "PATCH"]),
            ("POST", "/api/auth/profile/", &["GET"]),
            ("POST", "/health/", &["GET"]),
            ("GET", "/api/orders/abc/", &["POST"]),
            ("POST", "/api/orders/5/", &["GET"]),
            ("OPTIONS", "/api/products/", &["GET", "POST"]),
        ] {
            let answer = send(app.request(method, path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(has_only(&answer.body, "detail"), "{method} {path} {:?}", answer.body);
            let allow: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
            for name in allowed {
                assert!(allow.contains(name), "{method} {path} allows {allow:?}");
            }
        }
        for path in ["/api/products/", "/api/products/1/", "/health/", "/health/services/"] {
            let answer = send(app.request("HEAD", path)).await;
            assert_eq!((answer.status, &answer.body), (200, &Value::Null), "{path}");
            assert!(answer.header("content-type").starts_with("application/json"), "{path}");
        }
        assert_eq!(send(app.request("HEAD", "/api/products/99/")).await.status, 404);
    }

    async fn bodies_are_json_objects_of_a_bounded_size(app) {
        let login = |kind: &str, body: &str| {
            app.request("POST", "/api/auth/login/").header("Content-Type", kind).body(body.to_owned())
        };
        let good = r#"{"username": "admin", "password": "admin123"}"#;
        assert_eq!(send(login("application/json; charset=utf-8", good)).await.status, 200);
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
            let answer = send(login(kind, good)).await;
            assert_eq!(answer.status, 415, "{kind}");
            assert!(has_only(&answer.body, "detail"), "{kind} {:?}", answer.body);
        }
        for broken in ["{", "{\"username\": }", "nada", "{} {}", "{\"username\": \"\\ud800\"}"] {
            let answer = send(login("application/json", broken)).await;
            assert_eq!(answer.status, 400, "{broken}");
            assert!(has_only(&answer.body, "detail"), "{broken} {:?}", answer.body);
        }
        for other in ["[]", "[1, 2]", "3", "null", "\"x\""] {
            assert_eq!(send(login("application/json", other)).await.status, 400, "{other}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(send(login("application/json", &deep)).await.status, 400);
        let empty = app.request("POST", "/api/auth/logout/").bearer_auth(app.token("admin").await);
        let empty = send(empty).await;
        assert_eq!((empty.status, empty.body), (200, json!({ "message": "Logout exitoso" })));

        // Only announced: a client that is still sending when the connection closes may miss the answer.
        let head = "POST /api/auth/login/ HTTP/1.1\r\nHost: provesi\r\nContent-Type: application/json\r\n";
        let large = head_of_answer(app, &format!("{head}Content-Length: 2097152\r\n\r\n")).await;
        assert!(large.starts_with("HTTP/1.1 413 "), "{large}");
        // Not announced: 1 MiB, the limit, and one byte.
        let chunk = format!("{:x}\r\n{}\r\n", 65_536, " ".repeat(65_536));
        let chunks = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}1\r\n \r\n", chunk.repeat(16));
        let large = head_of_answer(app, &chunks).await;
        assert!(large.starts_with("HTTP/1.1 413 "), "{large}");
        assert!(large.to_lowercase().contains("application/json"), "{large}");
    }

    async fn paths_and_texts_are_utf_8_without_nul(app) {
        let operario = app.token("operario").await;
        for bad in ["%00", "%FF", "a%00b", "%C3%28"] {
            for path in [format!("/api/products/name/{bad}/"), format!("/api/inventory/{bad}/")] {
                let answer = app.get(&path, &operario).await;
                assert_eq!(answer.status, 400, "{path}");
                assert!(has_only(&answer.body, "detail"), "{path} {:?}", answer.body);
            }
            let order = json!({ "units": 1, "lat": 4.6, "lon": -74.0 });
            assert_eq!(app.post(&format!("/api/orders/{bad}/"), &operario, &order).await.status, 400, "{bad}");
        }
        for query in ["search=%00", "search=%FF", "%FF=1"] {
            assert_eq!(app.get(&format!("/api/products/?{query}"), "").await.status, 400, "{query}");
        }
        let nul = app.post("/api/products/", &operario, &json!({ "name": "a\u{0}b" })).await;
        assert_eq!(nul.status, 400, "{:?}", nul.body);
        assert!(nul.body["name"][0].is_string(), "{:?}", nul.body);
        let nul = json!({ "units": 1, "warehouse": "Bodega\u{0}Norte" });
        assert_eq!(app.post("/api/inventory/Mascarilla%20N95/restock/", &operario, &nul).await.status, 400);
        let nul = json!({ "product": "a\u{0}b", "units": 1, "lat": 4.6, "lon": -74.0 });
        assert_eq!(app.post("/api/orders/create/", &operario, &nul).await.status, 400);
        // An encoded slash stays inside its segment.
        assert_eq!(app.get("/api/products/name/a%2Fb/", "").await.status, 404);
    }

    async fn ids_beyond_64_bits_are_not_found(app) {
        let admin = app.token("admin").await;
        for id in ["9223372036854775807", "9223372036854775808", "99999999999999999999999"] {
            for (path, text) in [
                (format!("/api/products/{id}/"), "Producto no encontrado"),
                (format!("/api/warehouses/{id}/"), "Bodega no encontrada"),
                (format!("/api/orders/{id}/"), "Pedido no encontrado"),
                (format!("/api/users/{id}/"), "Usuario no encontrado"),
            ] {
                let answer = app.get(&path, &admin).await;
                assert_eq!((answer.status, answer.body), (404, json!({ "error": text })), "{path}");
            }
            let answer = app.post(&format!("/api/orders/{id}/cancel/"), &admin, &json!({})).await;
            assert_eq!(answer.status, 404, "{id}");
        }
    }

    async fn forged_tokens_are_no_tokens(app) {
        let genuine = app.token("cliente").await;
        let parts: Vec<&str> = genuine.split('.').collect();
        assert_eq!(parts.len(), 3);
        let (head, claims, signature) = (parts[0], parts[1], parts[2]);
        let reversed: String = signature.chars().rev().collect();
        let forged = [
            "a.b.c".to_owned(),
            "x".to_owned(),
            format!("{ALG_NONE}.{ADMIN_CLAIMS}."),
            format!("{ALG_NONE}.{claims}."),
            format!("{ALG_NONE}.{claims}.{signature}"),
            format!("{ALG_HS256}.{claims}.{signature}"),
            format!("{head}.{ADMIN_CLAIMS}.{signature}"),
            format!("{head}.{claims}.{reversed}"),
            format!("{head}.{claims}."),
            format!("{head}.{claims}"),
            format!("{genuine}.x"),
        ];
        for token in &forged {
            for path in ["/api/auth/profile/", "/api/users/", "/api/orders/"] {
                let answer = app.get(path, token).await;
                assert_eq!((answer.status, answer.body), (401, json!({ "detail": NO_CREDENTIALS })), "{path} {token}");
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
            }
        }
        let basic = app.request("GET", "/api/auth/profile/").header("Authorization", format!("Basic {genuine}"));
        assert_eq!(send(basic).await.status, 401);
        assert_eq!(app.get("/api/auth/profile/", "").await.status, 401);
        assert_eq!(app.get("/api/auth/profile/", &genuine).await.status, 200);
    }

    async fn every_list_has_pages(app) {
        let admin = app.token("admin").await;
        let lists = ["products", "suppliers", "variables", "warehouses", "measurements", "orders", "users"];
        for list in lists {
            let path = format!("/api/{list}/");
            let whole = app.get(&path, &admin).await;
            assert_eq!(whole.status, 200, "{list}");
            let whole = whole.body.as_array().expect("a bare array").clone();
            let unknown = app.get(&format!("{path}?nada=1&otra"), &admin).await;
            assert_eq!((unknown.status, unknown.body), (200, json!(whole)), "{list}");
            let page = app.get(&format!("{path}?limit=1&offset=1"), &admin).await;
            assert_eq!(page.status, 200, "{list} {:?}", page.body);
            assert_eq!(page.body, json!(whole.iter().skip(1).take(1).collect::<Vec<_>>()), "{list}");
            assert_eq!(page.header("x-total-count"), whole.len().to_string(), "{list}");
            assert_eq!(page.header("link").contains("rel=\"next\""), whole.len() > 2, "{list}");
            let all = app.get(&format!("{path}?limit=500"), &admin).await;
            assert_eq!((all.status, all.body), (200, json!(whole)), "{list}");
            for (query, parameter) in [
                ("limit=501", "limit"),
                ("limit=-1", "limit"),
                ("limit=x", "limit"),
                ("limit=99999999999999999999", "limit"),
                ("offset=-1", "offset"),
                ("offset=1.5", "offset"),
            ] {
                let answer = app.get(&format!("{path}?{query}"), &admin).await;
                assert_eq!(answer.status, 400, "{list} {query}");
                assert!(answer.body[parameter][0].is_string(), "{list} {query} {:?}", answer.body);
            }
        }
    }

    async fn health_is_public(app) {
        let answer = app.get("/health/", "").await;
        assert_eq!((answer.status, answer.body), (200, json!({ "service": "api-gateway", "status": "ok" })));
        let answer = app.get("/health/services/", "").await;
        assert_eq!(answer.status, 200);
        let list = answer.body.as_array().expect("an array");
        let mut names: Vec<&str> = list.iter().map(|item| item["service"].as_str().expect("a name")).collect();
        names.sort_unstable();
        assert_eq!(names, ["auth", "inventory", "orders", "products"]);
        for service in list {
            assert_eq!(service["status"], "ok", "{service}");
            assert!(service["revision"].as_u64().is_some_and(|number| number > 0), "{service}");
            let latency = |(name, value): (&String, &Value)| name.starts_with("latency") && value.is_number();
            assert!(service.as_object().expect("an object").iter().any(latency), "{service}");
        }
    }
}

mod a_list_that_is_too_large_for_one_answer_asks_for_pages {
    use super::*;

    async fn run(backend: Backend) {
        let small = "[services.products.limits]\nsql-result = \"64KiB\"\n";
        let Some(app) = TestApp::start_with(backend, small).await else { return };
        let token = app.token("operario").await;
        assert_eq!(app.get("/api/products/", "").await.status, 200, "the demo products fit");
        for number in 1..=4 {
            // 20 kB each: three fit, four do not.
            let body = json!({ "name": format!("Zapato {number}"), "description": "ñ".repeat(10_000) });
            assert_eq!(app.post("/api/products/", &token, &body).await.status, 201);
        }
        for query in ["", "?limit=500", "?offset=8", "?search=zapato"] {
            let answer = app.get(&format!("/api/products/{query}"), "").await;
            assert_eq!(answer.status, 400, "{query}");
            let text = answer.body["limit"][0].as_str().unwrap_or_else(|| panic!("{query}: {:?}", answer.body));
            assert!(text.contains("limit") && text.contains("offset"), "{text}");
        }
        let page = app.get("/api/products/?limit=2&offset=8", "").await;
        assert_eq!((page.status, page.header("x-total-count")), (200, "12"));
        assert_eq!(page.body[0]["name"], "Zapato 1");
        app.stop().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        run(Backend::Sqlite).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        run(Backend::Postgres).await;
    }
}
