//! Users in the database.

use provesi_sdk::sql::{Connection, Error};
use provesi_sdk::{Timestamp, params, row};

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
    #[derive(PartialEq)]
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

pub(crate) fn set_password(tx: &impl Connection, id: i64, hash: &str, now: Timestamp) -> Result<u64, Error> {
    tx.execute("UPDATE users SET password_hash = $1, updated_at = $2 WHERE id = $3", params![hash, now, id])
}

pub(crate) fn find(tx: &impl Connection, id: i64) -> Result<Option<Fields>, Error> {
    const FIND: &str = "SELECT username, password_hash, email, first_name, last_name, role, phone, address, \
        document_type, document_number, city, is_active FROM users WHERE id = $1";
    tx.first(FIND, params![id])
}

pub(crate) fn insert(tx: &impl Connection, new: &Fields, now: Timestamp) -> Result<i64, Error> {
    const INSERT: &str = "INSERT INTO users (username, password_hash, email, first_name, last_name, role, phone, \
        address, document_type, document_number, city, is_active, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id";
    let params = params![
        &new.username,
        &new.password_hash,
        &new.email,
        &new.first_name,
        &new.last_name,
        &new.role,
        new.phone.as_deref(),
        new.address.as_deref(),
        new.document_type.as_deref(),
        new.document_number.as_deref(),
        new.city.as_deref(),
        new.is_active,
        now,
        now,
    ];
    Ok(tx.first::<(i64,)>(INSERT, params)?.expect("RETURNING answers the new row").0)
}

pub(crate) fn update(tx: &impl Connection, id: i64, new: &Fields, now: Timestamp) -> Result<u64, Error> {
    const UPDATE: &str = "UPDATE users SET username = $1, password_hash = $2, email = $3, first_name = $4, \
        last_name = $5, role = $6, phone = $7, address = $8, document_type = $9, document_number = $10, city = $11, \
        is_active = $12, updated_at = $13 WHERE id = $14";
    let params = params![
        &new.username,
        &new.password_hash,
        &new.email,
        &new.first_name,
        &new.last_name,
        &new.role,
        new.phone.as_deref(),
        new.address.as_deref(),
        new.document_type.as_deref(),
        new.document_number.as_deref(),
        new.city.as_deref(),
        new.is_active,
        now,
        id,
    ];
    tx.execute(UPDATE, params)
}
