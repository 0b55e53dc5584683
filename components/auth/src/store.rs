//! Users in the database.

use provesi_sdk::sql::{self, Column, Connection, Error};
use provesi_sdk::{Timestamp, columns, params, row};

use crate::domain;

row! {
    /// All columns that can be set.
    pub(crate) struct Fields {
        pub(crate) username: String,
        pub(crate) password_hash: String,
        pub(crate) email: String,
        pub(crate) first_name: String,
        pub(crate) last_name: String,
        pub(crate) role: String,
        pub(crate) phone: Option<String>,
        pub(crate) address: Option<String>,
        pub(crate) document_type: Option<String>,
        pub(crate) document_number: Option<String>,
        pub(crate) city: Option<String>,
        pub(crate) is_active: bool,
    }
}

row! {
    /// What a log-in needs.
    pub(crate) struct Credentials {
        pub(crate) id: i64,
        pub(crate) username: String,
        pub(crate) password_hash: String,
        pub(crate) role: String,
        pub(crate) is_active: bool,
    }
}

const CREDENTIALS: &str = "SELECT id, username, password_hash, role, is_active FROM users";

pub(crate) fn credentials_of(tx: &impl Connection, username: &str) -> Result<Option<Credentials>, Error> {
    tx.first(&format!("{CREDENTIALS} WHERE username = $1"), params![username])
}

pub(crate) fn credentials(tx: &impl Connection, id: i64) -> Result<Option<Credentials>, Error> {
    tx.first(&format!("{CREDENTIALS} WHERE id = $1"), params![id])
}

/// Keeps a user as it was found until the transaction ends; says whether it is still so.
pub(crate) fn hold(tx: &impl Connection, found: &Credentials) -> Result<bool, Error> {
    // A change that changes nothing: SQLite knows no row locks, and PostgreSQL waits here for a change under way.
    const HOLD: &str = "UPDATE users SET is_active = is_active \
        WHERE id = $1 AND username = $2 AND password_hash = $3 AND role = $4 AND is_active = $5";
    let params = params![found.id, &found.username, &found.password_hash, &found.role, found.is_active];
    Ok(tx.execute(HOLD, params)? == 1)
}

/// Replaces the password of a user; says whether it was still the one that was found.
pub(crate) fn set_password(
    tx: &impl Connection,
    found: &Credentials,
    hash: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    const SET: &str = "UPDATE users SET password_hash = $1, updated_at = $2 WHERE id = $3 AND password_hash = $4";
    Ok(tx.execute(SET, params![hash, now, found.id, &found.password_hash])? == 1)
}

pub(crate) fn find(tx: &impl Connection, id: i64) -> Result<Option<Fields>, Error> {
    const FIND: &str = "SELECT username, password_hash, email, first_name, last_name, role, phone, address, \
        document_type, document_number, city, is_active FROM users WHERE id = $1";
    tx.first(FIND, params![id])
}

pub(crate) fn insert(tx: &impl Connection, new: &Fields, now: Timestamp) -> Result<i64, Error> {
    let mut columns = columns(new, now);
    columns.extend(columns! { created_at: now });
    sql::insert(tx, "users", columns)
}

/// Counts a change that is about to be made, and returns the new count; none when there is no such user.
///
/// Others that change the user wait from here on: what is read now is what the change is made of.
pub(crate) fn touch(tx: &impl Connection, id: i64, now: Timestamp) -> Result<Option<i64>, Error> {
    const TOUCH: &str = "UPDATE users SET version = version + 1, updated_at = $1 WHERE id = $2 RETURNING version";
    Ok(tx.first::<(i64,)>(TOUCH, params![now, id])?.map(|(version,)| version))
}

pub(crate) fn update(tx: &impl Connection, id: i64, new: &Fields, now: Timestamp) -> Result<u64, Error> {
    sql::update(tx, "users", id, columns(new, now))
}

impl Fields {
    /// Returns the name that people read.
    pub(crate) fn display_name(&self) -> String {
        domain::display_name(&self.username, &self.first_name, &self.last_name)
    }
}

fn columns(user: &Fields, now: Timestamp) -> Vec<Column> {
    columns! {
        username: &user.username,
        password_hash: &user.password_hash,
        email: &user.email,
        first_name: &user.first_name,
        last_name: &user.last_name,
        role: &user.role,
        phone: user.phone.as_deref(),
        address: user.address.as_deref(),
        document_type: user.document_type.as_deref(),
        document_number: user.document_number.as_deref(),
        city: user.city.as_deref(),
        is_active: user.is_active,
        updated_at: now,
    }
}
