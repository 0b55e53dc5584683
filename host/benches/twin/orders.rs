//! Places an order of one product: stored, held in a warehouse, confirmed, taken. Each step is durable before the next.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::App;
use super::access::Caller;
use super::answer::{Answer, ApiError, Operation};
use super::database::{on, row};
use super::inventory::{self, Claim, Warehouse};
use super::products::{self, Found};
use super::users;
use super::values::{Money, Timestamp};

pub(super) static CREATE: Operation = Operation::new("orders", "create-order-of-product");

/// The body.
#[derive(Deserialize)]
pub(super) struct NewOrder {
    units: i64,
    lat: f64,
    lon: f64,
    #[serde(rename = "mainWarehouse")]
    main_warehouse: Option<String>,
    customer_id: Option<i64>,
}

row! {
    struct OrderRow {
        id: i64,
        product_id: i64,
        product_name: String,
        units: i64,
        status: String,
        warehouse_id: Option<i64>,
        warehouse_name: Option<String>,
        customer_id: Option<i64>,
        customer_name: Option<String>,
        delivery_address: Option<String>,
        delivery_zone: Option<String>,
        total_price: Money,
        notes: Option<String>,
        created_at: Timestamp,
        updated_at: Timestamp,
        confirmed_at: Option<Timestamp>,
        delivered_at: Option<Timestamp>,
    }
}

#[derive(Serialize)]
struct Order {
    id: i64,
    product_id: i64,
    product_name: String,
    units: i64,
    status: String,
    status_display: &'static str,
    warehouse_id: Option<i64>,
    warehouse_name: Option<String>,
    customer_id: Option<i64>,
    customer_name: Option<String>,
    delivery_address: Option<String>,
    delivery_zone: Option<String>,
    total_price: Money,
    notes: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    confirmed_at: Option<Timestamp>,
    delivered_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Placed {
    order: Order,
    confirmed: bool,
}

impl From<OrderRow> for Order {
    fn from(row: OrderRow) -> Self {
        Self {
            id: row.id,
            product_id: row.product_id,
            product_name: row.product_name,
            units: row.units,
            status_display: display(&row.status),
            status: row.status,
            warehouse_id: row.warehouse_id,
            warehouse_name: row.warehouse_name,
            customer_id: row.customer_id,
            customer_name: row.customer_name,
            delivery_address: row.delivery_address,
            delivery_zone: row.delivery_zone,
            total_price: row.total_price,
            notes: row.notes,
            created_at: row.created_at,
            updated_at: row.updated_at,
            confirmed_at: row.confirmed_at,
            delivered_at: row.delivered_at,
        }
    }
}

fn display(status: &str) -> &'static str {
    match status {
        "PENDING" => "Pendiente",
        "CONFIRMED" => "Confirmado",
        "REJECTED" => "Rechazado",
        "CANCELLED" => "Cancelado",
        "IN_TRANSIT" => "En Tránsito",
        "DELIVERED" => "Entregado",
        _ => "",
    }
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Path(product_name): Path<String>,
    headers: HeaderMap,
    Json(new): Json<NewOrder>,
) -> Result<Answer, ApiError> {
    let caller = app.tokens.caller(&headers)?;
    new.check()?;
    let product = products::find_by_name(&app, &product_name).await?;
    let product = product.ok_or_else(|| ApiError::bad_request(format!("Producto {product_name} no encontrado")))?;
    let customer = match customer_of(&caller, &new)? {
        Some(id) => {
            let name = users::display_name(&app, id).await?;
            Some((id, name.ok_or_else(|| ApiError::bad_request("Cliente no encontrado"))?))
        }
        None => None,
    };
    let id = insert(&app, &new, &product, customer).await?;
    place(&app, id).await?;
    let order: Order = read(&app, id).await?.into();
    let confirmed = order.confirmed_at.is_some();
    let status = if confirmed { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(Answer::json(&CREATE, status, &Placed { order, confirmed }))
}

impl NewOrder {
    fn check(&self) -> Result<(), ApiError> {
        if !(1..=10_000).contains(&self.units) {
            return Err(ApiError::bad_request("Payload inválido: units debe estar entre 1 y 10000"));
        }
        if !(-90.0..=90.0).contains(&self.lat) || !(-180.0..=180.0).contains(&self.lon) {
            return Err(ApiError::bad_request("Payload inválido: lat o lon fuera de rango"));
        }
        Ok(())
    }
}

/// A CLIENTE orders for itself; others for whom they say.
fn customer_of(caller: &Caller, new: &NewOrder) -> Result<Option<i64>, ApiError> {
    let own = (caller.role == "CLIENTE").then_some(caller.user_id);
    match (own, new.customer_id) {
        (Some(own), Some(other)) if own != other => Err(ApiError::forbidden()),
        (Some(own), _) => Ok(Some(own)),
        (None, customer) => Ok(customer),
    }
}

/// Stores the order as PENDING and still to be placed.
async fn insert(app: &App, new: &NewOrder, product: &Found, customer: Option<(i64, String)>) -> Result<i64, ApiError> {
    const INSERT: &str = "INSERT INTO orders (product_id, product_name, units, status, step, customer_id, \
        customer_name, total_price_cents, latitude, longitude, main_warehouse, created_at, updated_at) \
        VALUES ($1, $2, $3, 'PENDING', 'PLACE', $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id";
    let (customer_id, customer_name) = customer.unzip();
    let now = Timestamp::now();
    on!(app.orders.writes, pool => {
        let mut tx = pool.begin_with(app.orders.begin).await?;
        let inserting = sqlx::query_scalar::<_, i64>(INSERT)
            .bind(product.id)
            .bind(product.name.as_str())
            .bind(new.units)
            .bind(customer_id)
            .bind(customer_name)
            .bind(product.unit_price_cents.saturating_mul(new.units))
            .bind(new.lat)
            .bind(new.lon)
            .bind(new.main_warehouse.as_deref())
            .bind(now)
            .bind(now);
        let id = inserting.fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(id)
    })
}

/// Finds a warehouse for a stored order, and takes its units there.
async fn place(app: &App, id: i64) -> Result<(), ApiError> {
    const DRAFT: &str =
        "SELECT id, product_id, units, latitude, longitude, main_warehouse, step FROM orders WHERE id = $1";
    type Draft = (i64, i64, i64, f64, f64, Option<String>, Option<String>);
    let (_, product, units, latitude, longitude, preferred, _) = on!(app.orders.reads, pool => {
        sqlx::query_as::<_, Draft>(DRAFT).bind(id).fetch_one(pool).await
    })?;
    let mut warehouse = inventory::holder(app, id).await?;
    if warehouse.is_none() {
        let mut candidates = inventory::candidates(app, product, units).await?;
        rank(&mut candidates, preferred.as_deref(), latitude, longitude);
        for candidate in candidates {
            let claim = Claim { order: id, product, warehouse: candidate.id, units };
            if inventory::reserve(app, &claim).await? {
                warehouse = Some(candidate);
                break;
            }
        }
    }
    let Some(warehouse) = warehouse else { return reject(app, id).await };
    confirm(app, id, &warehouse).await?;
    inventory::settle(app, id).await?;
    done(app, id, "SETTLE").await
}

async fn confirm(app: &App, id: i64, warehouse: &Warehouse) -> Result<(), ApiError> {
    const CONFIRM: &str = "UPDATE orders SET status = 'CONFIRMED', step = 'SETTLE', warehouse_id = $1, \
        warehouse_name = $2, confirmed_at = $3, updated_at = $4 WHERE id = $5 AND status = 'PENDING'";
    let now = Timestamp::now();
    on!(app.orders.writes, pool => {
        let confirming = sqlx::query(CONFIRM).bind(warehouse.id).bind(warehouse.name.as_str()).bind(now).bind(now);
        confirming.bind(id).execute(pool).await?;
    });
    Ok(())
}

async fn reject(app: &App, id: i64) -> Result<(), ApiError> {
    const REJECT: &str = "UPDATE orders SET status = 'REJECTED', step = 'RELEASE', updated_at = $1 \
        WHERE id = $2 AND status = 'PENDING'";
    on!(app.orders.writes, pool => {
        sqlx::query(REJECT).bind(Timestamp::now()).bind(id).execute(pool).await?;
    });
    done(app, id, "RELEASE").await
}

/// Notes that a step is done.
async fn done(app: &App, id: i64, step: &str) -> Result<(), ApiError> {
    const DONE: &str = "UPDATE orders SET step = NULL WHERE id = $1 AND step = $2";
    on!(app.orders.writes, pool => {
        sqlx::query(DONE).bind(id).bind(step).execute(pool).await?;
    });
    Ok(())
}

async fn read(app: &App, id: i64) -> Result<OrderRow, ApiError> {
    const SELECT: &str = "SELECT id, product_id, product_name, units, status, warehouse_id, warehouse_name, \
        customer_id, customer_name, delivery_address, delivery_zone, total_price_cents, notes, created_at, \
        updated_at, confirmed_at, delivered_at FROM orders WHERE id = $1";
    Ok(on!(app.orders.reads, pool => sqlx::query_as::<_, OrderRow>(SELECT).bind(id).fetch_one(pool).await)?)
}

/// Sorts warehouses: the preferred one first, then by distance from the client, ties by lowest id.
fn rank(candidates: &mut [Warehouse], preferred: Option<&str>, latitude: f64, longitude: f64) {
    candidates.sort_by(|a, b| {
        let key = |candidate: &Warehouse| {
            let distance = haversine_km(latitude, longitude, candidate.latitude, candidate.longitude);
            (Some(candidate.name.as_str()) != preferred, distance, candidate.id)
        };
        let ((a_other, a_distance, a_id), (b_other, b_distance, b_id)) = (key(a), key(b));
        a_other.cmp(&b_other).then(a_distance.total_cmp(&b_distance)).then(a_id.cmp(&b_id))
    });
}

/// Returns the great-circle distance on a sphere of 6371 km.
fn haversine_km(from_lat: f64, from_lon: f64, to_lat: f64, to_lon: f64) -> f64 {
    const RADIUS_KM: f64 = 6371.0;
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let a = half(to_lat - from_lat) + from_lat.to_radians().cos() * to_lat.to_radians().cos() * half(to_lon - from_lon);
    2.0 * RADIUS_KM * a.sqrt().min(1.0).asin()
}
