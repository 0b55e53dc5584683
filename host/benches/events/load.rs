//! Posts over some connections: as fast as answers come, or at a fixed rate.

use std::time::Duration;

use futures::stream::{FuturesUnordered, TryStreamExt as _};
use hyper::StatusCode;
use tokio::time::Instant;

use super::client::Client;
use super::host::Host;

/// Connections that posts come over.
pub(crate) const CONNECTIONS: u32 = 16;

/// What is posted.
pub(crate) struct Load<'h> {
    pub(crate) host: &'h Host,
    pub(crate) path: &'static str,
    /// Empty for nobody's.
    pub(crate) token: &'h str,
    /// Makes the body of a connection's next post.
    pub(crate) body: fn(connection: u32, number: u32) -> String,
    /// What a post is answered with that did what it should.
    pub(crate) good: StatusCode,
}

/// What clients saw.
#[derive(Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) good: u32,
    /// Those that were answered otherwise.
    pub(crate) others: u32,
    pub(crate) took: Duration,
}

impl Load<'_> {
    /// Posts for a while, the next one as soon as the last is answered.
    pub(crate) async fn back_to_back(&self, span: Duration) -> anyhow::Result<Seen> {
        self.run(span, Duration::ZERO).await
    }

    /// Posts for a while at a rate, of all connections together. What is late is sent at once.
    pub(crate) async fn paced(&self, span: Duration, rate: f64) -> anyhow::Result<Seen> {
        self.run(span, Duration::from_secs_f64(f64::from(CONNECTIONS) / rate)).await
    }

    async fn run(&self, span: Duration, period: Duration) -> anyhow::Result<Seen> {
        // The log has done its part once it is written; kept, it would fill the disk.
        self.host.forget_log()?;
        let mut clients = self.host.clients(CONNECTIONS).await?;
        let began = Instant::now();
        let posting: FuturesUnordered<_> = clients
            .iter_mut()
            .zip(0_u32..)
            // Evenly spread: the connections do not post all at once.
            .map(|(client, at)| self.post(client, at, began + period * at / CONNECTIONS, period, began + span))
            .collect();
        let mut all = Seen::default();
        for seen in posting.try_collect::<Vec<Seen>>().await? {
            all.good += seen.good;
            all.others += seen.others;
        }
        Ok(Seen { took: began.elapsed(), ..all })
    }

    async fn post(
        &self,
        client: &mut Client,
        connection: u32,
        first: Instant,
        period: Duration,
        until: Instant,
    ) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        let mut due = first;
        for number in 0.. {
            tokio::time::sleep_until(due).await;
            if Instant::now() >= until {
                break;
            }
            let answer = client.post(self.path, self.token, (self.body)(connection, number)).await?;
            if answer.status == self.good {
                seen.good += 1;
            } else {
                seen.others += 1;
            }
            due += period;
        }
        Ok(seen)
    }
}

impl Seen {
    /// Returns how many a second did what they should.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.good) / self.took.as_secs_f64()
    }
}
