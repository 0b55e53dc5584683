//! What is done to a host while clients place orders.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::sync::watch;

use super::client::Phase;
use super::stage::Stage;
use super::{RECOVERY, all, ledger};
use crate::support::{Process, eventually, root, variant};

/// Time that a started host has before it is killed, in milliseconds.
const LIFE_MS: std::ops::RangeInclusive<u64> = 50..=700;

/// Kills after which the host is left alone until nothing is half done. What it has a minute for is what a crash
/// leaves, not what two hundred leave of which none let it come to its tasks.
const SERIES: u32 = 50;

/// Pause between two swaps.
pub(super) const SWAP: Duration = Duration::from_secs(1);

/// Time that a restarted PostgreSQL has before the next restart, in milliseconds: some orders come through.
const UPTIME_MS: std::ops::RangeInclusive<u64> = 500..=3000;

/// What is swapped: all that has a part in an order and its copies.
const SWAPPED: [&str; 3] = ["orders", "inventory", "products"];

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The host is killed with SIGKILL.
    Kills,
    /// A random service is replaced by another revision that does the same.
    Swaps,
    /// PostgreSQL crashes and comes back.
    Restarts,
    /// All of it, and more; see `all`.
    All,
}

impl Trouble {
    /// Makes trouble a number of times; tells the clients where the host is meanwhile, and when it is over. Returns
    /// what was done.
    pub(super) async fn make(
        self,
        stage: &mut Stage,
        operario: &str,
        times: u32,
        rng: &mut StdRng,
        phase: &watch::Sender<Phase>,
    ) -> String {
        let Stage { process, neighbours } = stage;
        phase.send_replace(Phase::Up(process.base().to_owned()));
        let done = match self {
            Self::Kills => {
                for time in 1..=times {
                    kill(process, rng, phase).await;
                    if time.is_multiple_of(SERIES) && time < times {
                        rest(process, operario, phase).await;
                    }
                }
                format!("{times} kills")
            }
            Self::Swaps => {
                for time in 0..times {
                    swap(process, rng, time).await;
                }
                format!("{times} swaps")
            }
            Self::Restarts => {
                for _ in 0..times {
                    pause(rng, UPTIME_MS).await;
                    process.restart_database().await;
                }
                format!("{times} restarts of PostgreSQL")
            }
            Self::All => {
                let neighbours = neighbours.as_mut().expect("they were started for this");
                all::make(process, neighbours, times, rng, phase).await.to_string()
            }
        };
        phase.send_replace(Phase::Over(process.base().to_owned()));
        done
    }
}

/// Lets the host live for a random time, kills it and starts it again.
pub(super) async fn kill(process: &mut Process, rng: &mut StdRng, phase: &watch::Sender<Phase>) {
    pause(rng, LIFE_MS).await;
    process.kill9();
    phase.send_replace(Phase::Down);
    process.start_again().await;
    phase.send_replace(Phase::Up(process.base().to_owned()));
}

/// Keeps the clients away until nothing is half done.
async fn rest(process: &Process, operario: &str, phase: &watch::Sender<Phase>) {
    phase.send_replace(Phase::Down);
    let settled = async || ledger::is_settled(process, operario).await;
    eventually("nothing is half done between the kills", RECOVERY, settled).await;
    phase.send_replace(Phase::Up(process.base().to_owned()));
}

async fn swap(process: &Process, rng: &mut StdRng, time: u32) {
    tokio::time::sleep(SWAP).await;
    let service = swapped(rng);
    process.deploy(service, variant(&component(service), time)).await;
}

/// Draws the service that is swapped next.
pub(super) fn swapped(rng: &mut StdRng) -> &'static str {
    SWAPPED[rng.random_range(0..SWAPPED.len())]
}

/// Reads the component of a service as it was built.
pub(super) fn component(service: &str) -> Vec<u8> {
    let file = root().join(format!("target/components/{service}.wasm"));
    std::fs::read(file).expect("the components are built before the tests")
}

/// Waits for a random time.
pub(super) async fn pause(rng: &mut StdRng, milliseconds: std::ops::RangeInclusive<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(milliseconds))).await;
}
