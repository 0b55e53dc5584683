//! Values in a Redis server, which hosts can share.
//!
//! The server may be gone at any time. Then nothing is there and nobody waits: after a failure nothing is tried for
//! [`COOL_OFF`], then one caller tries to connect again. Keys that were deleted or written meanwhile are deleted before
//! anything is read again, so that nothing comes back older than what was last written by this host.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};
use tokio_util::task::TaskTracker;

use super::MAX_VALUE;

/// Time after a failure in which nothing is tried.
const COOL_OFF: Duration = Duration::from_secs(1);

/// Keys that are remembered while the server is gone: 2 MiB of the longest.
const MAX_UNHEARD: usize = 4096;

/// Looks for keys that were added while others were being deleted.
const ROUNDS: usize = 4;

/// Stores a value and ends whatever computation of it is running anywhere.
const PUT: &str = "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) redis.call('DEL', KEYS[2]) return 1";

/// Stores a value if its computation still counts, and ends that.
const FULFIL: &str = "if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) redis.call('DEL', KEYS[2]) return 1";

/// Ends a computation, if it still counts.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// A server.
pub(super) struct Remote {
    client: Client,
    timeout: Duration,
    link: Mutex<Link>,
    /// Whether it was told that the server refuses commands.
    refuses: AtomicBool,
    /// Releases that nobody waits for.
    work: TaskTracker,
}

/// The two names of one entry in the server.
pub(super) struct Names {
    value: String,
    claim: String,
}

struct Link {
    state: State,
    /// Rises with each connection, so that a late failure of one does not end the next.
    connects: u64,
    /// Whether it was told that the server is gone.
    told: bool,
    /// Keys whose values in the server are older than what was last written.
    unheard: BTreeSet<String>,
}

enum State {
    Up(MultiplexedConnection),
    Connecting,
    Down { until: Instant },
}

enum Look {
    Up(MultiplexedConnection, u64),
    Connect,
    Leave,
}

/// An attempt to connect; another can begin when it is dropped.
struct Attempt<'r> {
    remote: &'r Remote,
    wait: Duration,
}

// === impl Names ===

impl Names {
    /// Service names have no `:`, so no key of one service can be read as one of another.
    pub(super) fn of(service: &str, key: &str) -> Self {
        Self { value: format!("provesi:{service}:{key}"), claim: format!("provesi-claim:{service}:{key}") }
    }
}

// === impl Remote ===

impl Remote {
    /// Takes an address; nothing is connected yet.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        let state = State::Down { until: Instant::now() };
        let link = Link { state, connects: 0, told: false, unheard: BTreeSet::new() };
        Ok(Self {
            client: Client::open(url)?,
            timeout,
            link: Mutex::new(link),
            refuses: AtomicBool::new(false),
            work: TaskTracker::new(),
        })
    }

    /// Connects, if the server is there.
    pub(super) async fn open(&self) {
        let _ = self.connection().await;
    }

    /// Waits for the last releases.
    pub(super) async fn close(&self) {
        self.work.close();
        self.work.wait().await;
    }

    pub(super) async fn get(&self, names: &Names) -> Option<Bytes> {
        let mut command = redis::cmd("GET");
        command.arg(names.value.as_str());
        let found: Option<Vec<u8>> = self.run(&command).await?;
        found.filter(|value| value.len() <= MAX_VALUE).map(Bytes::from)
    }

    pub(super) async fn put(&self, names: &Names, value: &[u8], ttl: Duration) {
        let mut command = script(PUT, &[&names.value, &names.claim]);
        command.arg(value).arg(milliseconds(ttl));
        if !self.write(&command, names).await {
            // A server that is full takes no new value, and must not give the old one for it.
            self.delete(names).await;
        }
    }

    pub(super) async fn delete(&self, names: &Names) {
        let mut command = redis::cmd("DEL");
        command.arg(names.value.as_str()).arg(names.claim.as_str());
        self.write(&command, names).await;
    }

    /// Makes one host the one that computes a value, for a time; none when the server is gone.
    pub(super) async fn claim(&self, names: &Names, token: &str, lease: Duration) -> Option<bool> {
        let mut command = redis::cmd("SET");
        command.arg(names.claim.as_str()).arg(token).arg("NX").arg("PX").arg(milliseconds(lease));
        self.run(&command).await
    }

    /// Stores what was computed, and says whether the claim still counted; none when the server is gone.
    pub(super) async fn fulfil(&self, names: &Names, token: &str, value: &[u8], ttl: Duration) -> Option<bool> {
        let mut command = script(FULFIL, &[&names.value, &names.claim]);
        command.arg(value).arg(milliseconds(ttl)).arg(token);
        self.run(&command).await
    }

    /// Gives a claim back without waiting; what is not heard of it ends with its lease.
    pub(super) fn release(self: &Arc<Self>, names: &Names, token: &str) {
        let mut command = script(RELEASE, &[&names.claim]);
        command.arg(token);
        let this = Arc::clone(self);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.work.spawn_on(async move { this.run::<bool>(&command).await }, &runtime);
        }
    }

    /// Changes a value, or remembers that its old one must not be read; false when the server refuses.
    async fn write(&self, command: &Cmd, names: &Names) -> bool {
        // Once more when the server has just come back: then nobody would look at what is remembered.
        for _ in 0..2 {
            if self.run::<redis::Value>(command).await.is_some() || self.remember(names) {
                return true;
            }
        }
        false
    }

    /// Runs a command; none when the server is gone or refuses it.
    async fn run<T: FromRedisValue + Send>(&self, command: &Cmd) -> Option<T> {
        let (mut connection, number) = self.connection().await?;
        match tokio::time::timeout(self.timeout, command.query_async::<T>(&mut connection)).await {
            Ok(Ok(answer)) => {
                self.refuses.store(false, Ordering::Relaxed);
                Some(answer)
            }
            Ok(Err(error)) if error.is_io_error() || error.is_unrecoverable_error() => {
                self.lost(number, &error.to_string());
                None
            }
            Ok(Err(error)) => {
                if !self.refuses.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the cache refuses a command; its value counts as not there");
                }
                None
            }
            Err(_) => {
                self.lost(number, "no answer in time");
                None
            }
        }
    }

    async fn connection(&self) -> Option<(MultiplexedConnection, u64)> {
        let look = self.lock().look();
        match look {
            Look::Up(connection, number) => return Some((connection, number)),
            Look::Leave => return None,
            Look::Connect => {}
        }
        let mut attempt = Attempt { remote: self, wait: Duration::ZERO };
        let connected = self.connect().await;
        attempt.wait = COOL_OFF;
        match connected {
            Ok(connected) => connected,
            Err(error) => {
                self.lock().tell(&error.to_string());
                None
            }
        }
    }

    /// Connects, and brings the server up to date before anybody reads from it.
    async fn connect(&self) -> Result<Option<(MultiplexedConnection, u64)>, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        for _ in 0..ROUNDS {
            let unheard = self.lock().unheard.clone();
            if !unheard.is_empty() {
                let mut command = redis::cmd("DEL");
                for key in &unheard {
                    command.arg(key.as_str());
                }
                command.query_async::<redis::Value>(&mut connection).await?;
            }
            let mut link = self.lock();
            link.unheard.retain(|key| !unheard.contains(key));
            if link.unheard.is_empty() {
                link.connects += 1;
                link.state = State::Up(connection.clone());
                if std::mem::take(&mut link.told) {
                    tracing::info!("the cache is back");
                }
                return Ok(Some((connection, link.connects)));
            }
        }
        Ok(None)
    }

    /// Ends a connection, unless it was replaced already.
    fn lost(&self, number: u64, reason: &str) {
        let mut link = self.lock();
        if link.connects == number && matches!(link.state, State::Up(_)) {
            link.state = State::Down { until: Instant::now() + COOL_OFF };
            link.tell(reason);
        }
    }

    /// Remembers that a key is to be deleted before it is read again; false when the server can be told at once.
    fn remember(&self, names: &Names) -> bool {
        let mut link = self.lock();
        if matches!(link.state, State::Up(_)) {
            return false;
        }
        if link.unheard.len() < MAX_UNHEARD {
            // Whoever computes it since before the change must not store it either.
            link.unheard.extend([names.value.clone(), names.claim.clone()]);
        } else {
            tracing::warn!("the cache is gone for long: some old values will be there again until they expire");
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        // Each change is complete in itself, so a panic elsewhere leaves nothing half done.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Link ===

impl Link {
    fn look(&mut self) -> Look {
        if let State::Up(connection) = &self.state {
            return Look::Up(connection.clone(), self.connects);
        }
        if !matches!(self.state, State::Down { until } if until <= Instant::now()) {
            return Look::Leave;
        }
        self.state = State::Connecting;
        Look::Connect
    }

    fn tell(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(reason, "the cache cannot be reached: everything counts as not there");
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut link = self.remote.lock();
        if matches!(link.state, State::Connecting) {
            link.state = State::Down { until: Instant::now() + self.wait };
        }
    }
}

fn script(text: &str, keys: &[&str]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(keys.len());
    for key in keys {
        command.arg(*key);
    }
    command
}

/// Redis takes no time of zero.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
