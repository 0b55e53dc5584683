//! What inventory offers: the typed interface `stock`, and demo data for an empty database.

#![expect(unsafe_code, reason = "the generated glue of the component model")]

use provesi_sdk::bootstrap::{Bootstrap, StartMode};
use provesi_sdk::sql::{self, Connection, Database};
use provesi_sdk::{clock, columns, fill_empty, log, params, row};

use crate::copies;
use crate::levels::{self, MinStock};
use crate::peers::generated::exports::provesi::inventory::stock as wit;
use crate::peers::{self, generated};
use crate::store::{self, Reserved};

struct Component;

generated::export_peers!(Component with_types_in generated);
provesi_sdk::bootstrap::export_bootstrap!(Component with_types_in provesi_sdk::bootstrap);

row! {
    struct Place {
        id: i64,
        name: String,
        latitude: f64,
        longitude: f64,
    }
}

impl From<Place> for wit::Candidate {
    fn from(place: Place) -> Self {
        Self {
            warehouse_id: place.id,
            warehouse_name: place.name,
            latitude: place.latitude,
            longitude: place.longitude,
        }
    }
}

impl wit::Guest for Component {
    fn candidates(product_id: i64, units: i64) -> Result<Vec<wit::Candidate>, wit::Error> {
        const FIND: &str = "SELECT w.id, w.name, w.latitude, w.longitude FROM warehouses w \
            JOIN stock s ON s.warehouse_id = w.id WHERE s.product_id = $1 \
            AND s.quantity - s.reserved_quantity >= $2 AND w.is_active = $3 ORDER BY w.id LIMIT 500";
        provesi_sdk::report_panics();
        let found =
            Database.all::<Place>(FIND, params![product_id, units, true]).map_err(|_| wit::Error::Unavailable)?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    fn reserve(claim: wit::Claim) -> Result<(), wit::Error> {
        let wit::Claim { order_id, product_id, warehouse_id, units } = claim;
        if units < 1 {
            return Err(wit::Error::Mismatch);
        }
        match run(|tx| store::reserve(tx, order_id, product_id, warehouse_id, units))? {
            Reserved::Held(known) => {
                if known == MinStock::Unknown {
                    learn(product_id);
                }
                Ok(())
            }
            Reserved::Insufficient => Err(wit::Error::Insufficient),
            Reserved::Mismatch => Err(wit::Error::Mismatch),
        }
    }

    fn settle(order_id: i64) -> Result<(), wit::Error> {
        if run(|tx| store::settle(tx, order_id))? { Ok(()) } else { Err(wit::Error::Mismatch) }
    }

    fn release(order_id: i64) -> Result<(), wit::Error> {
        run(|tx| store::release(tx, order_id))
    }

    fn holder(order_id: i64) -> Result<Option<wit::Candidate>, wit::Error> {
        const FIND: &str = "SELECT w.id, w.name, w.latitude, w.longitude FROM warehouses w \
            JOIN reservations r ON r.warehouse_id = w.id WHERE r.order_id = $1 AND r.state <> 'RELEASED'";
        provesi_sdk::report_panics();
        let found = Database.first::<Place>(FIND, params![order_id]).map_err(|_| wit::Error::Unavailable)?;
        Ok(found.map(Into::into))
    }
}

/// Asks the catalogue what the events have not told of a product; without an answer, the next order asks again.
fn learn(product_id: i64) {
    let learnt = peers::product_of(product_id).and_then(|product| {
        sql::transaction(|tx| {
            copies::remember(tx, &product)?;
            levels::check(tx, product.id)
        })
    });
    if let Err(error) = learnt {
        log::warn("the min_stock of a product is not known", &[("error", &format!("{error:?}"))]);
    }
}

fn run<T>(work: impl FnMut(&sql::Transaction) -> provesi_sdk::Result<T>) -> Result<T, wit::Error> {
    provesi_sdk::report_panics();
    sql::transaction(work).map_err(|error| match error {
        provesi_sdk::Error::Sql(sql::Error::Invalid(what)) => panic!("a statement is wrong: {what}"),
        _ => wit::Error::Unavailable,
    })
}

const WAREHOUSES: [(&str, f64, f64); 3] = [
    ("Bodega Norte", 4.710_989, -74.072_092),
    ("Bodega Centro", 4.598_889, -74.080_833),
    ("Bodega Sur", 4.570_868, -74.297_333),
];

/// Units of each product in each warehouse; 0 is no row.
const STOCK: [(&str, [i64; 3]); 8] = [
    ("Casco de Seguridad", [150, 200, 100]),
    ("Guantes Industriales", [500, 400, 300]),
    ("Gafas de Proteccion", [250, 300, 0]),
    ("Botas de Seguridad", [120, 0, 80]),
    ("Chaleco Reflectivo", [0, 350, 200]),
    ("Mascarilla N95", [1000, 1500, 800]),
    ("Protector Auditivo", [180, 220, 0]),
    ("Arnes de Seguridad", [60, 40, 30]),
];

impl Bootstrap for Component {
    fn run(mode: StartMode) -> Result<Vec<String>, String> {
        match mode {
            StartMode::Demo => fill_empty("warehouses", fill),
            StartMode::Production => Ok(Vec::new()),
        }
    }
}

fn fill(tx: &sql::Transaction) -> provesi_sdk::Result<Vec<String>> {
    let now = clock::now();
    let mut warehouses = Vec::new();
    for (name, latitude, longitude) in WAREHOUSES {
        let warehouse = columns! {
            name: name,
            latitude: latitude,
            longitude: longitude,
            capacity: 50_000_i64,
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        warehouses.push(sql::insert(tx, "warehouses", warehouse)?);
    }
    for (name, units) in STOCK {
        let product = peers::product(name)?;
        copies::remember(tx, &product)?;
        for (warehouse, quantity) in warehouses.iter().zip(units).filter(|(_, units)| *units > 0) {
            let row = columns! {
                product_id: product.id,
                product_name: name,
                warehouse_id: *warehouse,
                quantity: quantity,
                reserved_quantity: 0_i64,
                updated_at: now,
            };
            sql::insert(tx, "stock", row)?;
        }
    }
    Ok(vec![format!("{} demo warehouses with stock of {} products", WAREHOUSES.len(), STOCK.len())])
}
