//! Endless loops: how late they are ended, and what their neighbours notice of them.

use std::time::Duration;

use anyhow::ensure;
use futures::stream::{FuturesUnordered, TryStreamExt as _};
use hyper::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::host::Host;
use super::load::{self, Load, Series};
use super::measure::{median, say};
use super::report::{Report, Row, Unit, ms};
use super::{NEIGHBOUR, PART, ROUNDS, SLOWER};

/// Limits of the broken service: the time after which a loop is ended, and else the defaults.
pub(crate) const LIMITS: &str = "deadline = \"500ms\"";

/// The same time.
const DEADLINE: Duration = Duration::from_millis(500);

/// What loops.
const LOOP: &str = "/api/faulty/loop/";

/// Loops that run at once.
const AT_ONCE: [u32; 3] = [1, 4, 16];

/// Ends of loops that are timed, at least.
const SAMPLES: usize = 40;

/// How late the end of a loop may be.
const LATE_MS: f64 = 50.0;

/// Times the ends of loops on a host that has nothing else to do.
pub(crate) async fn lateness(host: &Host, report: &mut Report) -> anyhow::Result<()> {
    for at_once in AT_ONCE {
        say(&format!("ends of loops, {at_once} at once"));
        let mut clients = host.clients(at_once).await?;
        let mut late_ms = Vec::new();
        while late_ms.len() < SAMPLES {
            let looping: FuturesUnordered<_> = clients.iter_mut().map(endless).collect();
            late_ms.extend(looping.try_collect::<Vec<f64>>().await?);
        }
        let what = |which: &str| format!("`loop {{}}`, {at_once} at once: 504 after the deadline, {which}");
        let note = format!("{} ends, deadline {DEADLINE:?}, no other load", late_ms.len());
        report.add(Row::median(what("median"), Unit::Milliseconds, &late_ms).wanted(LATE_MS).note(note));
        report.add(Row::one(what("worst"), Unit::Milliseconds, worst(&late_ms)).wanted(LATE_MS));
    }
    Ok(())
}

/// Compares what clients of another service wait for in calm windows and while loops run all the time.
pub(crate) async fn neighbours(host: &Host, span: Duration, report: &mut Report) -> anyhow::Result<()> {
    say("what the neighbour can do");
    let capacity = load::capacity(host, NEIGHBOUR).await?;
    let what = format!("`GET {NEIGHBOUR}`, back to back");
    let note = format!("{} connections; a third of it is asked for below", load::CONNECTIONS);
    report.add(Row::one(what, Unit::PerSecond, capacity).note(note));
    let load = Load { host, path: NEIGHBOUR, connections: load::CONNECTIONS, rate: capacity * PART };
    for loops in AT_ONCE {
        say(&format!("the neighbour beside {loops} loops"));
        let (mut calm, mut busy, mut late_ms) = (Series::default(), Series::default(), Vec::new());
        for _ in 0..ROUNDS {
            load.run(span, &mut calm).await?;
            let over = CancellationToken::new();
            let asking = async {
                let outcome = load.run(span, &mut busy).await;
                over.cancel();
                outcome
            };
            let ((), ended) = futures::try_join!(asking, endless_until(host, loops, &over))?;
            late_ms.extend(ended);
            calm.check("the calm neighbour")?;
            busy.check("the neighbour beside the loops")?;
        }
        let p99 = |when: &str| format!("`GET {NEIGHBOUR}`: p99 {when}");
        let beside = format!("while {loops} loops run");
        let (typical, worst) = (median(&late_ms), worst(&late_ms));
        let ends = format!("{} ends, {typical:.1} ms late, at worst {worst:.1} ms", late_ms.len());
        let note = format!("{}; {ends}", busy.note());
        report.add(Row::median(p99("calm"), Unit::Milliseconds, &calm.p99_ms).note(calm.note()));
        report.add(Row::median(p99(&beside), Unit::Milliseconds, &busy.p99_ms).note(note));
        report.add(Row::ratio(format!("{beside}, to calm"), &busy.p99_ms, &calm.p99_ms).wanted(SLOWER));
    }
    Ok(())
}

/// Keeps loops running; those that run when it is over are waited for. Returns how late each was ended.
async fn endless_until(host: &Host, loops: u32, over: &CancellationToken) -> anyhow::Result<Vec<f64>> {
    let mut clients = host.clients(loops).await?;
    let looping: FuturesUnordered<_> = clients.iter_mut().map(|client| again_until(client, over)).collect();
    Ok(looping.try_collect::<Vec<Vec<f64>>>().await?.concat())
}

async fn again_until(client: &mut Client, over: &CancellationToken) -> anyhow::Result<Vec<f64>> {
    let mut late_ms = Vec::new();
    while !over.is_cancelled() {
        late_ms.push(endless(client).await?);
    }
    Ok(late_ms)
}

/// Asks for a loop, and returns by how much longer than its deadline the answer took.
async fn endless(client: &mut Client) -> anyhow::Result<f64> {
    let began = Instant::now();
    let answer = client.get(LOOP).await?;
    let took = began.elapsed();
    ensure!(answer.status == StatusCode::GATEWAY_TIMEOUT, "a loop was answered with {}", answer.status);
    Ok(ms(took) - ms(DEADLINE))
}

fn worst(late_ms: &[f64]) -> f64 {
    late_ms.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}
