//! Users and their tokens, see DOMAIN.md §3.

use super::{assert_fields, assert_forbidden, assert_keys, assert_unauthenticated};
use crate::support::{Answer, TestApp, on_both_databases, send};
use serde_json::{Value, json};

const USER_12: [&str; 12] = [
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "role",
    "phone",
    "address",
    "document_type",
    "document_number",
    "city",
    "is_active",
];
const USER_14: [&str; 14] = [
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "role",
    "phone",
    "address",
    "document_type",
    "document_number",
    "city",
    "is_active",
    "created_at",
    "updated_at",
];

on_both_databases! {
    async fn a_log_in_answers_the_user_the_token_and_the_cookie(app) {
        let login = json!({ "username": "  cliente ", "password": "cliente123" });
        let answer = app.post("/api/auth/login/", "", &login).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_keys(&answer.body, &["message", "user", "token", "token_type", "expires_in"]);
        assert_eq!(answer.body["message"], "Login exitoso");
        assert_eq!(answer.body["token_type"], "Bearer");
        assert_eq!(answer.body["expires_in"], 28800);
        assert_keys(&answer.body["user"], &USER_14);
        assert_moment(&answer.body["user"]["created_at"]);
        assert_moment(&answer.body["user"]["updated_at"]);
        let token = answer.body["token"].as_str().expect("a token");
        let cookie: Vec<&str> = answer.header("set-cookie").split("; ").collect();
        assert_eq!(cookie[0], format!("sessionid={token}"));
        assert!(cookie.contains(&"HttpOnly") && cookie.contains(&"SameSite=Lax"), "{cookie:?}");
        assert!(!cookie.contains(&"Secure"), "there is no TLS here: {cookie:?}");

        let text = text_of_log_in(app).await;
        assert_order(&text, &["message", "user", "token", "token_type", "expires_in"]);
        assert_order(&text, &USER_14);

        let verified = app.get("/api/auth/verify/", token).await;
        assert_eq!(verified.status, 200);
        assert_eq!(verified.body, json!({ "valid": true, "user": answer.body["user"] }));
        let profile = app.get("/api/auth/profile/", token).await;
        assert_eq!(profile.status, 200);
        assert_eq!(profile.body, cliente());

        let keys = app.get("/.well-known/jwks.json", "").await;
        assert_eq!(keys.status, 200);
        assert_eq!(keys.body["keys"][0]["crv"], "Ed25519");
        assert!(keys.body["keys"][0].get("d").is_none(), "the private key is shown");
    }

    async fn a_log_in_names_each_wrong_field(app) {
        for (body, wrong) in [
            (json!({}), vec!["username", "password"]),
            (json!({ "username": "admin" }), vec!["password"]),
            (json!({ "username": "   ", "password": "" }), vec!["username", "password"]),
            (json!({ "username": null, "password": null }), vec!["username", "password"]),
            (json!({ "username": 5, "password": ["admin123"] }), vec!["username", "password"]),
            (json!({ "username": "a".repeat(151), "password": "admin123" }), vec!["username"]),
            (json!(["admin", "admin123"]), vec!["non_field_errors"]),
        ] {
            assert_fields(&app.post("/api/auth/login/", "", &body).await, &wrong);
        }
        let broken = app.request("POST", "/api/auth/login/").header("Content-Type", "application/json").body("{");
        let broken = send(broken).await;
        assert_eq!(broken.status, 400);
        assert_keys(&broken.body, &["detail"]);
        assert!(broken.body["detail"].is_string());
    }

    async fn a_wrong_password_and_an_unknown_and_an_inactive_name_read_alike(app) {
        let admin = app.token("admin").await;
        let off = app.patch("/api/users/2/", &admin, &json!({ "is_active": false })).await;
        assert_eq!((off.status, &off.body["is_active"]), (200, &json!(false)));
        for (username, password) in [
            ("cliente", "incorrecta"),
            ("cliente", " cliente123"),
            ("Cliente", "cliente123"),
            ("nadie", "cliente123"),
            ("operario", "operario123"),
        ] {
            let answer = log_in(app, username, password).await;
            assert_eq!(answer.status, 400, "{username}");
            assert_eq!(answer.body, json!({ "non_field_errors": ["Credenciales inválidas"] }), "{username}");
            assert_eq!(answer.header("set-cookie"), "", "{username}");
        }
    }

    async fn a_token_is_dead_after_the_log_out(app) {
        let (token, other) = (app.token("cliente").await, app.token("cliente").await);
        assert_unauthenticated(&app.post("/api/auth/logout/", "", &json!({})).await);
        let out = send(app.request("POST", "/api/auth/logout/").bearer_auth(&token)).await;
        assert_eq!((out.status, &out.body), (200, &json!({ "message": "Logout exitoso" })));
        for path in ["/api/auth/profile/", "/api/auth/verify/", "/api/users/3/"] {
            assert_unauthenticated(&app.get(path, &token).await);
            assert_unauthenticated(&app.get(path, "").await);
            assert_unauthenticated(&app.get(path, "no.es.un-token").await);
        }
        assert_unauthenticated(&app.post("/api/auth/logout/", &token, &json!({})).await);
        assert_eq!(app.get("/api/auth/profile/", &other).await.status, 200, "another session goes on");
    }

    async fn the_cookie_counts_unless_another_site_sends_it(app) {
        let cookie = format!("sessionid={}", app.token("cliente").await);
        let with_cookie = |method: &str, path: &str| app.request(method, path).header("Cookie", &cookie);
        let profile = send(with_cookie("GET", "/api/auth/profile/")).await;
        assert_eq!((profile.status, &profile.body), (200, &cliente()));
        for foreign in ["http://otro.example", "null"] {
            let out = send(with_cookie("POST", "/api/auth/logout/").header("Origin", foreign)).await;
            assert_unauthenticated(&out);
        }
        let still = send(with_cookie("GET", "/api/auth/profile/").header("Origin", "http://otro.example")).await;
        assert_eq!(still.status, 200);
        let out = send(with_cookie("POST", "/api/auth/logout/").header("Origin", app.base())).await;
        assert_eq!(out.status, 200);
        assert_unauthenticated(&send(with_cookie("GET", "/api/auth/profile/")).await);
    }

    async fn a_user_is_read_by_oneself_and_by_staff(app) {
        let cliente_token = app.token("cliente").await;
        let own = app.get("/api/users/3/", &cliente_token).await;
        assert_eq!((own.status, &own.body), (200, &cliente()));
        for id in [1, 2, 99] {
            assert_forbidden(&app.get(&format!("/api/users/{id}/"), &cliente_token).await);
        }
        assert_unauthenticated(&app.get("/api/users/3/", "").await);
        let admin = app.token("admin").await;
        for staff in [&admin, &app.token("operario").await] {
            let read = app.get("/api/users/3/", staff).await;
            assert_eq!((read.status, &read.body), (200, &cliente()));
            for unknown in ["/api/users/99/", "/api/users/99999999999999999999/"] {
                let none = app.get(unknown, staff).await;
                assert_eq!((none.status, &none.body), (404, &json!({ "error": "Usuario no encontrado" })));
            }
        }
        let operario = app.get("/api/users/2/", &admin).await.body;
        assert_keys(&operario, &USER_12);
        for (key, value) in
            [("username", "operario"), ("role", "OPERARIO"), ("first_name", "Juan"), ("phone", "3001234567")]
        {
            assert_eq!(operario[key], value);
        }
    }

    async fn only_an_admin_lists_creates_and_changes_users(app) {
        let new = json!({
            "username": "ana.maría", "password": "correo-lento-7", "email": "ana@logistica.com",
            "first_name": " Ana ", "document_type": "CC", "document_number": "1020304050",
        });
        let (cliente_token, operario_token) = (app.token("cliente").await, app.token("operario").await);
        for (token, status) in [("", 401), (&*cliente_token, 403), (&*operario_token, 403)] {
            assert_eq!(app.get("/api/users/", token).await.status, status);
            assert_eq!(app.post("/api/users/", token, &new).await.status, status);
            assert_eq!(app.patch("/api/users/3/", token, &json!({ "city": "Cali" })).await.status, status);
        }
        let admin = app.token("admin").await;
        let created = create_with_key(app, &admin, &new).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        assert_keys(&created.body, &USER_14);
        let expected = json!(["ana.maría", "Ana", "", "CLIENTE", "CC", "1020304050", null, true]);
        let shown = [
            "username", "first_name", "last_name", "role", "document_type", "document_number", "city", "is_active",
        ];
        assert_eq!(shown.map(|key| created.body[key].clone()).as_slice(), expected.as_array().expect("an array"));
        let again = create_with_key(app, &admin, &new).await;
        assert_eq!((again.status, &again.body), (201, &created.body), "the same key gives the first answer");
        let mut other = new.clone();
        other["username"] = json!("otra");
        let conflict = create_with_key(app, &admin, &other).await;
        assert_eq!(conflict.status, 409);
        assert_keys(&conflict.body, &["error"]);

        let list = app.get("/api/users/", &admin).await;
        assert_eq!(list.status, 200);
        let names: Vec<&Value> = list.body.as_array().expect("an array").iter().map(|user| &user["username"]).collect();
        assert_eq!(names, ["admin", "operario", "cliente", "ana.maría"]);
        list.body.as_array().expect("an array").iter().for_each(|user| assert_keys(user, &USER_14));

        let path = format!("/api/users/{}/", created.body["id"]);
        let changed = app.patch(&path, &admin, &json!({ "city": "Cali", "document_type": null })).await;
        assert_eq!((changed.status, &changed.body["city"]), (200, &json!("Cali")));
        assert_eq!(changed.body["document_type"], Value::Null);
        assert_eq!(changed.body["first_name"], "Ana", "what is not sent stays");
        assert_eq!(log_in(app, "ana.maría", "correo-lento-7").await.status, 200);
        let none = app.patch("/api/users/99/", &admin, &json!({ "city": "Cali" })).await;
        assert_eq!((none.status, &none.body), (404, &json!({ "error": "Usuario no encontrado" })));
    }

    async fn a_user_with_wrong_fields_is_refused(app) {
        let admin = app.token("admin").await;
        assert_fields(&app.post("/api/users/", &admin, &json!({})).await, &["username", "password", "email"]);
        let good = json!({
            "username": "nueva", "password": "correo-lento-7", "email": "nueva@logistica.com",
            "document_number": "77",
        });
        for (key, value) in [
            ("username", json!("admin")),
            ("username", json!("con espacio")),
            ("username", json!("a".repeat(151))),
            ("password", json!("corta")),
            ("password", json!("password123")),
            ("email", json!("no-es-correo")),
            ("role", json!("JEFE")),
            ("document_type", json!("DNI")),
            ("phone", json!("3".repeat(21))),
            ("is_active", json!("sí")),
        ] {
            let mut body = good.clone();
            body[key] = value;
            assert_fields(&app.post("/api/users/", &admin, &body).await, &[key]);
        }
        let mut body = good.clone();
        (body["username"], body["password"]) = (json!("nombre.largo"), json!("Nombre.Largo"));
        assert_fields(&app.post("/api/users/", &admin, &body).await, &["password"]);
        (body["username"], body["password"]) = (json!("a/b"), json!("1234567"));
        assert_fields(&app.post("/api/users/", &admin, &body).await, &["username", "password"]);

        assert_eq!(app.post("/api/users/", &admin, &good).await.status, 201);
        let mut same_document = good.clone();
        same_document["username"] = json!("gemela");
        assert_fields(&app.post("/api/users/", &admin, &same_document).await, &["document_number"]);
        assert_fields(&app.patch("/api/users/3/", &admin, &json!({ "username": "nueva" })).await, &["username"]);
        assert_fields(&app.patch("/api/users/3/", &admin, &json!({ "role": "JEFE" })).await, &["role"]);
        assert_fields(&app.patch("/api/users/3/", &admin, &json!({ "password": "cliente" })).await, &["password"]);
    }

    async fn a_new_password_or_role_and_a_deactivation_end_the_tokens(app) {
        let (admin, first, second) = (app.token("admin").await, app.token("cliente").await, app.token("cliente").await);
        let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
        let path = "/api/auth/password/";
        assert_unauthenticated(&app.post(path, "", &change("cliente123", "correo-lento-7")).await);
        assert_fields(&app.post(path, &first, &json!({})).await, &["current_password", "new_password"]);
        assert_fields(&app.post(path, &first, &change("otra", "correo-lento-7")).await, &["current_password"]);
        assert_fields(&app.post(path, &first, &change("cliente123", "cliente")).await, &["new_password"]);
        assert_eq!(app.get("/api/auth/profile/", &first).await.status, 200, "a refusal ends nothing");
        let changed = app.post(path, &first, &change("cliente123", "correo-lento-7")).await;
        assert_eq!(changed.status, 200, "{:?}", changed.body);
        assert_keys(&changed.body, &["message"]);
        for token in [&first, &second] {
            assert_unauthenticated(&app.get("/api/auth/profile/", token).await);
        }
        assert_eq!(log_in(app, "cliente", "cliente123").await.status, 400);

        let token = app.token_for("cliente", "correo-lento-7").await;
        let city = app.patch("/api/users/3/", &admin, &json!({ "city": "Cali" })).await;
        assert_eq!(city.status, 200);
        assert_eq!(app.get("/api/auth/profile/", &token).await.status, 200, "a new city ends nothing");
        for (password, patch) in [
            ("correo-lento-7", json!({ "role": "OPERARIO" })),
            ("correo-lento-7", json!({ "password": "tinta-verde-9" })),
            ("tinta-verde-9", json!({ "is_active": false })),
        ] {
            let token = app.token_for("cliente", password).await;
            assert_eq!(app.get("/api/auth/profile/", &token).await.status, 200);
            assert_eq!(app.patch("/api/users/3/", &admin, &patch).await.status, 200, "{patch}");
            assert_unauthenticated(&app.get("/api/auth/profile/", &token).await);
        }
        assert_eq!(app.get("/api/auth/profile/", &admin).await.status, 200, "others' tokens live on");
    }

    async fn ten_failures_close_a_name_and_no_other(app) {
        let token = app.token("cliente").await;
        for failure in 1..=10 {
            assert_eq!(log_in(app, "cliente", "incorrecta").await.status, 400, "failure {failure}");
        }
        for password in ["cliente123", "incorrecta"] {
            let closed = log_in(app, "cliente", password).await;
            assert_eq!(closed.status, 429);
            assert_keys(&closed.body, &["detail"]);
            let seconds: u64 = closed.header("retry-after").parse().expect("seconds");
            assert!((1..=900).contains(&seconds), "{seconds}");
        }
        assert_eq!(log_in(app, "operario", "operario123").await.status, 200);
        assert_eq!(app.get("/api/auth/profile/", &token).await.status, 200, "a token stays good");
    }
}

async fn log_in(app: &TestApp, username: &str, password: &str) -> Answer {
    app.post("/api/auth/login/", "", &json!({ "username": username, "password": password })).await
}

async fn text_of_log_in(app: &TestApp) -> String {
    let login = json!({ "username": "cliente", "password": "cliente123" });
    let response = app.request("POST", "/api/auth/login/").json(&login).send().await.expect("an answer");
    String::from_utf8(response.bytes().await.expect("a body").to_vec()).expect("UTF-8")
}

async fn create_with_key(app: &TestApp, token: &str, body: &Value) -> Answer {
    send(app.request("POST", "/api/users/").bearer_auth(token).header("Idempotency-Key", "alta-1").json(body)).await
}

/// The demo user `cliente` as `User12`.
fn cliente() -> Value {
    json!({
        "id": 3, "username": "cliente", "email": "cliente@logistica.com", "first_name": "Maria",
        "last_name": "Garcia", "role": "CLIENTE", "phone": "3009876543", "address": "Calle 123 #45-67, Bogota",
        "document_type": null, "document_number": null, "city": null, "is_active": true,
    })
}

/// Checks that keys follow each other in a JSON text.
fn assert_order(text: &str, keys: &[&str]) {
    let place = |key: &&str| text.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key}: {text}"));
    let places: Vec<usize> = keys.iter().map(place).collect();
    assert!(places.is_sorted(), "{keys:?} at {places:?}: {text}");
}

fn assert_moment(value: &Value) {
    let text = value.as_str().expect("a text");
    assert!(text.len() == 32 && text.ends_with("-05:00"), "{text}");
}
