//! Suppliers, products and variables, see DOMAIN.md §4.

mod reads;
mod suppliers;
mod variables;
mod writes;

use super::{assert_fields, assert_forbidden, assert_keys, assert_unauthenticated};
use crate::support::Answer;
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

/// A supplier that is not there yet.
fn supplier() -> Value {
    json!({
        "name": "Acme", "nit": "800111222-3", "email": "hola@acme.co", "phone": "6015550000",
        "address": "Carrera 7 #1-2", "city": "Cali", "contact_person": "Ana Díaz",
    })
}

fn array(answer: &Answer) -> &[Value] {
    answer.body.as_array().unwrap_or_else(|| panic!("no array: {answer:?}"))
}

fn names(answer: &Answer) -> Vec<&str> {
    array(answer).iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

fn assert_no_product(answer: &Answer) {
    assert_eq!((answer.status, &answer.body), (404, &json!({ "error": "Producto no encontrado" })));
}

/// Checks that nobody and a CLIENTE are refused what only staff may do.
fn assert_access(nobody: &Answer, cliente: &Answer) {
    assert_unauthenticated(nobody);
    assert_forbidden(cliente);
}
