//! Users.

use provesi_sdk::list::{self, List};
use provesi_sdk::sql::{self, Connection, Database, Unique};
use provesi_sdk::{
    Email, Error, FieldErrors, Omittable, Patch, Request, Response, Result, Secret, Text, Timestamp, clock,
    idempotency, input, params, passwords, row, tokens,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{self, DocumentType, Role};
use crate::store::{self, Fields};

input! {
    /// A new user.
    pub(crate) struct NewUser {
        username: Text<150>,
        password: Secret,
        email: Email,
        first_name: Omittable<Text<150>>,
        last_name: Omittable<Text<150>>,
        role: Omittable<RoleName>,
        phone: Option<Text<20>>,
        address: Option<Text<500>>,
        document_type: Option<DocumentName>,
        document_number: Option<Text<20>>,
        city: Option<Text<100>>,
        is_active: Omittable<bool>,
    }
}

input! {
    /// A change of a user.
    pub(crate) struct UserPatch {
        username: Omittable<Text<150>>,
        password: Omittable<Secret>,
        email: Omittable<Email>,
        first_name: Omittable<Text<150>>,
        last_name: Omittable<Text<150>>,
        role: Omittable<RoleName>,
        phone: Patch<Text<20>>,
        address: Patch<Text<500>>,
        document_type: Patch<DocumentName>,
        document_number: Patch<Text<20>>,
        city: Patch<Text<100>>,
        is_active: Omittable<bool>,
    }
}

type RoleName = provesi_sdk::Chosen<Role>;
type DocumentName = provesi_sdk::Chosen<DocumentType>;

const UNIQUE: Unique<2> = Unique {
    table: "users",
    columns: [
        ("username", "Ya existe un usuario con este nombre."),
        ("document_number", "Ya existe un usuario con este documento."),
    ],
};

/// Topic of new names.
pub(crate) const RENAMED: &str = "auth.user-renamed";

/// What others are told of a new name, as people read it.
#[derive(Serialize)]
struct Renamed {
    id: i64,
    name: String,
    /// Counts the changes of the user.
    version: i64,
}

/// A user without its times.
#[derive(Serialize, JsonSchema)]
pub(crate) struct User12<'r> {
    id: i64,
    username: &'r str,
    email: &'r str,
    first_name: &'r str,
    last_name: &'r str,
    role: &'r str,
    phone: Option<&'r str>,
    address: Option<&'r str>,
    document_type: Option<&'r str>,
    document_number: Option<&'r str>,
    city: Option<&'r str>,
    is_active: bool,
}

/// A user.
#[derive(Serialize, JsonSchema)]
pub(crate) struct User14<'r> {
    #[serde(flatten)]
    user: User12<'r>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

row! {
    /// A user's row without the password.
    pub(crate) struct UserRow<'r> {
        id: i64,
        username: &'r str,
        email: &'r str,
        first_name: &'r str,
        last_name: &'r str,
        role: &'r str,
        phone: Option<&'r str>,
        address: Option<&'r str>,
        document_type: Option<&'r str>,
        document_number: Option<&'r str>,
        city: Option<&'r str>,
        is_active: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

const SELECT: &str = "SELECT id, username, email, first_name, last_name, role, phone, address, document_type, \
    document_number, city, is_active, created_at, updated_at FROM users";

impl<'r> From<UserRow<'r>> for User14<'r> {
    fn from(row: UserRow<'r>) -> Self {
        let user = User12 {
            id: row.id,
            username: row.username,
            email: row.email,
            first_name: row.first_name,
            last_name: row.last_name,
            role: row.role,
            phone: row.phone,
            address: row.address,
            document_type: row.document_type,
            document_number: row.document_number,
            city: row.city,
            is_active: row.is_active,
        };
        Self { user, created_at: row.created_at, updated_at: row.updated_at }
    }
}

impl<'r> From<User14<'r>> for User12<'r> {
    fn from(full: User14<'r>) -> Self {
        full.user
    }
}

impl User14<'_> {
    /// Says whether the user may log in.
    pub(crate) fn is_active(&self) -> bool {
        self.user.is_active
    }
}

pub(crate) fn list(request: &Request) -> Result<Response> {
    List::of(request).answer(SELECT, "id", |rows| list::json(rows.read::<UserRow>().map(User14::from)))
}

pub(crate) fn get(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    let caller = request.signed_in()?;
    if caller.role == "CLIENTE" && caller.user_id != id {
        return Err(Error::forbidden());
    }
    show(&Database, id, |user| Response::ok(&User12::from(user)))
}

pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewUser = request.json()?;
    check(Some(&new.username), Some(&new.password), &new.username)?;
    let fields = Fields {
        password_hash: passwords::hash(&new.password)?,
        username: new.username.into(),
        email: new.email.into(),
        first_name: new.first_name.0.map(Into::into).unwrap_or_default(),
        last_name: new.last_name.0.map(Into::into).unwrap_or_default(),
        role: new.role.0.map_or(Role::Cliente, |role| role.0).name().to_owned(),
        phone: new.phone.map(Into::into),
        address: new.address.map(Into::into),
        document_type: new.document_type.map(|kind| kind.0.name().to_owned()),
        document_number: new.document_number.map(Into::into),
        city: new.city.map(Into::into),
        is_active: new.is_active.0.unwrap_or(true),
    };
    idempotency::once(request, |tx| {
        UNIQUE.check(tx, None, [Some(&*fields.username), fields.document_number.as_deref()])?;
        let id = store::insert(tx, &fields, clock::now()).map_err(|error| UNIQUE.explain(error))?;
        show(tx, id, |user| Response::created(&user))
    })
}

pub(crate) fn change(request: &Request) -> Result<Response> {
    let id = request.path_id("id").ok_or_else(not_found)?;
    let patch: UserPatch = request.json()?;
    let current = store::find(&Database, id)?.ok_or_else(not_found)?;
    let username = patch.username.0.as_deref().unwrap_or(&current.username);
    check(patch.username.0.as_deref(), patch.password.0.as_deref(), username)?;
    // Hashing takes long: before the transaction, which others wait for.
    let password_hash = patch.password.0.as_deref().map(passwords::hash).transpose()?;
    sql::transaction(|tx| {
        let patch: UserPatch = request.json()?;
        let now = clock::now();
        // Changed before it is read: of two changes at once the second one sees what the first one left.
        let version = store::touch(tx, id, now)?.ok_or_else(not_found)?;
        let current = store::find(tx, id)?.ok_or_else(not_found)?;
        let previous_name = current.display_name();
        let next = Fields {
            username: patch.username.0.map_or(current.username, Into::into),
            password_hash: password_hash.clone().unwrap_or(current.password_hash),
            email: patch.email.0.map_or(current.email, Into::into),
            first_name: patch.first_name.0.map_or(current.first_name, Into::into),
            last_name: patch.last_name.0.map_or(current.last_name, Into::into),
            role: patch.role.0.map_or(current.role.clone(), |role| role.0.name().to_owned()),
            phone: patch.phone.map(Into::into).apply(current.phone),
            address: patch.address.map(Into::into).apply(current.address),
            document_type: patch.document_type.map(|kind| kind.0.name().to_owned()).apply(current.document_type),
            document_number: patch.document_number.map(Into::into).apply(current.document_number),
            city: patch.city.map(Into::into).apply(current.city),
            is_active: patch.is_active.0.unwrap_or(current.is_active),
        };
        UNIQUE.check(tx, Some(id), [Some(&*next.username), next.document_number.as_deref()])?;
        store::update(tx, id, &next, now).map_err(|error| UNIQUE.explain(error))?;
        let name = next.display_name();
        if name != previous_name {
            tx.publish(RENAMED, id, &Renamed { id, name, version })?;
        }
        let response = show(tx, id, |user| Response::ok(&user))?;
        if password_hash.is_some() || next.role != current.role || !next.is_active {
            tokens::revoke_user(id)?;
        }
        Ok(response)
    })
}

/// Reads a user and answers with it.
pub(crate) fn show(
    connection: &impl Connection,
    id: i64,
    answer: impl FnOnce(User14<'_>) -> Response,
) -> Result<Response> {
    let rows = connection.query(&format!("{SELECT} WHERE id = $1"), params![id])?;
    let row = rows.read::<UserRow>().next().ok_or_else(not_found)?;
    Ok(answer(row.into()))
}

pub(crate) fn not_found() -> Error {
    Error::not_found("Usuario no encontrado")
}

fn check(new_name: Option<&str>, new_password: Option<&str>, username: &str) -> Result<()> {
    let mut errors = FieldErrors::default();
    if new_name.is_some_and(|name| !domain::is_username(name)) {
        errors.add("username", "Solo se permiten letras, números y los caracteres @/./+/-/_.");
    }
    if let Some(problem) = new_password.and_then(|password| domain::password_problem(password, username)) {
        errors.add("password", problem);
    }
    errors.into_result()
}
