//! What is done to a host while clients place orders.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::sync::watch;

use super::client::Phase;
use crate::support::{Process, root, variant};

/// Time that a started host has before it is killed, in milliseconds.
const LIFE_MS: std::ops::RangeInclusive<u64> = 50..=600;

/// Pause between two swaps.
const SWAP: Duration = Duration::from_secs(1);

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
}

impl Trouble {
    /// Makes trouble a number of times; tells the clients where the host is meanwhile, and when it is over.
    pub(super) async fn make(self, process: &mut Process, times: u32, rng: &mut StdRng, phase: &watch::Sender<Phase>) {
        phase.send_replace(Phase::Up(process.base().to_owned()));
        for time in 0..times {
            match self {
                Self::Kills => kill(process, rng, phase).await,
                Self::Swaps => swap(process, rng, time).await,
                Self::Restarts => {
                    pause(rng, UPTIME_MS).await;
                    process.restart_database().await;
                }
            }
        }
        phase.send_replace(Phase::Over(process.base().to_owned()));
    }
}

/// Lets the host live for a random time, kills it and starts it again.
async fn kill(process: &mut Process, rng: &mut StdRng, phase: &watch::Sender<Phase>) {
    pause(rng, LIFE_MS).await;
    process.kill9();
    phase.send_replace(Phase::Down);
    process.start_again().await;
    phase.send_replace(Phase::Up(process.base().to_owned()));
}

async fn swap(process: &Process, rng: &mut StdRng, time: u32) {
    tokio::time::sleep(SWAP).await;
    let service = SWAPPED[rng.random_range(0..SWAPPED.len())];
    let file = root().join(format!("target/components/{service}.wasm"));
    let component = std::fs::read(file).expect("the components are built before the tests");
    process.deploy(service, variant(&component, time)).await;
}

async fn pause(rng: &mut StdRng, milliseconds: std::ops::RangeInclusive<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(milliseconds))).await;
}
