//! Word that there is something to do: at once in this process, by the database from other hosts, and once a second
//! in case word was lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::db::Database;

/// Where hosts tell each other.
const CHANNEL: &str = "events";

/// Longest time until work is found of which word was lost.
const POLL: Duration = Duration::from_secs(1);

/// Gives and hears word.
pub struct Wakes {
    database: Arc<Database>,
    elsewhere: watch::Sender<()>,
}

/// One who waits for word.
pub struct Wake {
    here: Arc<Notify>,
    elsewhere: watch::Receiver<()>,
    database: Arc<Database>,
}

impl Wakes {
    /// Hears word through the host's own database; nothing is heard until [`Wakes::follow`].
    pub fn new(database: Arc<Database>) -> Self {
        Self { database, elsewhere: watch::Sender::new(()) }
    }

    /// Waits for what is told here, and for word from other hosts.
    pub fn on(&self, here: Arc<Notify>) -> Wake {
        Wake { here, elsewhere: self.elsewhere.subscribe(), database: Arc::clone(&self.database) }
    }

    /// Hears other hosts, and the clock, until told to stop.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut changes = self.database.changes(CHANNEL, POLL);
        let follow = async {
            loop {
                changes.listen().await;
                changes.wait().await;
                self.elsewhere.send_replace(());
            }
        };
        let _: Option<()> = stop.run_until_cancelled(follow).await;
    }
}

impl Wake {
    /// Waits until it is worth looking.
    ///
    /// # Cancel safety
    /// Safe: word that was not waited for ends the next wait.
    pub async fn heard(&mut self) {
        tokio::select! {
            () = self.here.notified() => {}
            changed = self.elsewhere.changed() => if changed.is_err() {
                // Nobody follows any more: the host is stopping.
                tokio::time::sleep(POLL).await;
            },
        }
    }

    /// Hands what is told here on to the host that does the work; never ends.
    pub async fn pass_on(&self) {
        loop {
            self.here.notified().await;
            self.database.notify(CHANNEL).await;
        }
    }
}
