//! Sends requests at a fixed rate, whether or not answers come, and tells how long these took.

use std::time::Duration;

use reqwest::Client;
use tokio::time::Instant;

use crate::report::ms;

/// Connections, each kept and with one request at a time.
pub(crate) const CONNECTIONS: u32 = 8;

/// Requests a second of all connections together: far from what a core can do, so that clients do not fill it.
pub(crate) const RATE: u32 = 200;

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Clients that get one path.
pub(crate) struct Load {
    clients: Vec<Client>,
    url: String,
    token: String,
}

/// What clients saw for a while.
pub(crate) struct Window {
    pub(crate) p99_ms: f64,
    pub(crate) requests: u32,
    /// Those that were not answered with 200.
    pub(crate) failed: u32,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    requests: u32,
    failed: u32,
}

impl Load {
    /// Makes the clients; each has a pool of one connection, which is opened by its first request.
    pub(crate) fn new(url: String, token: String) -> anyhow::Result<Self> {
        let client = || Client::builder().no_proxy().timeout(ANSWER).pool_max_idle_per_host(1).build();
        let clients = (0..CONNECTIONS).map(|_| client()).collect::<Result<_, _>>()?;
        Ok(Self { clients, url, token })
    }

    /// Asks for a while.
    pub(crate) async fn run(&self, span: Duration) -> Window {
        let began = Instant::now();
        let (period, until) = (Duration::from_secs(1) * CONNECTIONS / RATE, began + span);
        let connections = self.clients.iter().zip(0_u32..).map(|(client, at)| {
            // Evenly spread: the connections do not ask all at once.
            self.connection(client, began + period * at / CONNECTIONS, period, until)
        });
        let mut all = Seen::default();
        for seen in futures::future::join_all(connections).await {
            all.times.extend(seen.times);
            all.requests += seen.requests;
            all.failed += seen.failed;
        }
        all.times.sort_unstable();
        let at = (all.times.len() * 99).div_ceil(100).saturating_sub(1);
        let p99 = all.times.get(at).copied().unwrap_or_default();
        Window { p99_ms: ms(p99), requests: all.requests, failed: all.failed }
    }

    async fn connection(&self, client: &Client, first: Instant, period: Duration, until: Instant) -> Seen {
        let mut seen = Seen::default();
        let (mut due, mut free) = (first, first);
        while due < until {
            tokio::time::sleep_until(due).await;
            // A request that had to wait for the answer before it counts from when it was due. One that was merely
            // woken late does not: that is this process's timer, not the host.
            let since = if free > due { due } else { Instant::now() };
            seen.failed += u32::from(!self.is_answered(client).await);
            seen.requests += 1;
            free = Instant::now();
            seen.times.push(free - since);
            due += period;
        }
        seen
    }

    async fn is_answered(&self, client: &Client) -> bool {
        let Ok(response) = client.get(&self.url).bearer_auth(&self.token).send().await else { return false };
        let status = response.status();
        response.bytes().await.is_ok() && status == reqwest::StatusCode::OK
    }
}
