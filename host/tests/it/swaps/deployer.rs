//! Changes what is live of one service, and knows what may be live when nobody has answered the last change.
//!
//! One change at a time: when a host is gone, the change that was under way has happened, whole, or it has not.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng as _;
use rand::rngs::StdRng;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::operator::Operator;
use super::variants::{component, digest, migrating, variant};
use crate::support::{Process, send, try_send};

/// How far back traffic is sent; older revisions are left alone.
const RECENT: usize = 5;

/// Lower than the number of every migration that is made here, and higher than those that products has.
pub(super) const FIRST_MIGRATION: u64 = 1000;

/// Percent by digest.
type Traffic = BTreeMap<String, u64>;

/// Deploys, splits traffic and rolls back.
pub(super) struct Deployer {
    rng: StdRng,
    original: Vec<u8>,
    /// Digests of all that was ever sent.
    uploaded: BTreeSet<String>,
    /// Digests of what was answered with a number.
    acknowledged: BTreeMap<u64, String>,
    /// Digests of all revisions that there are.
    known: BTreeMap<u64, String>,
    /// What is live, by all that was answered.
    traffic: Traffic,
    /// The last revision that had all of the traffic before that.
    previous: Option<Traffic>,
    /// What the change that was not answered makes of it.
    attempted: Option<Traffic>,
    pub(super) counts: Counts,
}

/// What became of the changes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Answered deploys.
    pub(super) deploys: u64,
    /// Answered moves of traffic.
    pub(super) moves: u64,
    /// Changes that nobody answered and that would have moved traffic.
    pub(super) cut_off: u64,
    /// Those of them that had happened.
    pub(super) happened: u64,
}

impl Deployer {
    /// Begins with what a host has deployed by itself.
    pub(super) async fn new(operator: &Operator, rng: StdRng) -> Self {
        let original = component("products");
        let first = digest(&original);
        let traffic = Traffic::from([(first.clone(), 100)]);
        assert_eq!(traffic_of(&operator.read("products").await), traffic);
        let known = BTreeMap::from([(operator.live("products").await, first.clone())]);
        let (uploaded, acknowledged) = (BTreeSet::from([first]), known.clone());
        let (previous, attempted, counts) = (None, None, Counts::default());
        Self { rng, original, uploaded, acknowledged, known, traffic, previous, attempted, counts }
    }

    /// Makes one change after the other until the host does not answer.
    pub(super) async fn change_until_cut_off(&mut self, operator: &Operator) {
        while self.change(operator).await.is_some() {}
        self.counts.cut_off += u64::from(self.attempted.is_some());
    }

    /// Returns what is live, by number.
    pub(super) fn live(&self) -> impl Iterator<Item = (u64, &str)> {
        let live = self.known.iter().filter(|(_, digest)| self.traffic.contains_key(*digest));
        live.map(|(number, digest)| (*number, digest.as_str()))
    }

    /// Checks that a started host is where its operator left it, or one change further.
    pub(super) async fn check(&mut self, process: &Process, operator: &Operator) {
        let service = operator.read("products").await;
        assert_eq!(service["state"], "serving", "{service}");
        let traffic = traffic_of(&service);
        match self.attempted.take() {
            Some(next) if next == traffic => {
                self.counts.happened += 1;
                self.go_to(next);
            }
            attempted => assert_eq!(traffic, self.traffic, "acknowledged last; attempted since: {attempted:?}"),
        }
        self.check_revisions(&operator.read("products/revisions").await);
        let answer = send(process.request("GET", "/api/products/1/")).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let answered = answer.header("x-provesi-revision");
        let is_live = self.live().any(|(number, _)| answered == format!("products@{number}"));
        assert!(is_live, "{answered} answered, and live is {traffic:?}");
    }

    /// Checks that the numbers have no holes, and that nothing acknowledged is gone or another.
    fn check_revisions(&mut self, revisions: &Value) {
        let newest_first = revisions.as_array().expect("a list");
        self.known.clear();
        for (number, revision) in (1_u64..).zip(newest_first.iter().rev()) {
            assert_eq!(revision["revision"], number, "a hole: {revision}");
            assert_eq!(revision["reason"], Value::Null, "nothing was refused: {revision}");
            let digest = revision["digest"].as_str().expect("a digest");
            assert!(self.uploaded.contains(digest), "nobody has sent {revision}");
            self.known.insert(number, digest.to_owned());
        }
        for (number, digest) in &self.acknowledged {
            assert_eq!(self.known.get(number), Some(digest), "{number} was acknowledged");
        }
    }

    /// Makes a change; none when nobody answers.
    async fn change(&mut self, operator: &Operator) -> Option<()> {
        match self.rng.random_range(0..10) {
            0..4 => self.deploy_somehow(operator).await,
            4..7 => self.split(operator).await,
            _ => self.roll_back(operator).await,
        }
    }

    async fn deploy_somehow(&mut self, operator: &Operator) -> Option<()> {
        let stable = self.traffic.keys().next().filter(|_| self.traffic.len() == 1).cloned();
        match (self.rng.random_range(0..4), stable) {
            (0, _) => self.deploy(operator, "?activate=false", |_| None).await,
            (1, Some(stable)) => {
                let split = |digest| Some(Traffic::from([(stable, 90), (digest, 10)]));
                self.deploy(operator, "?canary=10", split).await
            }
            _ => self.deploy_whole(operator).await,
        }
    }

    /// Deploys a variant that gets all of the traffic; none when nobody answers.
    pub(super) async fn deploy_whole(&mut self, operator: &Operator) -> Option<()> {
        self.deploy(operator, "", |digest| Some(Traffic::from([(digest, 100)]))).await
    }

    async fn deploy(
        &mut self,
        operator: &Operator,
        query: &str,
        becomes: impl FnOnce(String) -> Option<Traffic>,
    ) -> Option<()> {
        let component = self.next_component();
        let digest = digest(&component);
        self.uploaded.insert(digest.clone());
        let request = operator.upload(&format!("products/revisions{query}"), component);
        let answer = self.attempt(request, 201, becomes(digest.clone())).await?;
        assert_eq!(answer["digest"], digest, "{answer}");
        let number = answer["revision"].as_u64().expect("a number");
        let newest = self.known.keys().next_back().copied();
        assert!(newest < Some(number), "{number} is taken: {newest:?}");
        self.acknowledged.insert(number, digest.clone());
        self.known.insert(number, digest);
        self.counts.deploys += 1;
        Some(())
    }

    /// Makes a component that was never sent; every third one migrates.
    fn next_component(&self) -> Vec<u8> {
        let number = self.uploaded.len() as u64;
        if number.is_multiple_of(3) {
            migrating(&self.original, FIRST_MIGRATION + number)
        } else {
            variant(&self.original, format!("variant {number}"))
        }
    }

    async fn split(&mut self, operator: &Operator) -> Option<()> {
        let recent = self.recent();
        if recent.len() < 2 {
            return Some(());
        }
        let first = self.rng.random_range(0..recent.len());
        let second = (first + self.rng.random_range(1..recent.len())) % recent.len();
        let percent: u64 = self.rng.random_range(1..=99);
        let parts = [(&recent[first], percent), (&recent[second], 100 - percent)];
        let weights: BTreeMap<String, u64> = parts.iter().map(|((n, _), part)| (n.to_string(), *part)).collect();
        let becomes = parts.iter().map(|((_, digest), part)| (digest.clone(), *part)).collect();
        let request = operator.request("PUT", "products/traffic").json(&json!({ "weights": weights }));
        self.redirect(request, becomes).await
    }

    async fn roll_back(&mut self, operator: &Operator) -> Option<()> {
        let (body, becomes) = match &self.previous {
            Some(previous) if self.rng.random_bool(0.5) => (json!({}), previous.clone()),
            _ => {
                let recent = self.recent();
                let (number, digest) = &recent[self.rng.random_range(0..recent.len())];
                (json!({ "to": number }), Traffic::from([(digest.clone(), 100)]))
            }
        };
        self.redirect(operator.request("POST", "products/rollback").json(&body), becomes).await
    }

    /// Moves traffic, unless it lies there already: then nobody could tell whether it was moved.
    async fn redirect(&mut self, request: RequestBuilder, becomes: Traffic) -> Option<()> {
        if becomes != self.traffic {
            self.attempt(request, 200, Some(becomes)).await?;
            self.counts.moves += 1;
        }
        Some(())
    }

    /// Sends a change, which has to be accepted if it is answered at all.
    async fn attempt(&mut self, request: RequestBuilder, status: u16, becomes: Option<Traffic>) -> Option<Value> {
        self.attempted = becomes;
        let answer = try_send(request).await?;
        assert_eq!(answer.status, status, "{:?}", answer.body);
        if let Some(next) = self.attempted.take() {
            self.go_to(next);
        }
        Some(answer.body)
    }

    fn go_to(&mut self, next: Traffic) {
        if self.traffic.len() == 1 {
            self.previous = Some(self.traffic.clone());
        }
        self.previous.take_if(|whole| *whole == next);
        self.traffic = next;
    }

    /// Returns the newest revisions.
    fn recent(&self) -> Vec<(u64, String)> {
        self.known.iter().rev().take(RECENT).map(|(number, digest)| (*number, digest.clone())).collect()
    }
}

fn traffic_of(service: &Value) -> Traffic {
    let shares = service["traffic"].as_array().expect("a list");
    let share = |share: &Value| {
        let digest = share["digest"].as_str().expect("a digest").to_owned();
        (digest, share["weight"].as_u64().expect("percent"))
    };
    shares.iter().map(share).collect()
}
