//! Sends requests at a fixed rate, whether or not answers come, and tells how long these took.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::stream::{FuturesUnordered, TryStreamExt as _};
use hyper::StatusCode;
use tokio::time::Instant;

use super::client::{Answer, Client};
use super::host::Host;
use super::measure::median;
use super::report::ms;

/// Connections of the neighbour's clients, and of whoever finds out what a service can do.
pub(crate) const CONNECTIONS: u32 = 8;

/// Load before each window that does not count: connections and caches warm up, and so do loops and queues beside it.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long it takes to find out what a service can do.
const TRIAL: Duration = Duration::from_secs(2);

/// Clients that get one path, each at a fixed interval.
pub(crate) struct Load<'h> {
    pub(crate) host: &'h Host,
    pub(crate) path: &'static str,
    pub(crate) connections: u32,
    /// Requests a second of all connections together.
    pub(crate) rate: f64,
}

/// What clients saw for a while.
#[derive(Default)]
struct Window {
    /// Times of those answered with 200; sorted, once all are there.
    answered_ms: Vec<f64>,
    /// Times of those answered with 503 and a `Retry-After`; sorted, once all are there.
    refused_ms: Vec<f64>,
    /// How many were answered with anything else, by status.
    others: BTreeMap<u16, u32>,
}

/// What clients saw in some windows of the same kind.
#[derive(Default)]
pub(crate) struct Series {
    /// Of those answered with 200; one number a window, as all that follow.
    pub(crate) p50_ms: Vec<f64>,
    pub(crate) p99_ms: Vec<f64>,
    /// Of those refused; none from a window without any.
    pub(crate) refusal_p50_ms: Vec<f64>,
    pub(crate) refusal_p99_ms: Vec<f64>,
    /// Requests that were sent in a second.
    sent: Vec<f64>,
    pub(crate) answered: usize,
    pub(crate) refused: usize,
    pub(crate) others: BTreeMap<u16, u32>,
}

/// Returns how many requests a second a path is answered with 200, sent back to back over a few connections.
pub(crate) async fn capacity(host: &Host, path: &str) -> anyhow::Result<f64> {
    let mut clients = host.clients(CONNECTIONS).await?;
    back_to_back(&mut clients, path, WARM_UP).await?;
    back_to_back(&mut clients, path, TRIAL).await
}

async fn back_to_back(clients: &mut [Client], path: &str, span: Duration) -> anyhow::Result<f64> {
    let began = Instant::now();
    let asking: FuturesUnordered<_> =
        clients.iter_mut().map(|client| without_pause(client, path, began + span)).collect();
    let answered: Vec<u32> = asking.try_collect().await?;
    let rate = f64::from(answered.iter().sum::<u32>()) / began.elapsed().as_secs_f64();
    ensure!(rate > 0.0, "{path} was never answered");
    Ok(rate)
}

async fn without_pause(client: &mut Client, path: &str, until: Instant) -> anyhow::Result<u32> {
    let mut answered = 0;
    while Instant::now() < until {
        let answer = client.get(path).await?;
        ensure!(answer.status == StatusCode::OK, "{path} was answered with {}", answer.status);
        answered += 1;
    }
    Ok(answered)
}

// === impl Load ===

impl Load<'_> {
    /// Asks for a while, after a warm-up, and adds what was seen to the rest.
    pub(crate) async fn run(&self, span: Duration, series: &mut Series) -> anyhow::Result<()> {
        self.host.forget_log()?;
        let mut clients = self.host.clients(self.connections).await?;
        self.ask(&mut clients, WARM_UP).await?;
        let window = self.ask(&mut clients, span).await?;
        series.push(window, span).with_context(|| self.path)
    }

    async fn ask(&self, clients: &mut [Client], span: Duration) -> anyhow::Result<Window> {
        let period = Duration::from_secs_f64(f64::from(self.connections) / self.rate);
        let began = Instant::now();
        let asking: FuturesUnordered<_> = clients
            .iter_mut()
            .zip(0_u32..)
            // Evenly spread: the connections do not ask all at once.
            .map(|(client, at)| self.pace(client, began + period * at / self.connections, period, began + span))
            .collect();
        let mut all = Window::default();
        for seen in asking.try_collect::<Vec<Window>>().await? {
            all.answered_ms.extend(seen.answered_ms);
            all.refused_ms.extend(seen.refused_ms);
            add(&mut all.others, seen.others);
        }
        all.answered_ms.sort_unstable_by(f64::total_cmp);
        all.refused_ms.sort_unstable_by(f64::total_cmp);
        Ok(all)
    }

    /// Asks over one connection. What is left when the time is over was never sent: the series' rate tells.
    async fn pace(
        &self,
        client: &mut Client,
        first: Instant,
        period: Duration,
        until: Instant,
    ) -> anyhow::Result<Window> {
        let mut seen = Window::default();
        let (mut due, mut free) = (first, first);
        while due < until && free < until {
            tokio::time::sleep_until(due).await;
            // A request that had to wait for the answer before it counts from when it was due. One that was merely
            // woken late does not: that is this process's timer, not the host.
            let since = if free > due { due } else { Instant::now() };
            let answer = client.get(self.path).await?;
            free = Instant::now();
            seen.take(&answer, free - since);
            due += period;
        }
        Ok(seen)
    }
}

// === impl Window ===

impl Window {
    fn take(&mut self, answer: &Answer, took: Duration) {
        match answer.status {
            StatusCode::OK => self.answered_ms.push(ms(took)),
            StatusCode::SERVICE_UNAVAILABLE if answer.says_when => self.refused_ms.push(ms(took)),
            other => *self.others.entry(other.as_u16()).or_default() += 1,
        }
    }
}

// === impl Series ===

impl Series {
    fn push(&mut self, window: Window, span: Duration) -> anyhow::Result<()> {
        let Window { answered_ms, refused_ms, others } = window;
        let answered = percentile(&answered_ms, 50).zip(percentile(&answered_ms, 99));
        let (p50, p99) = answered.context("no request was answered with 200")?;
        self.p50_ms.push(p50);
        self.p99_ms.push(p99);
        self.refusal_p50_ms.extend(percentile(&refused_ms, 50));
        self.refusal_p99_ms.extend(percentile(&refused_ms, 99));
        let sent = u32::try_from(answered_ms.len() + refused_ms.len())? + others.values().sum::<u32>();
        self.sent.push(f64::from(sent) / span.as_secs_f64());
        self.answered += answered_ms.len();
        self.refused += refused_ms.len();
        add(&mut self.others, others);
        Ok(())
    }

    /// Checks that nothing was answered with anything but 200.
    pub(crate) fn check(&self, whose: &str) -> anyhow::Result<()> {
        let good = self.refused == 0 && self.others.is_empty();
        ensure!(good, "{whose} failed: {} refused, by status: {:?}", self.refused, self.others);
        Ok(())
    }

    /// Says what belongs to the 99th percentile.
    pub(crate) fn note(&self) -> String {
        format!("p50 {:.2} ms, {:.0} requests/s", median(&self.p50_ms), median(&self.sent))
    }
}

fn add(all: &mut BTreeMap<u16, u32>, more: BTreeMap<u16, u32>) {
    for (status, count) in more {
        *all.entry(status).or_default() += count;
    }
}

/// Returns the number of some, sorted, that so many percent are not above.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
}
