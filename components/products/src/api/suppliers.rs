//! Suppliers.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{self, Connection, Database, Unique};
use provesi_sdk::{
    Decimal, Email, Error, Int, Money, Omittable, Patch, Request, Response, Result, Text, Timestamp, clock, columns,
    idempotency, input, params, row,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain;

input! {
    /// A new supplier.
    pub(crate) struct NewSupplier {
        name: Text<150>,
        nit: Text<11>,
        email: Email,
        phone: Text<20>,
        address: Text<500>,
        city: Text<100>,
        contact_person: Text<150>,
        is_active: Omittable<bool>,
        credit_days: Omittable<Int<0, 365>>,
        rating: Omittable<Decimal<500>>,
        notes: Option<Text<10000>>,
    }
}

input! {
    /// A change of a supplier.
    pub(crate) struct SupplierPatch {
        name: Omittable<Text<150>>,
        nit: Omittable<Text<11>>,
        email: Omittable<Email>,
        phone: Omittable<Text<20>>,
        address: Omittable<Text<500>>,
        city: Omittable<Text<100>>,
        contact_person: Omittable<Text<150>>,
        is_active: Omittable<bool>,
        credit_days: Omittable<Int<0, 365>>,
        rating: Omittable<Decimal<500>>,
        notes: Patch<Text<10000>>,
    }
}

row! {
    /// A supplier, as clients see it.
    #[derive(Serialize, JsonSchema)]
    pub(crate) struct Supplier<'r> {
        id: i64,
        name: &'r str,
        nit: &'r str,
        email: &'r str,
        phone: &'r str,
        address: &'r str,
        city: &'r str,
        contact_person: &'r str,
        is_active: bool,
        credit_days: i64,
        rating: Money,
        notes: Option<&'r str>,
        products_count: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

const UNIQUE: Unique<3> = Unique {
    table: "suppliers",
    columns: [
        ("name", "Ya existe un proveedor con este valor."),
        ("nit", "Ya existe un proveedor con este valor."),
        ("email", "Ya existe un proveedor con este valor."),
    ],
};

const SELECT: &str = "SELECT s.id, s.name, s.nit, s.email, s.phone, s.address, s.city, s.contact_person, \
    s.is_active, s.credit_days, s.rating_cents, s.notes, \
    (SELECT COUNT(*) FROM products p WHERE p.supplier_id = s.id), s.created_at, s.updated_at FROM suppliers s";

pub(crate) fn list(request: &Request) -> Result<Response> {
    let mut list = List::of(request);
    list.filter("s.is_active = ?", true);
    list.answer(SELECT, "s.name, s.id", |rows| list::json(rows.read::<Supplier>()))
}

pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewSupplier = request.json()?;
    check_nit(Some(&*new.nit))?;
    let now = clock::now();
    let email: String = new.email.into();
    idempotency::once(request, |tx| {
        UNIQUE.check(tx, None, [Some(&*new.name), Some(&*new.nit), Some(&*email)])?;
        let columns = columns! {
            name: &*new.name,
            nit: &*new.nit,
            email: &email,
            phone: &*new.phone,
            address: &*new.address,
            city: &*new.city,
            contact_person: &*new.contact_person,
            is_active: new.is_active.0.unwrap_or(true),
            credit_days: new.credit_days.0.map_or(30, |days| days.0),
            rating_cents: new.rating.0.map_or(0, |rating| rating.0),
            notes: new.notes.as_deref(),
            created_at: now,
            updated_at: now,
        };
        let id = sql::insert(tx, "suppliers", columns).map_err(|error| UNIQUE.explain(error))?;
        show(tx, id, 201)
    })
}

pub(crate) fn change(request: &Request) -> Result<Response> {
    const UPDATE: &str = "UPDATE suppliers SET name = COALESCE($1, name), nit = COALESCE($2, nit), \
        email = COALESCE($3, email), phone = COALESCE($4, phone), address = COALESCE($5, address), \
        city = COALESCE($6, city), contact_person = COALESCE($7, contact_person), \
        is_active = COALESCE($8, is_active), credit_days = COALESCE($9, credit_days), \
        rating_cents = COALESCE($10, rating_cents) WHERE id = $11";
    let id = request.path_id("id").ok_or_else(not_found)?;
    let patch: SupplierPatch = request.json()?;
    check_nit(patch.nit.0.as_deref())?;
    let email: Option<String> = patch.email.0.map(Into::into);
    sql::transaction(|tx| {
        if sql::update(tx, "suppliers", id, columns! { updated_at: clock::now() })? == 0 {
            return Err(not_found());
        }
        let (name, nit) = (patch.name.0.as_deref(), patch.nit.0.as_deref());
        UNIQUE.check(tx, Some(id), [name, nit, email.as_deref()])?;
        let params = params![
            name,
            nit,
            email.as_deref(),
            patch.phone.0.as_deref(),
            patch.address.0.as_deref(),
            patch.city.0.as_deref(),
            patch.contact_person.0.as_deref(),
            patch.is_active.0,
            patch.credit_days.0.map(|days| days.0),
            patch.rating.0.map(|rating| rating.0),
            id,
        ];
        tx.execute(UPDATE, params).map_err(|error| UNIQUE.explain(error))?;
        match &patch.notes {
            Patch::Keep => {}
            Patch::Clear => drop(sql::update(tx, "suppliers", id, columns! { notes: sql::Value::Null })?),
            Patch::Set(notes) => drop(sql::update(tx, "suppliers", id, columns! { notes: &**notes })?),
        }
        show(tx, id, 200)
    })
}

pub(crate) fn deactivate(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    match sql::update(&Database, "suppliers", id, columns! { is_active: false, updated_at: clock::now() })? {
        0 => Err(not_found()),
        _ => Ok(Response::no_content()),
    }
}

fn show(connection: &impl Connection, id: i64, status: u16) -> Result<Response> {
    let rows = connection.query(&format!("{SELECT} WHERE s.id = $1"), params![id])?;
    let supplier = rows.read::<Supplier>().next().ok_or_else(not_found)?;
    Ok(Response::json(status, &supplier))
}

fn not_found() -> Error {
    Error::not_found("Proveedor no encontrado")
}

fn check_nit(nit: Option<&str>) -> Result<()> {
    match nit {
        Some(nit) if !domain::is_nit(nit) => Err(Error::field("nit", "El NIT debe tener el formato 123456789-0.")),
        _ => Ok(()),
    }
}
