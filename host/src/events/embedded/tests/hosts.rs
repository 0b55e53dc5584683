//! Hosts that are not alone: one that lags behind another, and two that hold the same lease.

use super::*;
use crate::db::Cell;

impl Case {
    async fn count(&self, table: &str) -> i64 {
        let rows = self.database.query(&format!("SELECT COUNT(*) FROM {table}"), &[]).await.expect("counts");
        match rows.rows().next().as_deref() {
            Some([Cell::Integer(count)]) => *count,
            other => panic!("no number: {other:?}"),
        }
    }

    /// Runs deliveries until something else has ended.
    async fn deliver_during(&self, other: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        tokio::select! {
            () = self.broker.run(&self.courier, &stop) => panic!("it has ended by itself"),
            () = other => {}
        }
    }
}

/// Asks until something holds; whoever waits for it sets the bound.
async fn wait_until(holds: impl AsyncFn() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_host_that_lags_behind_gives_its_lease_back_and_goes_on_with_what_it_knows() {
    let case = case(1).await;
    case.subscriber.unknown.lock().expect("no panic").insert("x1".to_owned());
    let events = [event(1, "x", "x1"), event(2, "x", "x2"), event(3, "y", "y1")];
    case.broker.publish(&events).await.expect("takes them");
    // What was delivered was delivered under the lease.
    let given_back = wait_until(async || !case.got().is_empty() && case.count("leases").await == 0);
    tokio::time::timeout(SOON, case.deliver_during(given_back)).await.expect("the lease is given back");
    assert_eq!(case.got(), [("y1".to_owned(), 1)]);
    assert_eq!(case.count("stalled").await, 0, "nothing keeps another host from the key");
    case.subscriber.unknown.lock().expect("no panic").clear();
    let got = case.deliver(Until::Empty).await;
    assert_eq!(got[1..], [("x1".to_owned(), 1), ("x2".to_owned(), 1)], "no attempt was lost");
    assert!(case.letters().await.is_empty());
}

/// As after the clock of the database was set forward: the lease is over, and its holder has not heard of it yet.
#[tokio::test]
async fn two_hosts_that_hold_the_same_lease_have_each_effect_once_and_in_order() {
    let events: Vec<Event> =
        (0..200).map(|n| event(n, &format!("k{}", n % 4), &format!("k{} {n:03}", n % 4))).collect();
    let first = case(1).await;
    first.subscriber.held.lock().expect("no panic").insert("k0".to_owned());
    first.broker.publish(&events[..1]).await.expect("takes it");
    let story = async {
        wait_until(async || !first.subscriber.begun.lock().expect("no panic").is_empty()).await;
        let shared = Subscriber { effects: Arc::clone(&first.subscriber.effects), ..Subscriber::default() };
        let second = host(Arc::clone(&first.folder), Arc::clone(&first.database), shared, 1).await;
        let all = async {
            // By both, as two hosts do that relay the same outbox.
            first.broker.publish(&events).await.expect("takes them");
            second.broker.publish(&events).await.expect("takes them");
            wait_until(async || first.count("deliveries").await == 0).await;
        };
        second.deliver_during(all).await;
        assert!(of(&second.got(), "k0").contains(&"k0 000"), "what the first has begun the second has done");
    };
    tokio::time::timeout(SOON, first.deliver_during(story)).await.expect("all are delivered");
    assert_eq!(first.subscriber.begun.lock().expect("no panic")[0], "k0 000");
    let effects = first.subscriber.effects.lock().expect("no panic").clone();
    assert_eq!(effects.len(), 200);
    for key in ["k0", "k1", "k2", "k3"] {
        let texts: Vec<&String> = effects.iter().filter(|text| text.starts_with(key)).collect();
        assert!(texts.is_sorted(), "{key}: {texts:?}");
    }
}
