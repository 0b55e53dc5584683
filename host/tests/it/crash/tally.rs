//! What a subscriber has counted of orders, against what became of them: each was told, and had its effect once.

use std::collections::BTreeMap;
use std::time::Duration;

use provesi::db::Cell;
use serde_json::json;

use super::databases::Databases;
use crate::support::{Process, eventually, send};

/// Longest wait for all that was published: a full form leaves tens of thousands of events, and a broker that was away
/// got none of them.
const DELIVERED: Duration = Duration::from_secs(300);

/// Orders that are named when a check fails.
const SHOWN: usize = 10;

/// What was counted.
pub(super) struct Told {
    pub(super) events: usize,
    /// Those that were not handled at the first attempt.
    pub(super) later: i64,
}

/// Waits until the subscriber has heard of each order, and checks that it has once, and of nothing else.
pub(super) async fn check(process: &Process, databases: &Databases, expected: &BTreeMap<i64, &'static str>) -> Told {
    let all = async || databases.handled("tally").await >= i64::try_from(expected.len()).expect("a number of orders");
    eventually("each order was told", DELIVERED, all).await;
    let rows = databases.rows("tally", "SELECT key, topic, COUNT(*) FROM told GROUP BY key, topic").await;
    let mut counted = BTreeMap::new();
    for row in rows.rows() {
        let [Cell::Text(key), Cell::Text(topic), Cell::Integer(times)] = row[..] else {
            panic!("a count, not {row:?}")
        };
        let order: i64 = key.parse().expect("the key is the order's number");
        counted.insert((order, topic.to_owned()), times);
    }
    let lost = expected.iter().filter(|(order, topic)| !counted.contains_key(&(**order, (**topic).to_owned())));
    let lost: Vec<_> = lost.take(SHOWN).collect();
    assert!(lost.is_empty(), "orders of which nobody was told: {lost:?}");
    let wrong = counted.iter().filter(|((order, topic), times)| {
        **times != 1 || expected.get(order).is_none_or(|expected| *expected != topic.as_str())
    });
    let wrong: Vec<_> = wrong.take(SHOWN).collect();
    assert!(wrong.is_empty(), "told twice, or of what did not become of the order: {wrong:?}");

    let url = format!("{}/v1/dead-letters", process.admin());
    let letters = send(reqwest::Client::new().get(url).bearer_auth(process.admin_token())).await;
    assert_eq!((letters.status, &letters.body), (200, &json!([])), "no attempt at an event was the last one");
    let later = databases.number("tally", "SELECT COUNT(*) FROM told WHERE attempt > 1").await;
    Told { events: expected.len(), later }
}
