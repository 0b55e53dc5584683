//! Word of changes that other hosts make in a shared database, as they happen.
//!
//! PostgreSQL tells by NOTIFY. Word is a hint to look, never the change itself: what is lost with a broken
//! connection is made up for by looking at intervals.

use std::time::Duration;

use sqlx::postgres::PgListener;

use super::{Database, Pools, SqlError, Value};

/// Waits for changes in one database.
pub struct Changes<'d> {
    database: &'d Database,
    channel: &'static str,
    interval: Duration,
    listener: Option<PgListener>,
}

impl Changes<'_> {
    /// Listens, so that no word is missed by a look that is taken after this.
    pub async fn listen(&mut self) {
        if self.listener.is_some() {
            return;
        }
        // Bounded: a connection that hangs must not keep the caller from looking.
        let listener = tokio::time::timeout(self.interval, self.database.listener(self.channel)).await;
        self.listener = listener.unwrap_or(Err(SqlError::Timeout)).unwrap_or_else(|error| {
            tracing::warn!(%error, channel = self.channel, "cannot listen for what other hosts change");
            None
        });
    }

    /// Waits until it is worth looking again: word has come, or the interval is over.
    ///
    /// # Cancel safety
    /// Safe: word that was not waited for ends the next wait.
    pub async fn wait(&mut self) {
        let Some(listener) = &mut self.listener else { return tokio::time::sleep(self.interval).await };
        match tokio::time::timeout(self.interval, listener.recv()).await {
            // Word that came in the meantime is answered by the same look.
            Ok(Ok(_)) => while listener.next_buffered().is_some() {},
            Ok(Err(_)) => {
                self.listener = None;
                tokio::time::sleep(self.interval).await;
            }
            Err(_) => {}
        }
    }
}

impl Database {
    /// Follows a channel, looking at least once in an interval.
    pub fn changes(&self, channel: &'static str, interval: Duration) -> Changes<'_> {
        Changes { database: self, channel, interval, listener: None }
    }

    /// Gives word on a channel; nobody hears it where the database is one host's own.
    ///
    /// What changed is stored already: word that cannot be given only makes others see it an interval later.
    pub async fn notify(&self, channel: &str) {
        if let Pools::Sqlite(_) = self.pools {
            return;
        }
        if let Err(error) = self.execute("SELECT pg_notify($1, '')", &[Value::Text(channel.to_owned())]).await {
            tracing::warn!(%error, channel, "cannot tell other hosts of a change");
        }
    }

    async fn listener(&self, channel: &str) -> Result<Option<PgListener>, SqlError> {
        let Pools::Postgres(pool) = &self.pools else { return Ok(None) };
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(channel).await?;
        Ok(Some(listener))
    }
}
