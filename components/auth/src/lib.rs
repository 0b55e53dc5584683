//! The service `auth`: users, who gets a token, and when it ends.
//!
//! Not here: keys and signatures (the host's), which role may call what (each service's routes).

mod api;
pub mod domain;
#[cfg(target_arch = "wasm32")]
mod exports;
mod store;
mod throttle;

use provesi_sdk::{Access, Migration, Route, Service, idempotency, migration};

use crate::api::{session, users};

/// The service.
pub struct Auth;

const ADMIN: Access = Access::Roles(&["ADMIN"]);
const ADDRESS: &[&str] = &["x-real-ip"];

impl Service for Auth {
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Users and their tokens.";
    const MIGRATIONS: &'static [Migration] = &[
        idempotency::MIGRATION,
        migration!("auth", "0001_users"),
        migration!("auth", "0002_login_attempts"),
        migration!("auth", "0003_versions"),
    ];
    const TOPICS: &'static [&'static str] = &[users::RENAMED];
    const IDEMPOTENT: &'static [&'static str] = &["provesi:auth/directory#find"];
    const ROUTES: &'static [Route] = &[
        Route::post("/auth/login/", "login", session::login)
            .access(Access::Public)
            .headers(ADDRESS)
            .body::<session::Login>()
            .answers::<session::LoggedIn>()
            .summary("Gives a token for a user name and a password."),
        Route::post("/auth/logout/", "logout", session::logout)
            .answers::<session::Message>()
            .summary("Ends the token."),
        Route::get("/auth/profile/", "profile", session::profile)
            .answers::<users::User12>()
            .summary("Reads the bearer's own user."),
        Route::get("/auth/verify/", "verify", session::verify)
            .answers::<session::Verified>()
            .summary("Says that the token is good, and whose it is."),
        Route::post("/auth/password/", "change-password", session::change_password)
            .headers(ADDRESS)
            .body::<session::PasswordChange>()
            .answers::<session::Message>()
            .summary("Changes the bearer's own password and ends its tokens."),
        Route::get("/users/", "list-users", users::list)
            .access(ADMIN)
            .answers::<Vec<users::User14>>()
            .summary("Lists users by id."),
        Route::get("/users/{id:int}/", "get-user", users::get)
            .answers::<users::User12>()
            .summary("Reads a user: oneself, or any for staff."),
        Route::post("/users/", "create-user", users::create)
            .access(ADMIN)
            .headers(&[idempotency::HEADER])
            .body::<users::NewUser>()
            .answers::<users::User14>()
            .summary("Creates a user."),
        Route::patch("/users/{id:int}/", "change-user", users::change)
            .access(ADMIN)
            .body::<users::UserPatch>()
            .answers::<users::User14>()
            .summary("Changes a user; a new password or role, or deactivation, ends its tokens."),
    ];
}

provesi_sdk::export_service!(Auth);
