//! Measurements of a variable in a warehouse.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{self, Connection};
use provesi_sdk::{
    Error, Int, Request, Response, Result, Text, Timestamp, clock, columns, idempotency, input, params, row,
};
use schemars::JsonSchema;
use serde::Serialize;

input! {
    /// A new measurement.
    pub(crate) struct NewMeasurement {
        variable_name: Text<50>,
        value: Option<f64>,
        unit: Text<50>,
        place: Int<1, { i64::MAX }>,
        product_id: Option<Int<1, { i64::MAX }>>,
        product_name: Option<Text<100>>,
    }
}

row! {
    /// A measurement, as clients see it.
    #[derive(Serialize, JsonSchema)]
    pub(crate) struct Measurement<'r> {
        id: i64,
        variable_name: &'r str,
        value: Option<f64>,
        unit: &'r str,
        #[serde(rename = "dateTime")]
        date_time: Timestamp,
        place: i64,
        place_name: &'r str,
        product_id: Option<i64>,
        product_name: Option<&'r str>,
    }
}

const SELECT: &str = "SELECT m.id, m.variable_name, m.value, m.unit, m.measured_at, m.warehouse_id, w.name, \
    m.product_id, m.product_name FROM measurements m JOIN warehouses w ON w.id = m.warehouse_id";

pub(crate) fn list(request: &Request) -> Result<Response> {
    let mut list = List::of(request);
    list.id("product_id", "m.product_id = ?");
    list.text("product_name", "m.product_name = ?");
    list.text("variable", "m.variable_name = ?");
    list.id("place", "m.warehouse_id = ?");
    list.moment("from", "m.measured_at >= ?");
    list.moment("to", "m.measured_at <= ?");
    list.answer(SELECT, "m.id", |rows| list::json(rows.read::<Measurement>()))
}

pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewMeasurement = request.json()?;
    let now = clock::now();
    idempotency::once(request, |tx| {
        let columns = columns! {
            variable_name: &*new.variable_name,
            value: new.value,
            unit: &*new.unit,
            measured_at: now,
            warehouse_id: new.place.0,
            product_id: new.product_id.map(|id| id.0),
            product_name: new.product_name.as_deref(),
        };
        let id = sql::insert(tx, "measurements", columns).map_err(no_place)?;
        let rows = tx.query(&format!("{SELECT} WHERE m.id = $1"), params![id])?;
        let measurement = rows.read::<Measurement>().next().expect("the row was just stored");
        Ok(Response::created(&measurement))
    })
}

fn no_place(error: sql::Error) -> Error {
    if sql::broke_reference(&error) { Error::field("place", "La bodega no existe.") } else { error.into() }
}
