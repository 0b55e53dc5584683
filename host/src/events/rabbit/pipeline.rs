//! Sends a batch: different keys beside each other, and each event of a key when the one before it is confirmed.
//!
//! A broker may refuse one event and take the next. Were both on their way, subscribers would see the later one first.

use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::timeout;

use super::super::{BrokerError, Event, Keyed, Lane};

/// What has become of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The broker has all of it.
    All,
    /// It refused as many events; what comes after them in their keys was not sent.
    Refused(usize),
    /// One was neither confirmed nor refused in time.
    Late,
}

/// Sends events, given by their places, each within a time.
///
/// # Errors
/// The first that sending one returns; any part of the batch is sent then.
pub(super) async fn send_in_order<S>(
    events: &[Event],
    longest: Duration,
    send: impl Fn(usize) -> S,
) -> Result<Sent, BrokerError>
where
    S: Future<Output = Result<bool, BrokerError>>,
{
    let mut waiting = Keyed::default();
    for (at, event) in events.iter().enumerate() {
        waiting.push(Lane::of(event), at);
    }
    let mut unconfirmed = FuturesUnordered::new();
    let mut refused = 0;
    loop {
        while let Some((lane, at)) = waiting.take() {
            let sending = send(at);
            unconfirmed.push(async move { (lane, timeout(longest, sending).await) });
        }
        match unconfirmed.next().await {
            Some((lane, Ok(Ok(true)))) => waiting.done(lane),
            // The rest of its lane stays behind it.
            Some((_, Ok(Ok(false)))) => refused += 1,
            Some((_, Ok(Err(error)))) => return Err(error),
            Some((_, Err(_))) => return Ok(Sent::Late),
            None if refused > 0 => return Ok(Sent::Refused(refused)),
            None => return Ok(Sent::All),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    fn events(keys: &[&str]) -> Vec<Event> {
        let event = |(at, key): (usize, &&str)| Event {
            id: at.to_string(),
            topic: "a.said".to_owned(),
            key: (*key).to_owned(),
            source: "a".parse().expect("a name"),
            time_us: 1,
            payload: b"1".to_vec(),
        };
        keys.iter().enumerate().map(event).collect()
    }

    #[tokio::test]
    async fn what_follows_a_refused_event_of_its_key_is_not_sent_before_it() {
        let events = events(&["x", "y", "x", "x", "y"]);
        let sent = Mutex::new(BTreeSet::new());
        let noted = &sent;
        let refuse = |refused: Option<usize>| {
            move |at: usize| {
                noted.lock().expect("no panic").insert(at);
                let is_taken = Some(at) != refused;
                async move { Ok(is_taken) }
            }
        };
        let outcome = send_in_order(&events, LONGEST, refuse(Some(2))).await.expect("no error");
        assert_eq!(outcome, Sent::Refused(1));
        assert_eq!(*sent.lock().expect("no panic"), BTreeSet::from([0, 1, 2, 4]));
        assert_eq!(send_in_order(&events, LONGEST, refuse(None)).await.expect("no error"), Sent::All);
        assert_eq!(sent.lock().expect("no panic").len(), events.len());
    }

    #[tokio::test]
    async fn one_event_of_a_key_is_on_its_way_and_all_keys_are() {
        let events = events(&["x", "x", "y", "z", "y", "x"]);
        let (on_their_way, most, order) = (Mutex::new(BTreeSet::new()), Mutex::new(0), Mutex::new(Vec::new()));
        let send = |at: usize| {
            let (on_their_way, most, order, key) = (&on_their_way, &most, &order, events[at].key.as_str());
            async move {
                assert!(on_their_way.lock().expect("no panic").insert(key), "two of {key} at once");
                tokio::task::yield_now().await;
                let count = on_their_way.lock().expect("no panic").len();
                let mut most = most.lock().expect("no panic");
                *most = count.max(*most);
                on_their_way.lock().expect("no panic").remove(key);
                order.lock().expect("no panic").push((key, at));
                Ok(true)
            }
        };
        assert_eq!(send_in_order(&events, LONGEST, send).await.expect("no error"), Sent::All);
        assert_eq!(*most.lock().expect("no panic"), 3);
        let order = order.lock().expect("no panic").clone();
        for (key, places) in [("x", vec![0, 1, 5]), ("y", vec![2, 4]), ("z", vec![3])] {
            let sent: Vec<usize> = order.iter().filter(|(sent, _)| *sent == key).map(|(_, at)| *at).collect();
            assert_eq!(sent, places, "{key}");
        }
    }

    #[tokio::test]
    async fn an_error_ends_a_batch_and_so_does_silence() {
        let events = events(&["x", "y"]);
        let lost = |_| async { Err(BrokerError::Unavailable("it is gone".to_owned())) };
        assert!(send_in_order(&events, LONGEST, lost).await.is_err());
        let silent = |_| std::future::pending();
        assert_eq!(send_in_order(&events, Duration::from_millis(1), silent).await.expect("no error"), Sent::Late);
        assert_eq!(send_in_order(&[], LONGEST, silent).await.expect("no error"), Sent::All);
    }
}
