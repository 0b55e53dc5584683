//! Leases: of all hosts on one database, one does a work at a time, and another goes on when it is gone.
//!
//! A lease ends by the database's clock, never by a host's: hosts do not agree on the time. What is done under a lease
//! must bear being done twice at once for a moment: when a host has been stopped for longer than its lease lasts, and
//! when that clock is set, until the holder asks again. See `docs/events.md` for how long, and why it does no harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::db::{Database, SqlError, Value};

/// How long a lease lasts after it was last renewed: a host that dies keeps a work waiting for this long.
const TTL: Duration = Duration::from_secs(10);

/// How long before its end a lease is given up that could not be renewed.
const MARGIN: Duration = Duration::from_secs(1);

/// Time from one renewal to the next: two may be missed.
const RENEW: Duration = Duration::from_secs(3);

/// Time from one attempt to get a lease to the next.
const RETRY: Duration = Duration::from_secs(1);

/// The leases of one host.
pub struct Leases {
    database: Arc<Database>,
    /// Different in each process.
    holder: String,
    acquire: String,
    renew: String,
}

impl Leases {
    /// Takes the leases of the host's own database; its tables must be there (see [`super::prepare`]).
    ///
    /// Where the database is one host's own, whoever holds a lease is a process that has ended: all are free.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn open(database: Arc<Database>) -> Result<Self, SqlError> {
        if !database.is_shared() {
            database.execute("DELETE FROM leases", &[]).await?;
        }
        Ok(Self::of_host(database, uuid::Uuid::now_v7().to_string()))
    }

    fn of_host(database: Arc<Database>, holder: String) -> Self {
        let (now, ttl) = (database.clock(), TTL.as_micros());
        // Farther away than any lease lasts, an end was set by a clock that has been put back since.
        let acquire = format!(
            "INSERT INTO leases (name, holder, until_us) VALUES ($1, $2, {now} + {ttl}) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_us = excluded.until_us \
             WHERE leases.holder = excluded.holder OR leases.until_us < {now} OR leases.until_us > {now} + {ttl} + {ttl}"
        );
        let renew = format!("UPDATE leases SET until_us = {now} + {ttl} WHERE name = $1 AND holder = $2");
        Self { database, holder, acquire, renew }
    }

    /// Takes a lease, or renews it; false when another host holds it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn acquire(&self, name: &str) -> Result<bool, SqlError> {
        Ok(self.database.execute(&self.acquire, &self.params(name)).await? > 0)
    }

    /// Renews a lease that is held; false when it was lost.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn renew(&self, name: &str) -> Result<bool, SqlError> {
        Ok(self.database.execute(&self.renew, &self.params(name)).await? > 0)
    }

    /// Gives a lease back, if it is held: another host can have it at once.
    ///
    /// # Errors
    /// When the database does not answer; the lease ends by itself then.
    pub async fn release(&self, name: &str) -> Result<(), SqlError> {
        const RELEASE: &str = "DELETE FROM leases WHERE name = $1 AND holder = $2";
        self.database.execute(RELEASE, &self.params(name)).await.map(drop)
    }

    /// Does a work whenever the lease is held, until told to stop; dropped work must be safe to begin anew.
    ///
    /// `waiting` runs while another host holds the lease; it need not end.
    pub async fn run<H, W>(
        &self,
        name: &str,
        stop: &CancellationToken,
        held: impl Fn() -> H + Send + Sync,
        waiting: impl Fn() -> W + Send + Sync,
    ) where
        H: Future<Output = ()> + Send,
        W: Future<Output = ()> + Send,
    {
        while !stop.is_cancelled() {
            let asked = Instant::now();
            match self.acquire(name).await {
                // The answer may have taken as long as the lease lasts.
                Ok(true) if self.database.is_shared() && asked.elapsed() + RENEW >= TTL => {}
                Ok(true) => {
                    tracing::debug!(lease = name, "held");
                    let work = async {
                        tokio::select! {
                            () = held() => {}
                            () = self.keep(name, asked) => tracing::warn!(lease = name, "lost"),
                        }
                    };
                    let _: Option<()> = stop.run_until_cancelled(work).await;
                    if let Err(error) = self.release(name).await {
                        tracing::debug!(lease = name, %error, "not given back");
                    }
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(lease = name, %error, "cannot ask for a lease"),
            }
            let pause = tokio::time::timeout(RETRY, waiting());
            let _: Option<Result<(), _>> = stop.run_until_cancelled(pause).await;
        }
    }

    /// Renews a lease until it is lost, or may be.
    async fn keep(&self, name: &str, asked: Instant) {
        if !self.database.is_shared() {
            // Nobody else can take it, and an idle host should not write to its disk every second.
            return std::future::pending().await;
        }
        let mut renewed = asked;
        loop {
            let until = renewed + TTL - MARGIN;
            tokio::time::sleep_until((Instant::now() + RENEW).min(until).into()).await;
            let asked = Instant::now();
            match tokio::time::timeout_at((asked + RENEW).min(until).into(), self.renew(name)).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return,
                Ok(Err(_)) | Err(_) if Instant::now() >= until => return,
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    fn params(&self, name: &str) -> [Value; 2] {
        [Value::Text(name.to_owned()), Value::Text(self.holder.clone())]
    }
}

#[cfg(test)]
mod tests;
