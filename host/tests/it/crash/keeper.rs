//! A client that keeps values in a cache whose server is killed again and again: no request fails for that, and what is
//! read is what was kept, or nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::RECOVERY;
use super::client::Phase;
use crate::support::try_send;

/// Pause between two values.
const PAUSE: Duration = Duration::from_millis(100);

/// How many values were there, and how many were not.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pub(super) found: u64,
    pub(super) empty: u64,
}

/// Keeps and reads until the trouble is over, and then until a value is found.
pub(super) async fn keep_until_over(mut phase: watch::Receiver<Phase>) -> Reads {
    let http = reqwest::Client::new();
    let mut reads = Reads::default();
    let mut over: Option<Instant> = None;
    for number in 0_u64.. {
        let up = phase.wait_for(|phase| phase.base().is_some()).await.expect("who makes trouble outlives it");
        let base = up.base().expect("it was waited for").to_owned();
        if matches!(*up, Phase::Over(_)) {
            let since = over.get_or_insert_with(Instant::now);
            assert!(since.elapsed() < RECOVERY, "not within {RECOVERY:?}: the cache keeps values again");
        }
        drop(up);
        let found = keep(&http, &base, number).await;
        reads.found += u64::from(found == Some(true));
        reads.empty += u64::from(found == Some(false));
        if over.is_some() && found == Some(true) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    reads
}

/// Keeps one value and reads it; says whether it was there, none when the host or its database was not.
async fn keep(http: &reqwest::Client, base: &str, number: u64) -> Option<bool> {
    let value = format!("value-{number}");
    let kept = try_send(http.post(format!("{base}/api/cached/set/?key={number}&value={value}"))).await?;
    let read = try_send(http.get(format!("{base}/api/cached/get/?key={number}"))).await?;
    if kept.status >= 500 || read.status >= 500 {
        return None;
    }
    assert_eq!((kept.status, read.status), (204, 200), "{:?} {:?}", kept.body, read.body);
    assert!([Value::Null, json!(value)].contains(&read.body), "{value} was kept, and read {:?}", read.body);
    Some(read.body != Value::Null)
}
