//! Makes a database and a role for each owner on a PostgreSQL server.
//!
//! A role owns its one database, may connect to no other, makes no temporary tables, and is no superuser. Its password
//! is derived from the administrator's, so that hosts which share a server agree without sharing a file; no guest ever
//! sees it.

use std::time::Duration;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};

/// A server and the right to make databases on it.
pub(super) struct Server {
    admin: PgPool,
    options: PgConnectOptions,
    secret: String,
    /// Whether it can look, while a statement runs, if its client is still there.
    watches_clients: bool,
}

/// Pause between two looks of the server at the client of a running statement: so long can a statement, and its locks,
/// outlive the guest that began it.
const WATCH: (&str, &str) = ("client_connection_check_interval", "100ms");

impl Server {
    /// Connects as the administrator that the URL names.
    pub(super) async fn connect(url: &str, acquire_timeout: Duration) -> sqlx::Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let secret = url.to_owned();
        let admin = PgPoolOptions::new()
            .max_connections(2)
            .acquire_timeout(acquire_timeout)
            .idle_timeout(Duration::from_secs(10))
            // Statements that make roles hold passwords.
            .connect_with(options.clone().disable_statement_logging())
            .await?;
        let secret = password_of(&secret);
        // PostgreSQL has it since 14, and not on every system; without it the timeouts of the session end orphans.
        let statement = format!("SET {} = '{}'", WATCH.0, WATCH.1);
        let watches_clients = sqlx::query(AssertSqlSafe(statement)).execute(&admin).await.is_ok();
        Ok(Self { admin, options, secret, watches_clients })
    }

    /// Makes sure that the owner's role and database are there, and says how to connect as that role.
    pub(super) async fn provision(&self, owner: &str) -> sqlx::Result<PgConnectOptions> {
        let database = format!("{owner}_db");
        let role = format!("{owner}_service");
        let password = self.role_password(&role);
        let options = self.options.clone().database(&database).username(&role).password(&password);
        let options = options.application_name("provesi").options(self.watches_clients.then_some(WATCH));
        if let Ok(mut connection) = PgConnection::connect_with(&options).await {
            let is_confined = is_confined(&mut connection).await;
            connection.close().await?;
            if is_confined? {
                return Ok(options);
            }
        }
        self.make(&database, &role, &password).await?;
        Ok(options)
    }

    async fn make(&self, database: &str, role: &str, password: &str) -> sqlx::Result<()> {
        let mut connection = self.admin.acquire().await?;
        // Another host may be making the same, which takes seconds; a host that hangs there must not hang this one.
        sqlx::query("SET lock_timeout = '30s'").execute(&mut *connection).await?;
        sqlx::query("SELECT pg_advisory_lock(hashtext('provesi-provision'))").execute(&mut *connection).await?;
        let made = make_locked(&mut connection, database, role, password).await;
        sqlx::query("SELECT pg_advisory_unlock(hashtext('provesi-provision'))").execute(&mut *connection).await?;
        made
    }

    fn role_password(&self, role: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(b"provesi role ");
        mac.update(role.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

/// Says whether the role may make no temporary tables, which would outlive the invocation that made them.
async fn is_confined(connection: &mut PgConnection) -> sqlx::Result<bool> {
    const QUERY: &str = "SELECT NOT has_database_privilege(current_database(), 'TEMPORARY')";
    sqlx::query_scalar(QUERY).fetch_one(connection).await
}

/// Names are identifiers made from a `ServiceName` and passwords are hex, so nothing in them needs quoting.
async fn make_locked(connection: &mut PgConnection, database: &str, role: &str, password: &str) -> sqlx::Result<()> {
    let role_exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    let verb = if role_exists { "ALTER" } else { "CREATE" };
    let statement = format!(
        "{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD '{password}'"
    );
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    let database_exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(&mut *connection)
        .await?;
    if !database_exists {
        // Since PostgreSQL 16 only a member may give a database to a role; a superuser needs no membership.
        let _ = sqlx::query(AssertSqlSafe(format!("GRANT {role} TO CURRENT_USER"))).execute(&mut *connection).await;
        // Collation C sorts as SQLite does, so that lists have one order on both.
        let statement = format!(
            "CREATE DATABASE {database} OWNER {role} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    // The owner's own right to temporary tables goes too.
    for (privilege, from) in [("ALL", "PUBLIC"), ("TEMPORARY", role)] {
        let statement = format!("REVOKE {privilege} ON DATABASE {database} FROM {from}");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Takes the password out of a URL; empty when it has none.
fn password_of(url: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user_info = authority.split('/').next().and_then(|host| host.rsplit_once('@')).map_or("", |(info, _)| info);
    user_info.split_once(':').map_or("", |(_, password)| password).to_owned()
}
