//! What thousands of swaps, and `kill -9` in the middle of them, do to a host: no request fails, nothing piles up,
//! and no start comes back to a revision that nobody deployed.
//!
//! Every test run has the short forms; `PROVESI_SOAK=1` (`make soak`) asks for the full ones. `PROVESI_SOAK_SEED`
//! repeats the choices of an earlier run, though not what the machine made of them.

mod activations;
mod clients;
mod connection;
mod deployer;
mod kills;
mod load;
mod many;
mod operator;
mod stored;
mod variants;

use crate::support::soak;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_every_service_is_swapped_again_and_again() {
    load::run(&Form::chosen()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_leave_no_memory_descriptor_thread_or_code_behind() {
    many::run(&Form::chosen()).await;
}

mod a_kill_in_the_middle_of_a_deploy_comes_back_to_what_was_deployed {
    use super::{Form, kills};
    use crate::support::Backend;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        kills::run(Backend::Sqlite, &Form::chosen()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        kills::run(Backend::Postgres, &Form::chosen()).await;
    }
}

mod a_kill_in_the_first_start_of_all_leaves_the_second_one_all_services {
    use super::{Form, kills};
    use crate::support::Backend;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        kills::run_first_starts(Backend::Sqlite, &Form::chosen()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        kills::run_first_starts(Backend::Postgres, &Form::chosen()).await;
    }
}

/// How much is done, and by which choices.
struct Form {
    is_full: bool,
    seed: u64,
}

impl Form {
    fn chosen() -> Self {
        Self { is_full: soak::is_full(), seed: soak::seed().unwrap_or_else(rand::random) }
    }

    /// Chooses between what the short form has and what the full one has.
    fn pick<T>(&self, short: T, full: T) -> T {
        if self.is_full { full } else { short }
    }
}
