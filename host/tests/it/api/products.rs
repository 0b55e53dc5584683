//! Suppliers, products and variables, see DOMAIN.md §4.

use std::collections::BTreeSet;

use crate::support::{Answer, TestApp, on_both_databases, send};
use serde_json::{Value, json};

const PRODUCT: [&str; 16] = [
    "id",
    "name",
    "description",
    "sku",
    "supplier",
    "supplier_name",
    "unit_price",
    "cost_price",
    "category",
    "min_stock",
    "max_stock",
    "is_active",
    "requires_special_handling",
    "profit_margin",
    "created_at",
    "updated_at",
];
const SUPPLIER: [&str; 15] = [
    "id",
    "name",
    "nit",
    "email",
    "phone",
    "address",
    "city",
    "contact_person",
    "is_active",
    "credit_days",
    "rating",
    "notes",
    "products_count",
    "created_at",
    "updated_at",
];
/// The demo products in the order of the list.
const NAMES: [&str; 8] = [
    "Arnes de Seguridad",
    "Botas de Seguridad",
    "Casco de Seguridad",
    "Chaleco Reflectivo",
    "Gafas de Proteccion",
    "Guantes Industriales",
    "Mascarilla N95",
    "Protector Auditivo",
];

on_both_databases! {
    async fn the_list_holds_the_active_products_by_name(app) {
        let list = app.get("/api/products/", "").await;
        assert_eq!((list.status, names(&list)), (200, NAMES.to_vec()));
        assert_eq!((list.header("x-total-count"), list.header("link")), ("", ""), "no page was asked for");
        array(&list).iter().for_each(|product| assert_keys(product, &PRODUCT));
        let helmet = &list.body[2];
        for (key, value) in [
            ("id", json!(1)), ("name", json!("Casco de Seguridad")), ("description", json!("Casco clase A")),
            ("sku", json!("CSI-001")), ("supplier", json!(1)), ("supplier_name", json!("Distribuidora Andina")),
            ("unit_price", json!("45000.00")), ("cost_price", json!("30000.00")), ("category", json!("EPP")),
            ("min_stock", json!(50)), ("max_stock", json!(500)), ("is_active", json!(true)),
            ("requires_special_handling", json!(false)), ("profit_margin", json!(50.0)),
        ] {
            assert_eq!(helmet[key], value, "{key}");
        }
        for key in ["created_at", "updated_at"] {
            let moment = helmet[key].as_str().expect("a text");
            assert!(moment.len() == 32 && moment.ends_with("-05:00"), "{moment}");
        }
    }

    async fn the_list_is_filtered_and_paged(app) {
        let token = app.token("operario").await;
        assert_eq!(app.delete("/api/products/8/", &token).await.status, 204);
        for (query, expected) in [
            ("category=EPP", vec![NAMES[2], NAMES[3], NAMES[4], NAMES[5], NAMES[7]]),
            ("category=epp", vec![]),
            ("supplier=1&category=Calzado", vec![NAMES[1]]),
            ("supplier=99", vec![]),
            ("search=SEGURIDAD", vec![NAMES[1], NAMES[2]]),
            ("search=csi-0", vec![NAMES[2]]),
            ("search=%25", vec![]),
            ("is_active=false", vec![NAMES[0]]),
            ("is_active=true&limit=2", vec![NAMES[1], NAMES[2]]),
            ("desconocido=1", NAMES[1..].to_vec()),
            ("limit=500", NAMES[1..].to_vec()),
        ] {
            let list = app.get(&format!("/api/products/?{query}"), "").await;
            assert_eq!((list.status, names(&list)), (200, expected), "{query}");
        }
        let page = app.get("/api/products/?limit=3&offset=3&supplier=1", "").await;
        assert_eq!((page.status, names(&page)), (200, NAMES[4..7].to_vec()));
        assert_eq!(page.header("x-total-count"), "7");
        let link = page.header("link");
        for part in ["rel=\"next\"", "limit=3&offset=6", "rel=\"prev\"", "limit=3&offset=0", "supplier=1"] {
            assert!(link.contains(part), "{part} is not in {link}");
        }
        let last = app.get("/api/products/?limit=3&offset=6", "").await;
        assert_eq!(names(&last), NAMES[7..].to_vec());
        assert!(!last.header("link").contains("rel=\"next\""), "{}", last.header("link"));
        let rest = app.get("/api/products/?offset=5", "").await;
        assert_eq!((rest.status, names(&rest)), (200, NAMES[6..].to_vec()));
        assert_eq!(rest.header("x-total-count"), "7", "an offset alone asks for a page too");
        for (parameter, values) in [
            ("limit", vec!["0", "-1", "501", "diez", ""]),
            ("offset", vec!["-1", "x"]),
            ("supplier", vec!["andina"]),
            ("is_active", vec!["quizas"]),
        ] {
            for value in values {
                let wrong = app.get(&format!("/api/products/?{parameter}={value}"), "").await;
                assert_fields(&wrong, &[parameter]);
            }
        }
        assert_fields(&app.get("/api/products/?limit=0&offset=-1", "").await, &["limit", "offset"]);
    }

    async fn a_product_is_found_by_id_and_by_its_exact_name(app) {
        let token = app.token("operario").await;
        let created = app.post("/api/products/", &token, &json!({ "name": "Protección Visual-2" })).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        let by_id = format!("/api/products/{}/", created.body["id"]);
        let by_name = "/api/products/name/Protecci%C3%B3n%20Visual-2/";
        for path in [&*by_id, by_name] {
            let found = app.get(path, "").await;
            assert_eq!((found.status, &found.body), (200, &created.body), "{path}");
        }
        let helmet = app.get("/api/products/name/Casco%20de%20Seguridad/", "").await;
        assert_eq!((helmet.status, &helmet.body["id"]), (200, &json!(1)));
        for path in [
            "/api/products/99/",
            "/api/products/99999999999999999999/",
            "/api/products/name/casco%20de%20seguridad/",
            "/api/products/name/Protecci%C3%B3n%20visual-2/",
            "/api/products/name/Proteccion%20Visual-2/",
            "/api/products/name/Casco/",
        ] {
            assert_no_product(&app.get(path, "").await);
        }

        let gone = app.delete(&by_id, &token).await;
        assert_eq!((gone.status, &gone.body), (204, &Value::Null));
        let inactive = app.get(&by_id, "").await;
        assert_eq!((inactive.status, &inactive.body["is_active"]), (200, &json!(false)));
        assert_no_product(&app.get(by_name, "").await);
        assert_eq!(names(&app.get("/api/products/", "").await), NAMES);
        assert_no_product(&app.delete("/api/products/99/", &token).await);
    }

    async fn staff_creates_a_product_with_nothing_but_a_name(app) {
        let new = json!({ "name": "  Linterna LED  " });
        let cliente = app.token("cliente").await;
        for path in ["/api/products/", "/api/products/create/"] {
            assert_access(&app.post(path, "", &new).await, &app.post(path, &cliente, &new).await);
        }
        let token = app.token("operario").await;
        let created = app.post("/api/products/", &token, &new).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        let keys: Vec<&str> = PRODUCT.into_iter().filter(|key| *key != "supplier_name").collect();
        assert_keys(&created.body, &keys);
        for (key, value) in [
            ("name", json!("Linterna LED")), ("description", json!(null)), ("sku", json!(null)),
            ("supplier", json!(null)), ("unit_price", json!("0.00")), ("cost_price", json!("0.00")),
            ("category", json!(null)), ("min_stock", json!(0)), ("max_stock", json!(10000)),
            ("is_active", json!(true)), ("requires_special_handling", json!(false)), ("profit_margin", json!(0.0)),
        ] {
            assert_eq!(created.body[key], value, "{key}");
        }
        let priced =
            json!({ "name": "Cinta", "sku": "CIN-1", "supplier": 1, "unit_price": 100.5, "cost_price": "300" });
        let priced = app.post("/api/products/create/", &app.token("admin").await, &priced).await;
        assert_eq!(priced.status, 201, "{:?}", priced.body);
        assert_keys(&priced.body, &PRODUCT);
        for (key, value) in [
            ("supplier_name", json!("Distribuidora Andina")), ("unit_price", json!("100.50")),
            ("cost_price", json!("300.00")), ("profit_margin", json!(-66.5)),
        ] {
            assert_eq!(priced.body[key], value, "{key}");
        }

        let path = format!("/api/products/{}/", priced.body["id"]);
        let patch = json!({ "sku": null, "supplier": null, "unit_price": 99_999_999.99 });
        assert_access(&app.patch(&path, "", &patch).await, &app.patch(&path, &cliente, &patch).await);
        assert_access(&app.delete(&path, "").await, &app.delete(&path, &cliente).await);
        let changed = app.patch(&path, &token, &patch).await;
        assert_eq!(changed.status, 200, "{:?}", changed.body);
        assert_keys(&changed.body, &keys);
        assert_eq!((&changed.body["sku"], &changed.body["unit_price"]), (&Value::Null, &json!("99999999.99")));
        assert_eq!(changed.body["cost_price"], "300.00", "what is not sent stays");
        assert_no_product(&app.patch("/api/products/99/", &token, &patch).await);
    }

    async fn a_product_with_wrong_fields_is_refused(app) {
        let token = app.token("operario").await;
        let several = json!({
            "name": "", "unit_price": "gratis", "min_stock": -1, "max_stock": 1.5, "is_active": "sí", "category": 7,
            "supplier": "andina",
        });
        let fields = ["name", "unit_price", "min_stock", "max_stock", "is_active", "category", "supplier"];
        assert_fields(&app.post("/api/products/", &token, &several).await, &fields);
        assert_fields(&app.post("/api/products/create/", &token, &json!({})).await, &["name"]);
        for (key, value) in [
            ("name", json!("Casco de Seguridad")),
            ("name", json!("a/b")),
            ("name", json!("x".repeat(101))),
            ("sku", json!("CSI-001")),
            ("sku", json!("x".repeat(51))),
            ("supplier", json!(99)),
            ("unit_price", json!(10.999)),
            ("unit_price", json!("10.999")),
            ("cost_price", json!(-1)),
            ("cost_price", json!("100000000")),
        ] {
            let mut body = json!({ "name": "Nuevo" });
            body[key] = value.clone();
            assert_fields(&app.post("/api/products/", &token, &body).await, &[key]);
            let mut patch = json!({});
            patch[key] = value;
            assert_fields(&app.patch("/api/products/2/", &token, &patch).await, &[key]);
        }
        let body = json!({ "name": "Nuevo", "min_stock": 11, "max_stock": 10 });
        assert_fields(&app.post("/api/products/", &token, &body).await, &["non_field_errors"]);
        let above = json!({ "min_stock": 501 });
        assert_fields(&app.patch("/api/products/1/", &token, &above).await, &["non_field_errors"]);
        assert_eq!(names(&app.get("/api/products/", "").await), NAMES, "nothing was stored");
    }

    async fn a_repeated_key_creates_one_product(app) {
        let (operario, admin) = (app.token("operario").await, app.token("admin").await);
        let first = create_with_key(app, &operario, "k-1", &json!({ "name": "Linterna" })).await;
        assert_eq!(first.status, 201, "{:?}", first.body);
        let again = create_with_key(app, &operario, "k-1", &json!({ "name": "Linterna" })).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        let other = create_with_key(app, &operario, "k-1", &json!({ "name": "Cuerda" })).await;
        assert_eq!(other.status, 409);
        assert_keys(&other.body, &["error"]);
        let others_key = create_with_key(app, &admin, "k-1", &json!({ "name": "Cuerda" })).await;
        assert_eq!(others_key.status, 201, "a key is the caller's own: {:?}", others_key.body);
        let no_key = app.post("/api/products/", &operario, &json!({ "name": "Linterna" })).await;
        assert_fields(&no_key, &["name"]);
        assert_eq!(array(&app.get("/api/products/?search=linterna", "").await).len(), 1);

        let variable = json!({ "name": "Peso", "product": 1 });
        for (path, body) in [("/api/suppliers/", &supplier()), ("/api/variables/", &variable)] {
            let request = || app.request("POST", path).bearer_auth(&admin).header("Idempotency-Key", "k").json(body);
            let (first, again) = (send(request()).await, send(request()).await);
            assert_eq!((first.status, again.status, &again.body), (201, 201, &first.body), "{path}");
        }
    }

    async fn requests_with_one_key_at_once_create_one_product(app) {
        let token = app.token("operario").await;
        let body = json!({ "name": "Linterna" });
        let answers = futures::future::join_all((0..8).map(|_| create_with_key(app, &token, "k-1", &body))).await;
        for answer in &answers {
            assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        }
        let list = app.get("/api/products/", "").await;
        assert_eq!(names(&list).into_iter().filter(|name| *name == "Linterna").count(), 1);
    }

    async fn suppliers_are_listed_for_the_signed_in_and_kept_by_staff(app) {
        let (cliente, token) = (app.token("cliente").await, app.token("operario").await);
        assert_eq!(app.get("/api/suppliers/", "").await.status, 401);
        let list = app.get("/api/suppliers/", &cliente).await;
        assert_eq!((list.status, names(&list)), (200, vec!["Distribuidora Andina"]));
        assert_keys(&list.body[0], &SUPPLIER);
        for (key, value) in [
            ("id", json!(1)), ("nit", json!("900123456-7")), ("email", json!("ventas@andina.co")),
            ("city", json!("Bogotá")), ("contact_person", json!("Juan Pérez")), ("credit_days", json!(30)),
            ("rating", json!("4.50")), ("notes", json!(null)), ("products_count", json!(8)),
        ] {
            assert_eq!(list.body[0][key], value, "{key}");
        }

        let (path, new) = ("/api/suppliers/", supplier());
        assert_access(&app.post(path, "", &new).await, &app.post(path, &cliente, &new).await);
        let created = app.post(path, &token, &new).await;
        assert_eq!(created.status, 201, "{:?}", created.body);
        assert_keys(&created.body, &SUPPLIER);
        for (key, value) in [
            ("is_active", json!(true)), ("credit_days", json!(30)), ("notes", json!(null)),
            ("products_count", json!(0)),
        ] {
            assert_eq!(created.body[key], value, "{key}");
        }
        assert_eq!(names(&app.get(path, &token).await), ["Acme", "Distribuidora Andina"]);
        let page = app.get("/api/suppliers/?limit=1&offset=1", &token).await;
        assert_eq!(page.status, 200, "{:?}", page.body);
        assert_eq!((names(&page), page.header("x-total-count")), (vec!["Distribuidora Andina"], "2"));

        let one = format!("/api/suppliers/{}/", created.body["id"]);
        let patch = json!({ "rating": 3.5, "notes": "Paga tarde", "credit_days": 0 });
        assert_access(&app.patch(&one, "", &patch).await, &app.patch(&one, &cliente, &patch).await);
        let changed = app.patch(&one, &token, &patch).await;
        assert_eq!((changed.status, &changed.body["rating"]), (200, &json!("3.50")), "{:?}", changed.body);
        assert_eq!((&changed.body["notes"], &changed.body["credit_days"]), (&json!("Paga tarde"), &json!(0)));
        let cleared = app.patch(&one, &token, &json!({ "notes": null })).await;
        assert_eq!((&cleared.body["notes"], &cleared.body["name"]), (&Value::Null, &json!("Acme")));
        assert_access(&app.delete(&one, "").await, &app.delete(&one, &cliente).await);
        assert_eq!(app.delete(&one, &token).await.status, 204);
        assert_eq!(names(&app.get(path, &token).await), ["Distribuidora Andina"]);
        let unknown = "/api/suppliers/99/";
        for none in [app.patch(unknown, &token, &patch).await, app.delete(unknown, &token).await] {
            assert_eq!(none.status, 404);
            assert_keys(&none.body, &["error"]);
        }
    }

    async fn a_supplier_with_wrong_fields_is_refused(app) {
        let token = app.token("operario").await;
        let required = ["name", "nit", "email", "phone", "address", "city", "contact_person"];
        assert_fields(&app.post("/api/suppliers/", &token, &json!({})).await, &required);
        let other = app.post("/api/suppliers/", &token, &supplier()).await;
        let other = format!("/api/suppliers/{}/", other.body["id"]);
        let mut unused = supplier();
        for (key, value) in [("name", "Nueva"), ("nit", "800123456-2"), ("email", "ventas@nueva.co")] {
            unused[key] = json!(value);
        }
        for (key, value) in [
            ("name", json!("Distribuidora Andina")),
            ("nit", json!("900123456-7")),
            ("email", json!("ventas@andina.co")),
            ("nit", json!("900123456")),
            ("nit", json!("90012345-67")),
            ("nit", json!("900123456-77")),
            ("email", json!("andina.co")),
            ("rating", json!("5.01")),
            ("rating", json!(4.555)),
            ("credit_days", json!(366)),
            ("credit_days", json!(-1)),
            ("city", json!("x".repeat(101))),
        ] {
            let mut body = unused.clone();
            body[key] = value.clone();
            assert_fields(&app.post("/api/suppliers/", &token, &body).await, &[key]);
            let mut patch = json!({});
            patch[key] = value;
            assert_fields(&app.patch(&other, &token, &patch).await, &[key]);
        }
    }

    async fn variables_are_public_and_kept_by_staff(app) {
        let (cliente, token) = (app.token("cliente").await, app.token("operario").await);
        let list = app.get("/api/variables/", "").await;
        let ids: Vec<i64> = array(&list).iter().map(|variable| variable["id"].as_i64().expect("an id")).collect();
        assert_eq!((list.status, ids), (200, (1..=8).collect::<Vec<i64>>()));
        let temperature = json!({ "id": 1, "name": "Temperatura", "product": 1, "product_name": "Casco de Seguridad" });
        assert_eq!(list.body[0], temperature);
        let of_helmet = app.get("/api/variables/?product=1", "").await;
        assert_eq!((of_helmet.status, &of_helmet.body), (200, &json!([temperature])));
        assert_eq!(app.get("/api/variables/?product=99", "").await.body, json!([]));
        assert_fields(&app.get("/api/variables/?product=casco", "").await, &["product"]);
        let page = app.get("/api/variables/?limit=2", "").await;
        assert_eq!((array(&page).len(), page.header("x-total-count")), (2, "8"));

        let (path, new) = ("/api/variables/", json!({ "name": " Peso " }));
        assert_access(&app.post(path, "", &new).await, &app.post(path, &cliente, &new).await);
        let created = app.post(path, &token, &new).await;
        let id = created.body["id"].clone();
        assert_eq!(created.status, 201, "{:?}", created.body);
        assert_eq!(created.body, json!({ "id": id, "name": "Peso", "product": null }), "no name of no product");
        assert_fields(&app.post(path, &token, &json!({ "product": 1 })).await, &["name"]);
        assert_fields(&app.post(path, &token, &json!({ "name": "x".repeat(51) })).await, &["name"]);
        assert_fields(&app.post(path, &token, &json!({ "name": "Peso", "product": 99 })).await, &["product"]);

        let one = format!("/api/variables/{id}/");
        let patch = json!({ "product": 1 });
        assert_access(&app.patch(&one, "", &patch).await, &app.patch(&one, &cliente, &patch).await);
        let changed = app.patch(&one, &token, &patch).await;
        let expected = json!({ "id": id, "name": "Peso", "product": 1, "product_name": "Casco de Seguridad" });
        assert_eq!((changed.status, &changed.body), (200, &expected));
        assert_fields(&app.patch(&one, &token, &json!({ "product": 99 })).await, &["product"]);
        let loose = app.patch(&one, &token, &json!({ "name": "Masa", "product": null })).await;
        assert_eq!((loose.status, &loose.body), (200, &json!({ "id": id, "name": "Masa", "product": null })));
        assert_access(&app.delete(&one, "").await, &app.delete(&one, &cliente).await);
        assert_eq!(app.delete(&one, &token).await.status, 204);
        assert_eq!(array(&app.get(path, "").await).len(), 8);
        for none in [app.patch(&one, &token, &patch).await, app.delete(&one, &token).await] {
            assert_eq!(none.status, 404);
            assert_keys(&none.body, &["error"]);
        }
    }
}

/// A supplier that is not there yet.
fn supplier() -> Value {
    json!({
        "name": "Acme", "nit": "800111222-3", "email": "hola@acme.co", "phone": "6015550000",
        "address": "Carrera 7 #1-2", "city": "Cali", "contact_person": "Ana Díaz",
    })
}

async fn create_with_key(app: &TestApp, token: &str, key: &str, body: &Value) -> Answer {
    send(app.request("POST", "/api/products/").bearer_auth(token).header("Idempotency-Key", key).json(body)).await
}

fn array(answer: &Answer) -> &[Value] {
    answer.body.as_array().unwrap_or_else(|| panic!("no array: {answer:?}"))
}

fn names(answer: &Answer) -> Vec<&str> {
    array(answer).iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

fn assert_keys(object: &Value, keys: &[&str]) {
    let found: BTreeSet<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(found, keys.iter().copied().collect(), "{object}");
}

/// Checks that an answer is 400 and names exactly these fields, each with texts.
fn assert_fields(answer: &Answer, fields: &[&str]) {
    assert_eq!(answer.status, 400, "{:?} for {fields:?}", answer.body);
    assert_keys(&answer.body, fields);
    for (field, messages) in answer.body.as_object().expect("an object") {
        let messages = messages.as_array().expect("an array");
        assert!(!messages.is_empty() && messages.iter().all(Value::is_string), "{field}: {messages:?}");
    }
}

fn assert_no_product(answer: &Answer) {
    assert_eq!((answer.status, &answer.body), (404, &json!({ "error": "Producto no encontrado" })));
}

/// Checks that nobody and a CLIENTE are refused what only staff may do.
fn assert_access(nobody: &Answer, cliente: &Answer) {
    let detail = json!({ "detail": "Las credenciales de autenticación no se proveyeron." });
    assert_eq!((nobody.status, &nobody.body), (401, &detail));
    assert_eq!(nobody.header("www-authenticate"), "Bearer");
    assert_eq!(cliente.status, 403, "{:?}", cliente.body);
    assert_keys(&cliente.body, &["detail"]);
}
