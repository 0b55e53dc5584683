//! Two hosts on one PostgreSQL: an event is handled once in effect, whichever of them published it.

use std::time::Duration;

use super::{SOON, Tables, assert_once_and_in_order, heard, said, texts, until_heard};
use crate::support::{Backend, Setup, TestApp, eventually};

/// Longest time until another host goes on with a lease that nobody gave back, and some more for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_hosts_publish_is_handled_once_and_one_goes_on_without_the_other() {
    let tables = Tables::new(&[], 5);
    let Some(first) = TestApp::start_on(Backend::Postgres, &tables.setup()).await else { return };
    let url = first.url();
    let second = TestApp::start_as(&Setup { url: &url, ..tables.setup() }).await;
    let through = async |host: &TestApp, name: &str| {
        for n in 0..100 {
            said(host, &format!("key-{}", n % 5), &format!("{name}-{n}")).await;
        }
    };
    futures::join!(through(&first, "first"), through(&second, "second"));
    eventually("all are heard", SOON, async || heard(&second).await.len() >= 200).await;
    let all = heard(&first).await;
    assert_eq!(all.len(), 200);
    assert_once_and_in_order(&all);

    second.stop().await;
    said(&first, "after", "alone").await;
    let there = async || texts(&heard(&first).await).contains(&"alone");
    eventually("the other host goes on", TAKEN_OVER, there).await;
    assert_once_and_in_order(&until_heard(&first, "alone").await);
    first.stop().await;
}
