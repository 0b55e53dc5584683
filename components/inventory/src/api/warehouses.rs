//! Warehouses.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{self, Connection, Database, Unique};
use provesi_sdk::{
    Error, FieldErrors, Int, Omittable, Patch, Request, Response, Result, Text, Timestamp, clock, columns, idempotency,
    input, params, row,
};
use schemars::JsonSchema;
use serde::Serialize;

input! {
    /// A new warehouse.
    pub(crate) struct NewWarehouse {
        name: Text<100>,
        latitude: f64,
        longitude: f64,
        address: Option<Text<500>>,
        phone: Option<Text<20>>,
        capacity: Omittable<Int<0, 2_147_483_647>>,
        is_active: Omittable<bool>,
    }
}

input! {
    /// A change of a warehouse.
    pub(crate) struct WarehousePatch {
        name: Omittable<Text<100>>,
        latitude: Omittable<f64>,
        longitude: Omittable<f64>,
        address: Patch<Text<500>>,
        phone: Patch<Text<20>>,
        capacity: Omittable<Int<0, 2_147_483_647>>,
        is_active: Omittable<bool>,
    }
}

const UNIQUE: Unique<1> = Unique { table: "warehouses", columns: [("name", "Ya existe una bodega con este nombre.")] };

/// A warehouse, as clients see it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Warehouse<'r> {
    id: i64,
    name: &'r str,
    latitude: f64,
    longitude: f64,
    address: Option<&'r str>,
    phone: Option<&'r str>,
    capacity: i64,
    is_active: bool,
    current_stock: i64,
    available_capacity: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

row! {
    struct WarehouseRow<'r> {
        id: i64,
        name: &'r str,
        latitude: f64,
        longitude: f64,
        address: Option<&'r str>,
        phone: Option<&'r str>,
        capacity: i64,
        is_active: bool,
        current_stock: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

const SELECT: &str = "SELECT w.id, w.name, w.latitude, w.longitude, w.address, w.phone, w.capacity, w.is_active, \
    CAST((SELECT COALESCE(SUM(s.quantity), 0) FROM stock s WHERE s.warehouse_id = w.id) AS BIGINT), \
    w.created_at, w.updated_at FROM warehouses w";

impl<'r> From<WarehouseRow<'r>> for Warehouse<'r> {
    fn from(row: WarehouseRow<'r>) -> Self {
        Self {
            id: row.id,
            name: row.name,
            latitude: row.latitude,
            longitude: row.longitude,
            address: row.address,
            phone: row.phone,
            capacity: row.capacity,
            is_active: row.is_active,
            current_stock: row.current_stock,
            available_capacity: row.capacity - row.current_stock,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(crate) fn list(request: &Request) -> Result<Response> {
    let mut list = List::of(request);
    list.filter("w.is_active = ?", true);
    list.answer(SELECT, "w.name, w.id", |rows| list::json(rows.read::<WarehouseRow>().map(Warehouse::from)))
}

pub(crate) fn get(request: &Request) -> Result<Response> {
    show(&Database, request.path_id("id").ok_or_else(not_found)?, 200)
}

pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewWarehouse = request.json()?;
    check_place(Some(new.latitude), Some(new.longitude))?;
    let now = clock::now();
    idempotency::once(request, |tx| {
        let columns = columns! {
            name: &*new.name,
            latitude: new.latitude,
            longitude: new.longitude,
            address: new.address.as_deref(),
            phone: new.phone.as_deref(),
            capacity: new.capacity.0.map_or(50_000, |units| units.0),
            is_active: new.is_active.0.unwrap_or(true),
            created_at: now,
            updated_at: now,
        };
        let id = sql::insert(tx, "warehouses", columns).map_err(|error| UNIQUE.explain(error))?;
        show(tx, id, 201)
    })
}

pub(crate) fn change(request: &Request) -> Result<Response> {
    const UPDATE: &str = "UPDATE warehouses SET name = COALESCE($1, name), latitude = COALESCE($2, latitude), \
        longitude = COALESCE($3, longitude), address = $4, phone = $5, capacity = COALESCE($6, capacity), \
        is_active = COALESCE($7, is_active) WHERE id = $8";
    const FIND: &str = "SELECT address, phone FROM warehouses WHERE id = $1";
    let id = request.path_id("id").ok_or_else(not_found)?;
    let patch: WarehousePatch = request.json()?;
    check_place(patch.latitude.0, patch.longitude.0)?;
    sql::transaction(|tx| {
        // Changed before it is read: of two changes at once the second one sees what the first one left.
        sql::update(tx, "warehouses", id, columns! { updated_at: clock::now() })?;
        let found = tx.first::<(Option<String>, Option<String>)>(FIND, params![id])?;
        let (address, phone) = found.ok_or_else(not_found)?;
        let params = params![
            patch.name.0.as_deref(),
            patch.latitude.0,
            patch.longitude.0,
            patch.address.clone().map(String::from).apply(address),
            patch.phone.clone().map(String::from).apply(phone),
            patch.capacity.0.map(|units| units.0),
            patch.is_active.0,
            id,
        ];
        tx.execute(UPDATE, params).map_err(|error| UNIQUE.explain(error))?;
        show(tx, id, 200)
    })
}

fn show(connection: &impl Connection, id: i64, status: u16) -> Result<Response> {
    let rows = connection.query(&format!("{SELECT} WHERE w.id = $1"), params![id])?;
    let row = rows.read::<WarehouseRow>().next().ok_or_else(not_found)?;
    Ok(Response::json(status, &Warehouse::from(row)))
}

fn not_found() -> Error {
    Error::not_found("Bodega no encontrada")
}

fn check_place(latitude: Option<f64>, longitude: Option<f64>) -> Result<()> {
    let mut errors = FieldErrors::default();
    if latitude.is_some_and(|latitude| !(-90.0..=90.0).contains(&latitude)) {
        errors.add("latitude", "Debe estar entre -90 y 90.");
    }
    if longitude.is_some_and(|longitude| !(-180.0..=180.0).contains(&longitude)) {
        errors.add("longitude", "Debe estar entre -180 y 180.");
    }
    errors.into_result()
}
