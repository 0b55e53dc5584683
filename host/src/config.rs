//! `provesi.toml` and its overrides from the environment, read and checked once.
//!
//! Every key can be overridden by `PROVESI_SECTION__KEY` (a `-` in a key is a `_` there). An error names the
//! file or variable, the key, the value and what is allowed. Nothing else in the host reads the environment.

mod admin;
mod breaker;
mod cache;
mod events;
mod gateway;
mod limits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::Deserialize;

pub use self::admin::{AdminConfig, CanaryConfig};
pub use self::breaker::{BreakerConfig, OPEN_AT_MOST};
pub use self::cache::{CacheConfig, CacheUrl};
pub use self::events::{EventsConfig, EventsUrl};
pub use self::gateway::{AccessMode, GatewayConfig, Sticky};
pub use self::limits::{Limits, MAX_TABLES};
use crate::names::{Destination, ServiceName};

/// Everything that can be configured.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The public listener.
    #[serde(default)]
    pub gateway: GatewayConfig,
    /// The operators' listener.
    #[serde(default)]
    pub admin: AdminConfig,
    /// When a canary loses its traffic.
    #[serde(default)]
    pub canary: CanaryConfig,
    /// Where data is kept.
    #[serde(default)]
    pub storage: StorageConfig,
    /// Where services keep what can be computed again.
    #[serde(default)]
    pub cache: CacheConfig,
    /// Events between services.
    #[serde(default)]
    pub events: EventsConfig,
    /// What runs components.
    #[serde(default)]
    pub runtime: RuntimeConfig,
    /// Tokens and passwords.
    #[serde(default)]
    pub identity: IdentityConfig,
    /// Log output.
    #[serde(default)]
    pub log: LogConfig,
    /// The services, by name.
    #[serde(default)]
    pub services: BTreeMap<ServiceName, ServiceConfig>,
    /// The file that all of this was read from.
    #[serde(skip)]
    pub file: PathBuf,
}

/// Where data is kept.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StorageConfig {
    /// `sqlite:` for files under DATA (default), or `postgres://user:password@host:port`.
    pub url: StorageUrl,
    /// Longest wait for a database connection. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self { url: StorageUrl::Sqlite, acquire_timeout: Duration::from_secs(2) }
    }
}

/// The database that keeps everything durable.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub enum StorageUrl {
    /// One file per service under DATA.
    Sqlite,
    /// One database and one role per service on this server.
    Postgres(String),
}

impl std::fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        f.write_str(match self {
            Self::Sqlite => "sqlite:",
            Self::Postgres(_) => "postgres://…",
        })
    }
}

impl TryFrom<String> for StorageUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "sqlite:" {
            Ok(Self::Sqlite)
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Ok(Self::Postgres(text))
        } else {
            Err("storage.url is neither `sqlite:` nor `postgres://user:password@host:port`")
        }
    }
}

/// What runs components.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// Instances that can exist at once, of all services. Default 1024; each reserves 4 GiB of address space.
    ///
    /// Requests may take half of them, the typed calls that they make the other half, and one service a quarter of
    /// all, whatever its `limits.concurrency` is.
    pub max_instances: u32,
    /// Largest `limits.memory` that a service can ask for. Default 256 MiB.
    pub max_memory: ByteSize,
    /// Folder of compiled code, kept between starts. Default DATA/cache.
    pub cache: Option<PathBuf>,
    /// Depth to which typed calls nest. Default 8.
    pub call_depth: u8,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self { max_instances: 1024, max_memory: ByteSize::mib(256), cache: None, call_depth: 8 }
    }
}

/// Tokens and passwords.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct IdentityConfig {
    /// The `iss` of tokens. Default `provesi`.
    pub issuer: String,
    /// Passwords hashed at once; each takes a core and 19 MiB. Default: half of the cores, at least 1.
    pub password_concurrency: usize,
    /// Further passwords that wait. Default 64: about two seconds of work for one core.
    pub password_queue: usize,
}

impl Default for IdentityConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { issuer: "provesi".to_owned(), password_concurrency: (cores / 2).max(1), password_queue: 64 }
    }
}

/// Log output.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LogConfig {
    /// Filter in the syntax of `RUST_LOG`. Default `info`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        // Both repeat at warn what a service may handle, and know neither the service nor the request.
        Self { filter: "info,sqlx=error,wasmtime_wasi_http=error".to_owned() }
    }
}

/// One service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServiceConfig {
    /// The component's file, relative to the folder of `provesi.toml`.
    pub component: PathBuf,
    /// Capabilities and interfaces of other services that it may import.
    #[serde(default)]
    pub grants: Vec<String>,
    /// Numbers that the host enforces.
    #[serde(default)]
    pub limits: Limits,
    /// When calls are kept away from an operation that fails.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// Values that the service reads through `wasi:config`.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Where it may send requests, with the grant `http`: `api.example.com`, `*.example.com`,
    /// `http://127.0.0.1:9999`. Default: nowhere.
    ///
    /// HTTPS unless it says `http://`. A name counts only where it leads to public addresses, or to listed ones.
    #[serde(default)]
    pub http: Vec<Destination>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("there is no configuration at {}", .0.display())]
    Missing(PathBuf),
    /// A key is unknown or its value is not allowed.
    #[error(transparent)]
    Invalid(#[from] Box<figment::Error>),
    /// Values contradict each other.
    #[error("{key} = {value}: {allowed}")]
    Contradiction {
        /// The key with its section.
        key: String,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: String,
    },
}

impl Config {
    /// Reads the file and the environment, and checks both.
    ///
    /// # Errors
    /// When the file is missing, or anything in it or in the environment is not allowed.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        if !path.is_file() {
            return Err(ConfigError::Missing(path.to_owned()));
        }
        let environment = Env::prefixed("PROVESI_")
            .filter(|key| key.as_str().contains("__"))
            .map(|key| key.as_str().to_lowercase().replace("__", ".").replace('_', "-").into());
        let figment = Figment::from(Toml::file_exact(path)).merge(environment);
        let mut config: Self = figment.extract().map_err(Box::new)?;
        config.file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(Path::new(""));
        for service in config.services.values_mut() {
            service.component = folder.join(&service.component);
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.gateway.check()?;
        self.canary.check()?;
        self.cache.check()?;
        self.events.check()?;
        for (name, service) in &self.services {
            service.breaker.check(name)?;
            service.limits.check(name, self.runtime.max_memory)?;
            let granted = service.grants.iter().any(|grant| grant == "http");
            if let Some(destination) = service.http.first().filter(|_| !granted) {
                return Err(ConfigError::Contradiction {
                    key: format!("services.{name}.http"),
                    value: destination.to_string(),
                    allowed: "nothing without the grant \"http\"".to_owned(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
