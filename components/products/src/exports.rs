//! What products offers: the typed interface `catalog`, and demo data for an empty database.

#![expect(unsafe_code, reason = "the generated glue of the component model")]

use provesi_sdk::bootstrap::{Bootstrap, StartMode};
use provesi_sdk::sql::{self, Connection, Database, Transaction, Value};
use provesi_sdk::{clock, columns, fill_empty, row};

use crate::store::products::{self as store, Fields};

mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        reason = "generated"
    )]
    wit_bindgen::generate!({ path: "../../wit/products", world: "provesi:products/peers" });
    pub(super) use self::exports::provesi::products::catalog::{Error, Guest, Product};
    pub(super) use export as export_peers;
}

use generated::{Error, Guest, Product};

struct Component;

generated::export_peers!(Component with_types_in generated);
provesi_sdk::bootstrap::export_bootstrap!(Component with_types_in provesi_sdk::bootstrap);

row! {
    struct Found {
        id: i64,
        name: String,
        unit_price_cents: i64,
        min_stock: i64,
    }
}

impl Guest for Component {
    fn find_by_name(name: String) -> Result<Product, Error> {
        find("name = $1", name.into())
    }

    fn find(product_id: i64) -> Result<Product, Error> {
        find("id = $1", product_id.into())
    }
}

fn find(condition: &str, value: Value) -> Result<Product, Error> {
    provesi_sdk::report_panics();
    let statement =
        format!("SELECT id, name, unit_price_cents, min_stock FROM products WHERE {condition} AND is_active = $2");
    let found = Database.first::<Found>(&statement, &[value, true.into()]).map_err(|_| Error::Unavailable)?;
    let found = found.ok_or(Error::NotFound)?;
    Ok(Product { id: found.id, name: found.name, unit_price_cents: found.unit_price_cents, min_stock: found.min_stock })
}

/// Name, SKU, category, price and cost in COP, what its variable measures.
const DEMO: [(&str, &str, &str, i64, i64, &str); 8] = [
    ("Casco de Seguridad", "CSI-001", "EPP", 45_000, 30_000, "Temperatura"),
    ("Guantes Industriales", "GIN-001", "EPP", 18_000, 11_000, "Humedad"),
    ("Gafas de Proteccion", "GPR-001", "EPP", 22_000, 14_000, "Luminosidad"),
    ("Botas de Seguridad", "BSE-001", "Calzado", 135_000, 92_000, "Humedad"),
    ("Chaleco Reflectivo", "CRE-001", "EPP", 28_000, 17_000, "Luminosidad"),
    ("Mascarilla N95", "MN9-001", "Respiratoria", 6_500, 3_800, "Humedad"),
    ("Protector Auditivo", "PAU-001", "EPP", 32_000, 20_000, "Ruido"),
    ("Arnes de Seguridad", "ASE-001", "Alturas", 210_000, 145_000, "Tension"),
];

impl Bootstrap for Component {
    fn run(mode: StartMode) -> Result<Vec<String>, String> {
        match mode {
            StartMode::Demo => fill_empty("products", fill),
            StartMode::Production => Ok(Vec::new()),
        }
    }
}

fn fill(tx: &Transaction) -> provesi_sdk::Result<Vec<String>> {
    let now = clock::now();
    let supplier = columns! {
        name: "Distribuidora Andina",
        nit: "900123456-7",
        email: "ventas@andina.co",
        phone: "3001234567",
        address: "Calle 100 #50-30",
        city: "Bogotá",
        contact_person: "Juan Pérez",
        is_active: true,
        credit_days: 30_i64,
        rating_cents: 450_i64,
        created_at: now,
        updated_at: now,
    };
    let supplier = sql::insert(tx, "suppliers", supplier)?;
    for (name, sku, category, price, cost, variable) in DEMO {
        let fields = Fields {
            name: name.to_owned(),
            description: (sku == "CSI-001").then(|| "Casco clase A".to_owned()),
            sku: Some(sku.to_owned()),
            supplier_id: Some(supplier),
            unit_price_cents: price * 100,
            cost_price_cents: cost * 100,
            category: Some(category.to_owned()),
            min_stock: 50,
            max_stock: if sku == "MN9-001" { 5000 } else { 500 },
            is_active: true,
            requires_special_handling: false,
        };
        let id = store::insert(tx, &fields, now)?;
        sql::insert(tx, "variables", columns! { name: variable, product_id: id })?;
    }
    Ok(vec![format!("{} demo products", DEMO.len())])
}
