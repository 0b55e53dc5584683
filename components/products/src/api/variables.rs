//! Variables: qualities of a product that measurements name.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{self, Connection, Database};
use provesi_sdk::{
    Error, Int, Omittable, Patch, Request, Response, Result, Text, columns, idempotency, input, params, row,
};
use schemars::JsonSchema;
use serde::Serialize;

input! {
    /// A new variable.
    pub(crate) struct NewVariable {
        name: Text<50>,
        product: Option<Int<1, { i64::MAX }>>,
    }
}

input! {
    /// A change of a variable.
    pub(crate) struct VariablePatch {
        name: Omittable<Text<50>>,
        product: Patch<Int<1, { i64::MAX }>>,
    }
}

row! {
    /// A variable, as clients see it.
    #[derive(Serialize, JsonSchema)]
    pub(crate) struct Variable<'r> {
        id: i64,
        name: &'r str,
        product: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        product_name: Option<&'r str>,
    }
}

const SELECT: &str =
    "SELECT v.id, v.name, v.product_id, p.name FROM variables v LEFT JOIN products p ON p.id = v.product_id";

pub(crate) fn list(request: &Request) -> Result<Response> {
    let mut list = List::of(request);
    list.id("product", "v.product_id = ?");
    list.answer(SELECT, "v.id", |rows| list::json(rows.read::<Variable>()))
}

pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewVariable = request.json()?;
    idempotency::once(request, |tx| {
        let columns = columns! { name: &*new.name, product_id: new.product.map(|id| id.0) };
        let id = sql::insert(tx, "variables", columns).map_err(no_product)?;
        show(tx, id, 201)
    })
}

pub(crate) fn change(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    let patch: VariablePatch = request.json()?;
    sql::transaction(|tx| {
        let current =
            tx.first::<(String, Option<i64>)>("SELECT name, product_id FROM variables WHERE id = $1", params![id])?;
        let (name, product) = current.ok_or_else(not_found)?;
        let columns = columns! {
            name: patch.name.0.as_deref().unwrap_or(&name),
            product_id: patch.product.clone().map(|id| id.0).apply(product),
        };
        sql::update(tx, "variables", id, columns).map_err(no_product)?;
        show(tx, id, 200)
    })
}

pub(crate) fn delete(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    match Database.execute("DELETE FROM variables WHERE id = $1", params![id])? {
        0 => Err(not_found()),
        _ => Ok(Response::no_content()),
    }
}

fn show(connection: &impl Connection, id: i64, status: u16) -> Result<Response> {
    let rows = connection.query(&format!("{SELECT} WHERE v.id = $1"), params![id])?;
    let variable = rows.read::<Variable>().next().ok_or_else(not_found)?;
    Ok(Response::json(status, &variable))
}

fn not_found() -> Error {
    Error::not_found("Variable no encontrada")
}

fn no_product(error: sql::Error) -> Error {
    if sql::broke_reference(&error) { Error::field("product", "El producto no existe.") } else { error.into() }
}
