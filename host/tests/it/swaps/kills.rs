//! `kill -9` at any instant of a deploy: what was acknowledged is there, and what was not is whole or not at all.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::deployer::{Counts, Deployer};
use super::operator::Operator;
use super::{Form, stored};
use crate::support::soak::say;
use crate::support::{Backend, Process, send};

/// Time that a started host has before it is killed, in milliseconds: a deploy, which compiles for about a second, is cut
/// off at each of its steps, or acknowledged with some moves of traffic after it.
const LIFE_MS: std::ops::RangeInclusive<u64> = 20..=2800;

/// Age at which a first start is killed, in milliseconds: while it compiles, stores, migrates and fills.
const AGE_MS: std::ops::RangeInclusive<u64> = 100..=2000;

/// Products that a demo has.
const DEMO: usize = 8;

/// Kills a host again and again that is being changed.
pub(super) async fn run(backend: Backend, form: &Form) {
    let Some(mut process) = Process::start_with_own_cache(backend).await else { return };
    say(&format!("kills while deploying on {backend:?}: seed {}", form.seed));
    let mut rng = StdRng::seed_from_u64(form.seed);
    let kills = form.pick(6, 200);
    let choices = StdRng::seed_from_u64(rng.random());
    let mut deployer = Deployer::new(&Operator::of(&process), choices).await;
    for _ in 0..kills {
        let operator = Operator::of(&process);
        let life = Duration::from_millis(rng.random_range(LIFE_MS));
        let kill = async {
            tokio::time::sleep(life).await;
            process.kill9();
        };
        tokio::join!(deployer.change_until_cut_off(&operator), kill);
        process.start_again().await;
        deployer.check(&process, &Operator::of(&process)).await;
    }

    let operator = Operator::of(&process);
    deployer.deploy_whole(&operator).await.expect("a host that is not killed answers");
    deployer.check(&process, &operator).await;
    stored::check(&process, &operator, &deployer).await;
    process.terminate();
    assert_eq!(process.end().await.code(), Some(0), "a host that has recovered stops as any other");
    let Counts { deploys, moves, cut_off, happened } = deployer.counts;
    // Kills that only ever hit a compilation would prove nothing.
    assert!(
        !form.is_full || (deploys > kills / 10 && moves > 0),
        "{deploys} deploys and {moves} moves in {kills} kills"
    );
    say(&format!(
        "kills while deploying on {backend:?}: {kills} kills, {deploys} deploys and {moves} moves of traffic \
         acknowledged, {cut_off} cut off of which {happened} had happened, seed {}",
        form.seed
    ));
}

/// Kills hosts in their first start, each on data of its own.
pub(super) async fn run_first_starts(backend: Backend, form: &Form) {
    say(&format!("kills in the first start on {backend:?}: seed {}", form.seed));
    let mut rng = StdRng::seed_from_u64(form.seed);
    for _ in 0..form.pick(2, 20) {
        let age = Duration::from_millis(rng.random_range(AGE_MS));
        let Some(process) = Process::start_after_a_kill(backend, age).await else { return };
        let operator = Operator::of(&process);
        for service in ["auth", "inventory", "orders", "products"] {
            let status = operator.read(service).await;
            assert_eq!(status["state"], "serving", "{status}, after a kill at {age:?}");
        }
        let products = send(process.request("GET", "/api/products/")).await;
        let found = (products.status, products.body.as_array().map(Vec::len));
        assert_eq!(found, (200, Some(DEMO)), "{:?}, after a kill at {age:?}", products.body);
    }
}
