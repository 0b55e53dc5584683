//! Components with one flipped bit: each is answered, most are refused, and the service serves on after each.
//!
//! Every test run has the short form with the same mutants; `PROVESI_SOAK=1` asks for the full one.
//! `PROVESI_SOAK_SEED` repeats the mutants of an earlier run.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use super::revisions::read;
use super::{REVISION, assert_refused, roll_back};
use crate::support::soak::{self, say};
use crate::support::{Setup, TestApp, fixture, service};

/// How much is done, and with which mutants.
struct Form {
    mutants: u32,
    seed: u64,
}

impl Form {
    fn chosen() -> Self {
        let seed = soak::seed();
        if soak::is_full() {
            Self { mutants: 1500, seed: seed.unwrap_or_else(rand::random) }
        } else {
            // Always the same ones, so that their compiled code is in the cache and a failure comes back.
            Self { mutants: 60, seed: seed.unwrap_or(1) }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_with_a_flipped_bit_is_answered_and_never_keeps_the_service_from_serving() {
    let whole = read(&fixture("reviews"));
    let more = service("reviews", &fixture("reviews"), "\"sql\", \"provesi:products/catalog\"");
    let app = TestApp::start_as(&Setup { services: &["products"], more: &more, ..Setup::default() }).await;
    let form = Form::chosen();
    let mut rng = StdRng::seed_from_u64(form.seed);
    let (mut accepted, mut refused) = (0, 0);
    for number in 1..=form.mutants {
        let (place, bit) = (rng.random_range(0..whole.len()), rng.random_range(0..8_u32));
        let what = format!("mutant {number} of seed {}: bit {bit} of byte {place}", form.seed);
        let mut mutant = whole.clone();
        mutant[place] ^= 1 << bit;
        // The answer has a bound, as every answer that a test waits for.
        let answer = app.upload("reviews", "", mutant).await;
        match answer.status {
            201 => {
                accepted += 1;
                let back = roll_back(&app, "reviews", &json!({ "to": 1 })).await;
                assert_eq!(back.status, 200, "{what}: {:?}", back.body);
            }
            400..=499 => {
                refused += 1;
                let kind = answer.body["type"].as_str().and_then(|kind| kind.rsplit(':').next());
                assert_refused(&answer, answer.status, kind.expect("a kind"));
            }
            other => panic!("{what}: {other} {:?}", answer.body),
        }
        let reviews = app.get("/api/reviews/", "").await;
        assert_eq!((reviews.status, reviews.header(REVISION)), (200, "reviews@1"), "{what}: {:?}", reviews.body);
    }
    say(&format!("mutants: {accepted} accepted, {refused} refused, seed {}", form.seed));
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused, seed {}", form.seed);
    let review = app.post("/api/reviews/", "", &json!({ "product": "Casco de Seguridad", "stars": 5 })).await;
    assert_eq!(review.status, 201, "{:?}", review.body);
    app.stop().await;
}
