//! Places orders, by the two routes of the contract.
//!
//! With an `Idempotency-Key` the order's id is remembered in the transaction that stores it, and its answer once there
//! is one; after a crash in between the answer is made from the order itself.

use provesi_sdk::idempotency::{self, Key, Known};
use provesi_sdk::sql::{self, Transaction};
use provesi_sdk::{Error, Field as _, Int, JsonObject, Request, Response, Result, Timestamp, clock};
use schemars::JsonSchema;
use serde::Serialize;

use super::read::{self, Order};
use crate::peers;
use crate::placement;
use crate::store;

/// An order to place; `product` only where the path does not name it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the checks have texts that the contract fixes")]
pub(crate) struct NewOrder {
    product: Option<String>,
    units: i64,
    lat: f64,
    lon: f64,
    #[schemars(rename = "mainWarehouse")]
    main_warehouse: Option<String>,
    customer_id: Option<i64>,
}

/// The answer of the manual route.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Manual<'r> {
    order: Order<'r>,
    confirmed: bool,
}

/// The answer of the automatic route.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Automatic<'r> {
    order_id: i64,
    product: &'r str,
    units: i64,
    status: &'r str,
    assigned_warehouse: Option<&'r str>,
    confirmed: bool,
    execution_time_seconds: f64,
    #[serde(rename = "meets_performance_ASR")]
    meets_performance_asr: bool,
}

/// The owner's requirement for a whole order.
const ASR_SECONDS: f64 = 5.0;

struct Payload {
    units: i64,
    lat: f64,
    lon: f64,
    main_warehouse: Option<String>,
    customer_id: Option<i64>,
}

pub(crate) fn manual(request: &Request) -> Result<Response> {
    let payload = parse(&object(request)?)?;
    answer(request, request.path("product_name"), &payload, |order| {
        let confirmed = order.confirmed();
        Response::json(if confirmed { 200 } else { 409 }, &Manual { order, confirmed })
    })
}

pub(crate) fn automatic(request: &Request) -> Result<Response> {
    let started = clock::now();
    let object = object(request)?;
    let name = object.get("product").and_then(serde_json::Value::as_str).map(str::trim).unwrap_or_default();
    if name.is_empty() || name.contains('\0') {
        return Err(invalid("product es requerido"));
    }
    let payload = parse(&object)?;
    answer(request, name, &payload, |order| order.automatic(seconds_since(started)))
}

#[expect(clippy::cast_precision_loss, reason = "a request takes seconds, not centuries")]
fn seconds_since(started: Timestamp) -> f64 {
    ((clock::now().0 - started.0) as f64 / 1000.0).round() / 1000.0
}

impl Order<'_> {
    fn automatic(self, seconds: f64) -> Response {
        let confirmed = self.confirmed();
        let answer = Automatic {
            order_id: self.id,
            product: self.product_name,
            units: self.units,
            status: self.status,
            assigned_warehouse: self.warehouse_name,
            confirmed,
            execution_time_seconds: seconds,
            meets_performance_asr: seconds <= ASR_SECONDS,
        };
        Response::json(if confirmed { 200 } else { 409 }, &answer)
    }
}

fn object(request: &Request) -> Result<JsonObject> {
    match provesi_sdk::json_object(request.body()) {
        Err(Error::Fields(_)) => Err(invalid("se esperaba un objeto JSON")),
        other => other,
    }
}

/// Places an order and answers with it, or gives the first answer again to a key that came before.
fn answer(
    request: &Request,
    product_name: &str,
    payload: &Payload,
    show: impl FnOnce(Order<'_>) -> Response,
) -> Result<Response> {
    let Some(key) = idempotency::key(request)? else {
        return read::show(place(request, product_name, payload, None)?, None, show);
    };
    let id = match key.find(&sql::Database)? {
        Known::New => match place(request, product_name, payload, Some(&key)) {
            // Another request with the same key stored its order first.
            Err(Error::Sql(error)) if sql::broke(&error, "idempotency_keys_pkey") => match key.find(&sql::Database)? {
                Known::Done { status, answer } if status > 0 => return Ok(Response::raw_json(status, answer)),
                Known::Done { answer, .. } => finished(&answer)?,
                Known::New => return Err(in_progress()),
            },
            placed => placed?,
        },
        Known::Done { status, answer } if status > 0 => return Ok(Response::raw_json(status, answer)),
        Known::Done { answer, .. } => finished(&answer)?,
    };
    key.complete(&sql::Database, read::show(id, None, show)?)
}

/// Stores and places an order, with the request's key in the same transaction; returns its id.
fn place(request: &Request, product_name: &str, payload: &Payload, key: Option<&Key>) -> Result<i64> {
    let product = peers::product(product_name)?
        .ok_or_else(|| Error::bad_request(format!("Producto {product_name} no encontrado")))?;
    let customer_id = customer_of(request, payload)?;
    let customer_name = match customer_id {
        Some(id) => Some(peers::customer(id)?.ok_or_else(|| Error::bad_request("Cliente no encontrado"))?),
        None => None,
    };
    let new = store::NewOrder {
        product_id: product.id,
        product_name: &product.name,
        units: payload.units,
        customer_id,
        customer_name: customer_name.as_deref(),
        total_price_cents: product.unit_price_cents.saturating_mul(payload.units),
        latitude: payload.lat,
        longitude: payload.lon,
        main_warehouse: payload.main_warehouse.as_deref(),
    };
    let id = sql::transaction(|tx: &Transaction| {
        let id = store::insert(tx, &new)?;
        if let Some(key) = key {
            // No status yet: only the order itself knows how it ends.
            key.remember(tx, 0, &id.to_string())?;
        }
        Ok(id)
    })?;
    let draft = store::draft(id)?.ok_or_else(super::not_found)?;
    placement::place(&draft)?;
    Ok(id)
}

/// Takes the id that a key remembers, unless its order is still being placed.
fn finished(answer: &str) -> Result<i64> {
    let id = answer.parse().map_err(|_| in_progress())?;
    match store::status(id)? {
        Some((crate::domain::Status::Pending, _)) | None => Err(in_progress()),
        Some(_) => Ok(id),
    }
}

fn in_progress() -> Error {
    Error::conflict("El pedido con esta clave de idempotencia está en proceso, intente de nuevo")
}

/// A CLIENTE orders for itself; others for whom they say.
fn customer_of(request: &Request, payload: &Payload) -> Result<Option<i64>> {
    match (super::only_customer(request), payload.customer_id) {
        (Some(own), Some(other)) if own != other => Err(Error::forbidden()),
        (Some(own), _) => Ok(Some(own)),
        (None, customer) => Ok(customer),
    }
}

fn parse(object: &JsonObject) -> Result<Payload> {
    let number = |name: &str| {
        let value = object.get(name).filter(|value| !value.is_boolean());
        value
            .and_then(|value| f64::from_value(value).ok())
            .ok_or_else(|| invalid(&format!("{name} debe ser un número")))
    };
    let units = object.get("units").and_then(serde_json::Value::as_i64);
    let units = units.ok_or_else(|| invalid("units debe ser un número entero"))?;
    if units <= 0 {
        return Err(Error::bad_request("units must be > 0"));
    }
    if units > 10_000 {
        return Err(invalid("units debe ser como máximo 10000"));
    }
    let (lat, lon) = (number("lat")?, number("lon")?);
    if !(-90.0..=90.0).contains(&lat) {
        return Err(invalid("lat debe estar entre -90 y 90"));
    }
    if !(-180.0..=180.0).contains(&lon) {
        return Err(invalid("lon debe estar entre -180 y 180"));
    }
    let main_warehouse = match object.get("mainWarehouse") {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(name)) if !name.contains('\0') => {
            Some(name.trim().to_owned()).filter(|name| !name.is_empty())
        }
        Some(_) => return Err(invalid("mainWarehouse debe ser un texto")),
    };
    let customer_id = match object.get("customer_id") {
        None | Some(serde_json::Value::Null) => None,
        Some(value) => {
            let id = Int::<1, { i64::MAX }>::from_value(value);
            Some(id.map_err(|_| invalid("customer_id debe ser un número entero"))?.0)
        }
    };
    Ok(Payload { units, lat, lon, main_warehouse, customer_id })
}

fn invalid(what: &str) -> Error {
    Error::bad_request(format!("Payload inválido: {what}"))
}
