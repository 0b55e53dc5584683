//! Logging in and out, and what a token is good for.

use provesi_sdk::sql::{self, Database};
use provesi_sdk::{Error, Request, Response, Result, Secret, Text, clock, config, input, passwords, tokens};
use schemars::JsonSchema;
use serde::Serialize;

use super::users::{self, User12, User14};
use crate::domain;
use crate::store;
use crate::throttle::Attempt;

/// Life of a token unless `token-ttl-seconds` is configured: a working day.
const TTL_SECONDS: u32 = 8 * 3600;

/// A hash that belongs to no password: an unknown name takes as long as a wrong password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

input! {
    /// A user name and a password.
    pub(crate) struct Login {
        username: Text<150>,
        password: Secret,
    }
}

input! {
    /// The password of now and the one to be.
    pub(crate) struct PasswordChange {
        current_password: Secret,
        new_password: Secret,
    }
}

/// The answer of a log-in.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LoggedIn<'r> {
    message: &'static str,
    user: User14<'r>,
    token: &'r str,
    token_type: &'static str,
    expires_in: u32,
}

/// The answer of a verification.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Verified<'r> {
    valid: bool,
    user: User14<'r>,
}

/// A message for the user.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Message {
    message: &'static str,
}

pub(crate) fn login(request: &Request) -> Result<Response> {
    let body: Login = request.json()?;
    let attempt = Attempt { username: &body.username, address: request.header("x-real-ip").unwrap_or_default() };
    attempt.admit()?;
    let found = store::credentials_of(&Database, &body.username)?;
    let hash = found.as_ref().map_or(NOBODY, |found| &found.password_hash);
    let matches = attempt.matches(&body.password, hash)?;
    let user = found.filter(|found| matches && found.is_active).ok_or_else(no_credentials)?;
    let ttl_seconds = config::get("token-ttl-seconds").and_then(|text| text.parse().ok()).unwrap_or(TTL_SECONDS);
    sql::transaction(|tx| {
        // Checking took a while. A change of the user that ends its tokens came before, and is seen here, or waits for
        // this transaction, and ends this token too.
        if !store::hold(tx, &user)? {
            return Err(no_credentials());
        }
        attempt.succeeded(tx)?;
        let (username, role) = (user.username.clone(), user.role.clone());
        let token = tokens::issue(&tokens::Claims { user_id: user.id, username, role, ttl_seconds })?;
        let cookie = format!("sessionid={}; Path=/; Max-Age={ttl_seconds}; HttpOnly; SameSite=Lax", token.text);
        users::show(tx, user.id, |user| {
            let answer = LoggedIn {
                message: "Login exitoso",
                user,
                token: &token.text,
                token_type: "Bearer",
                expires_in: ttl_seconds,
            };
            Response::ok(&answer).header("set-cookie", cookie)
        })
    })
}

fn no_credentials() -> Error {
    Error::field("non_field_errors", "Credenciales inválidas")
}

pub(crate) fn logout(request: &Request) -> Result<Response> {
    tokens::revoke(&request.signed_in()?.token_id)?;
    let gone = "sessionid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax";
    Ok(Response::ok(&Message { message: "Logout exitoso" }).header("set-cookie", gone))
}

pub(crate) fn profile(request: &Request) -> Result<Response> {
    users::show(&Database, request.signed_in()?.user_id, |user| Response::ok(&User12::from(user)))
}

pub(crate) fn verify(request: &Request) -> Result<Response> {
    let id = request.signed_in()?.user_id;
    users::show(&Database, id, |user| Response::ok(&Verified { valid: user.is_active(), user }))
}

pub(crate) fn change_password(request: &Request) -> Result<Response> {
    let body: PasswordChange = request.json()?;
    let caller = request.signed_in()?;
    // The same bound as for logging in: a stolen token must not be a way to guess the password.
    let attempt = Attempt { username: &caller.username, address: request.header("x-real-ip").unwrap_or_default() };
    attempt.admit()?;
    let user = store::credentials(&Database, caller.user_id)?.ok_or_else(users::not_found)?;
    if !attempt.matches(&body.current_password, &user.password_hash)? {
        return Err(not_current());
    }
    attempt.succeeded(&Database)?;
    if let Some(problem) = domain::password_problem(&body.new_password, &user.username) {
        return Err(Error::field("new_password", problem));
    }
    // Hashing takes long: before the transaction, which others wait for.
    let hash = passwords::hash(&body.new_password)?;
    sql::transaction(|tx| {
        if !store::set_password(tx, &user, &hash, clock::now())? {
            return Err(not_current());
        }
        tokens::revoke_user(user.id)
    })?;
    Ok(Response::ok(&Message { message: "Contraseña actualizada" }))
}

fn not_current() -> Error {
    Error::field("current_password", "La contraseña actual no es correcta.")
}
