//! Products as they are listed and found.

use super::{NAMES, PRODUCT, array, assert_fields, assert_keys, assert_no_product, names};
use crate::support::on_both_databases;
use serde_json::{Value, json};

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
}
