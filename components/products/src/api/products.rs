//! Products.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{self, Connection, Database, Unique};
use provesi_sdk::{
    Decimal, Error, FieldErrors, Int, Money, Omittable, Patch, Request, Response, Result, Text, Timestamp, clock,
    idempotency, input, row,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::store::products as store;
use crate::{domain, events};

const MAX_PRICE: i64 = 9_999_999_999;
const MAX_STOCK: i64 = 2_147_483_647;

const UNIQUE: Unique<2> = Unique {
    table: "products",
    columns: [("name", "Ya existe un producto con este nombre."), ("sku", "Ya existe un producto con este SKU.")],
};

input! {
    /// A new product; only the name is needed.
    pub(crate) struct NewProduct {
        name: Text<100>,
        description: Option<Text<10000>>,
        sku: Option<Text<50>>,
        supplier: Option<Int<1, { i64::MAX }>>,
        unit_price: Omittable<Decimal<MAX_PRICE>>,
        cost_price: Omittable<Decimal<MAX_PRICE>>,
        category: Option<Text<100>>,
        min_stock: Omittable<Int<0, MAX_STOCK>>,
        max_stock: Omittable<Int<0, MAX_STOCK>>,
        is_active: Omittable<bool>,
        requires_special_handling: Omittable<bool>,
    }
}

input! {
    /// A change of a product.
    pub(crate) struct ProductPatch {
        name: Omittable<Text<100>>,
        description: Patch<Text<10000>>,
        sku: Patch<Text<50>>,
        supplier: Patch<Int<1, { i64::MAX }>>,
        unit_price: Omittable<Decimal<MAX_PRICE>>,
        cost_price: Omittable<Decimal<MAX_PRICE>>,
        category: Patch<Text<100>>,
        min_stock: Omittable<Int<0, MAX_STOCK>>,
        max_stock: Omittable<Int<0, MAX_STOCK>>,
        is_active: Omittable<bool>,
        requires_special_handling: Omittable<bool>,
    }
}

/// A product, as clients see it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Product<'r> {
    id: i64,
    name: &'r str,
    description: Option<&'r str>,
    sku: Option<&'r str>,
    supplier: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier_name: Option<&'r str>,
    unit_price: Money,
    cost_price: Money,
    category: Option<&'r str>,
    min_stock: i64,
    max_stock: i64,
    is_active: bool,
    requires_special_handling: bool,
    profit_margin: f64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

row! {
    struct ProductRow<'r> {
        id: i64,
        name: &'r str,
        description: Option<&'r str>,
        sku: Option<&'r str>,
        supplier: Option<i64>,
        supplier_name: Option<&'r str>,
        unit_price: Money,
        cost_price: Money,
        category: Option<&'r str>,
        min_stock: i64,
        max_stock: i64,
        is_active: bool,
        requires_special_handling: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

const SELECT: &str = "SELECT p.id, p.name, p.description, p.sku, p.supplier_id, s.name, p.unit_price_cents, \
    p.cost_price_cents, p.category, p.min_stock, p.max_stock, p.is_active, p.requires_special_handling, \
    p.created_at, p.updated_at FROM products p LEFT JOIN suppliers s ON s.id = p.supplier_id";

impl<'r> From<ProductRow<'r>> for Product<'r> {
    fn from(row: ProductRow<'r>) -> Self {
        Self {
            profit_margin: domain::profit_margin(row.unit_price.0, row.cost_price.0),
            id: row.id,
            name: row.name,
            description: row.description,
            sku: row.sku,
            supplier: row.supplier,
            supplier_name: row.supplier_name,
            unit_price: row.unit_price,
            cost_price: row.cost_price,
            category: row.category,
            min_stock: row.min_stock,
            max_stock: row.max_stock,
            is_active: row.is_active,
            requires_special_handling: row.requires_special_handling,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

pub(crate) fn list(request: &Request) -> Result<Response> {
    let mut list = List::of(request);
    let active = list.flag("is_active").unwrap_or(true);
    list.filter("p.is_active = ?", active);
    list.text("category", "p.category = ?");
    list.id("supplier", "p.supplier_id = ?");
    if let Some(words) = request.query("search") {
        list.filter("p.search_text LIKE ? ESCAPE '!'", list::contains(&words.to_lowercase()));
    }
    list.answer(SELECT, "p.name, p.id", |rows| list::json(rows.read::<ProductRow>().map(Product::from)))
}

pub(crate) fn get(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    show(&Database, "p.id = $1", &[id.into()], 200)
}

pub(crate) fn get_by_name(request: &Request) -> Result<Response> {
    show(&Database, "p.name = $1 AND p.is_active = $2", &[request.path("name").into(), true.into()], 200)
}

pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewProduct = request.json()?;
    let now = clock::now();
    let fields = store::Fields {
        name: new.name.into(),
        description: new.description.map(Into::into),
        sku: new.sku.map(Into::into),
        supplier_id: new.supplier.map(|id| id.0),
        unit_price_cents: new.unit_price.0.map_or(0, |price| price.0),
        cost_price_cents: new.cost_price.0.map_or(0, |price| price.0),
        category: new.category.map(Into::into),
        min_stock: new.min_stock.0.map_or(0, |units| units.0),
        max_stock: new.max_stock.0.map_or(10_000, |units| units.0),
        is_active: new.is_active.0.unwrap_or(true),
        requires_special_handling: new.requires_special_handling.0.unwrap_or(false),
    };
    check(&fields)?;
    idempotency::once(request, |tx| {
        check_unique(tx, None, &fields)?;
        let id = store::insert(tx, &fields, now).map_err(broken)?;
        show(tx, "p.id = $1", &[id.into()], 201)
    })
}

pub(crate) fn change(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    sql::transaction(|tx| {
        let patch: ProductPatch = request.json()?;
        let now = clock::now();
        // Changed before it is read: of two changes at once the second one sees what the first one left.
        let version = store::touch(tx, id, now)?.ok_or_else(not_found)?;
        let before = store::find(tx, id)?.ok_or_else(not_found)?;
        let current = before.clone();
        let fields = store::Fields {
            name: patch.name.0.map_or(current.name, Into::into),
            description: patch.description.map(Into::into).apply(current.description),
            sku: patch.sku.map(Into::into).apply(current.sku),
            supplier_id: patch.supplier.map(|id| id.0).apply(current.supplier_id),
            unit_price_cents: patch.unit_price.0.map_or(current.unit_price_cents, |price| price.0),
            cost_price_cents: patch.cost_price.0.map_or(current.cost_price_cents, |price| price.0),
            category: patch.category.map(Into::into).apply(current.category),
            min_stock: patch.min_stock.0.map_or(current.min_stock, |units| units.0),
            max_stock: patch.max_stock.0.map_or(current.max_stock, |units| units.0),
            is_active: patch.is_active.0.unwrap_or(current.is_active),
            requires_special_handling: patch.requires_special_handling.0.unwrap_or(current.requires_special_handling),
        };
        check(&fields)?;
        check_unique(tx, Some(id), &fields)?;
        store::update(tx, id, &fields, now).map_err(broken)?;
        events::tell(tx, id, version, &before, &fields)?;
        show(tx, "p.id = $1", &[id.into()], 200)
    })
}

pub(crate) fn deactivate(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    sql::transaction(|tx| {
        let now = clock::now();
        let version = store::touch(tx, id, now)?.ok_or_else(not_found)?;
        let before = store::find(tx, id)?.ok_or_else(not_found)?;
        let after = store::Fields { is_active: false, ..before.clone() };
        store::update(tx, id, &after, now)?;
        events::tell(tx, id, version, &before, &after)?;
        Ok(Response::no_content())
    })
}

fn show(connection: &impl Connection, condition: &str, params: &[sql::Value], status: u16) -> Result<Response> {
    let rows = connection.query(&format!("{SELECT} WHERE {condition}"), params)?;
    let row = rows.read::<ProductRow>().next().ok_or_else(not_found)?;
    Ok(Response::json(status, &Product::from(row)))
}

fn not_found() -> Error {
    Error::not_found("Producto no encontrado")
}

/// Checks what no single field can say.
fn check(fields: &store::Fields) -> Result<()> {
    let mut errors = FieldErrors::default();
    if !domain::is_product_name(&fields.name) {
        errors.add("name", "Solo se permiten letras, números, espacios y guiones.");
    }
    if fields.min_stock > fields.max_stock {
        errors.add("non_field_errors", "El stock mínimo no puede ser mayor que el stock máximo.");
    }
    errors.into_result()
}

fn check_unique(tx: &impl Connection, own: Option<i64>, fields: &store::Fields) -> Result<()> {
    UNIQUE.check(tx, own, [Some(&*fields.name), fields.sku.as_deref()])
}

fn broken(error: sql::Error) -> Error {
    if sql::broke_reference(&error) {
        return Error::field("supplier", "El proveedor no existe.");
    }
    UNIQUE.explain(error)
}
