//! Suppliers.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{self, Connection, Database};
use provesi_sdk::{
    Decimal, Email, Error, Int, Money, Patch, Request, Response, Result, Text, Timestamp, clock, idempotency, input,
    params, row,
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
        is_active: Option<bool>,
        credit_days: Option<Int<0, 365>>,
        rating: Option<Decimal<500>>,
        notes: Option<Text<10000>>,
    }
}

input! {
    /// A change of a supplier.
    pub(crate) struct SupplierPatch {
        name: Option<Text<150>>,
        nit: Option<Text<11>>,
        email: Option<Email>,
        phone: Option<Text<20>>,
        address: Option<Text<500>>,
        city: Option<Text<100>>,
        contact_person: Option<Text<150>>,
        is_active: Option<bool>,
        credit_days: Option<Int<0, 365>>,
        rating: Option<Decimal<500>>,
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

const SELECT: &str = "SELECT s.id, s.name, s.nit, s.email, s.phone, s.address, s.city, s.contact_person, \
    s.is_active, s.credit_days, s.rating_cents, s.notes, \
    (SELECT COUNT(*) FROM products p WHERE p.supplier_id = s.id), s.created_at, s.updated_at FROM suppliers s";

pub(crate) fn list(request: &Request) -> Result<Response> {
    let mut list = List::of(request);
    list.filter("s.is_active = ?", true);
    list.answer(SELECT, "s.name, s.id", |rows| list::json(rows.read::<Supplier>()))
}

pub(crate) fn create(request: &Request) -> Result<Response> {
    const INSERT: &str = "INSERT INTO suppliers (name, nit, email, phone, address, city, contact_person, is_active, \
        credit_days, rating_cents, notes, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id";
    let new: NewSupplier = request.json()?;
    check_nit(Some(&*new.nit))?;
    let now = clock::now();
    let email: String = new.email.into();
    idempotency::once(request, |tx| {
        let params = params![
            &*new.name,
            &*new.nit,
            &email,
            &*new.phone,
            &*new.address,
            &*new.city,
            &*new.contact_person,
            new.is_active.unwrap_or(true),
            new.credit_days.map_or(30, |days| days.0),
            new.rating.map_or(0, |rating| rating.0),
            new.notes.as_deref(),
            now,
            now,
        ];
        let (id,) = tx.first::<(i64,)>(INSERT, params).map_err(taken)?.expect("RETURNING answers the new row");
        show(tx, id, 201)
    })
}

pub(crate) fn change(request: &Request) -> Result<Response> {
    const UPDATE: &str = "UPDATE suppliers SET name = COALESCE($1, name), nit = COALESCE($2, nit), \
        email = COALESCE($3, email), phone = COALESCE($4, phone), address = COALESCE($5, address), \
        city = COALESCE($6, city), contact_person = COALESCE($7, contact_person), \
        is_active = COALESCE($8, is_active), credit_days = COALESCE($9, credit_days), \
        rating_cents = COALESCE($10, rating_cents), updated_at = $11 WHERE id = $12";
    let id = request.path_id("id").ok_or_else(not_found)?;
    let patch: SupplierPatch = request.json()?;
    check_nit(patch.nit.as_deref())?;
    let email: Option<String> = patch.email.map(Into::into);
    sql::transaction(|tx| {
        let params = params![
            patch.name.as_deref(),
            patch.nit.as_deref(),
            email.as_deref(),
            patch.phone.as_deref(),
            patch.address.as_deref(),
            patch.city.as_deref(),
            patch.contact_person.as_deref(),
            patch.is_active,
            patch.credit_days.map(|days| days.0),
            patch.rating.map(|rating| rating.0),
            clock::now(),
            id,
        ];
        if tx.execute(UPDATE, params).map_err(taken)? == 0 {
            return Err(not_found());
        }
        match &patch.notes {
            Patch::Keep => {}
            Patch::Clear => drop(tx.execute("UPDATE suppliers SET notes = NULL WHERE id = $1", params![id])?),
            Patch::Set(notes) => {
                tx.execute("UPDATE suppliers SET notes = $1 WHERE id = $2", params![&**notes, id])?;
            }
        }
        show(tx, id, 200)
    })
}

pub(crate) fn deactivate(request: &Request) -> Result<Response> {
    const UPDATE: &str = "UPDATE suppliers SET is_active = $1, updated_at = $2 WHERE id = $3";
    let id = request.path_id("id").ok_or_else(not_found)?;
    match Database.execute(UPDATE, params![false, clock::now(), id])? {
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

fn taken(error: sql::Error) -> Error {
    for field in ["name", "nit", "email"] {
        if sql::broke(&error, &format!("suppliers_{field}_key")) {
            return Error::field(field, "Ya existe un proveedor con este valor.");
        }
    }
    error.into()
}
