//! All kinds of trouble at once: a service is swapped every second, the host is killed, PostgreSQL crashes, RabbitMQ
//! stops, Redis is killed, and a peer traps at every tenth call.

use std::fmt;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::client::Phase;
use super::stage::Neighbours;
use super::trapping::trapping;
use super::trouble::{SWAP, component, kill, pause, swapped};
use crate::support::{Process, Rabbit, Redis, variant};

/// What traps, and the interface whose functions do.
const PEER: (&str, &str) = ("inventory", "provesi:inventory/stock@");

/// What happens after a swap, one after the other.
const AFTER: [After; 3] = [After::Kill, After::Nothing, After::Restart];

/// Longest time until a host that lacked its databases takes a component.
const TAKEN: Duration = Duration::from_secs(60);

/// Pause before a component is sent again.
const PAUSE: Duration = Duration::from_millis(200);

/// Time that RabbitMQ and Redis are there, and are gone, in milliseconds.
const THERE_MS: std::ops::RangeInclusive<u64> = 1000..=6000;
const GONE_MS: std::ops::RangeInclusive<u64> = 200..=3000;

#[derive(Clone, Copy)]
enum After {
    Kill,
    Restart,
    Nothing,
}

/// How often each kind of trouble was made.
#[derive(Debug, Default)]
pub(super) struct Counts {
    swaps: u32,
    kills: u32,
    restarts: u32,
    broker_stops: u32,
    cache_kills: u32,
}

/// Swaps a number of times, with all other trouble beside it; in the end everything is there and works.
pub(super) async fn make(
    process: &mut Process,
    neighbours: &mut Neighbours,
    times: u32,
    rng: &mut StdRng,
    phase: &watch::Sender<Phase>,
) -> Counts {
    let (peer, interface) = PEER;
    let broken = trapping(&component(peer), interface);
    deploy(process, peer, &broken).await;
    let over = CancellationToken::new();
    let mut counts = Counts::default();
    let (for_rabbit, for_redis) = (StdRng::seed_from_u64(rng.random()), StdRng::seed_from_u64(rng.random()));
    let changing = async {
        for (time, after) in (0..times).zip(AFTER.into_iter().cycle()) {
            tokio::time::sleep(SWAP).await;
            let service = swapped(rng);
            let original = if service == peer { broken.clone() } else { component(service) };
            deploy(process, service, &variant(&original, time)).await;
            counts.swaps += 1;
            match after {
                After::Kill => {
                    kill(process, rng, phase).await;
                    counts.kills += 1;
                }
                After::Restart => {
                    process.restart_database().await;
                    counts.restarts += 1;
                }
                After::Nothing => {}
            }
        }
        over.cancel();
    };
    let Neighbours { rabbit, redis } = neighbours;
    let stopping = stop_and_start(rabbit, for_rabbit, &over);
    let killing = kill_and_start(redis, for_redis, &over);
    let ((), broker_stops, cache_kills) = tokio::join!(changing, stopping, killing);
    deploy(process, peer, &component(peer)).await;
    Counts { broker_stops, cache_kills, ..counts }
}

/// Stops RabbitMQ and starts it again, at least once and until it is over.
async fn stop_and_start(rabbit: &mut Rabbit, mut rng: StdRng, over: &CancellationToken) -> u32 {
    let mut times = 0;
    while times == 0 || !over.is_cancelled() {
        pause(&mut rng, THERE_MS).await;
        rabbit.stop().await;
        pause(&mut rng, GONE_MS).await;
        rabbit.start_again().await;
        times += 1;
    }
    times
}

/// Kills Redis and starts it again, at least once and until it is over.
async fn kill_and_start(redis: &mut Redis, mut rng: StdRng, over: &CancellationToken) -> u32 {
    let mut times = 0;
    while times == 0 || !over.is_cancelled() {
        pause(&mut rng, THERE_MS).await;
        redis.kill();
        pause(&mut rng, GONE_MS).await;
        redis.start_again().await;
        times += 1;
    }
    times
}

/// Deploys a component, again when the host has just lacked its databases.
async fn deploy(process: &Process, service: &str, component: &[u8]) {
    let until = Instant::now() + TAKEN;
    while !process.try_deploy(service, component.to_vec()).await {
        assert!(Instant::now() < until, "{service} is not taken within {TAKEN:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { swaps, kills, restarts, broker_stops, cache_kills } = self;
        write!(
            f,
            "{swaps} swaps, {kills} kills, {restarts} restarts of PostgreSQL, {broker_stops} stops of RabbitMQ, \
             {cache_kills} kills of Redis"
        )
    }
}
