//! The deliveries of one subscriber, from one lost connection to the next.

use std::collections::HashMap;

use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio_util::sync::CancellationToken;

use super::super::{Backoff, BrokerError, Courier};
use super::flow::{Flow, PREFETCH};
use super::link::{Link, answer};
use super::topology;

/// Failures that are remembered at most; only those of events in memory are of use.
const REMEMBERED: usize = 1024;

/// How often a subscriber has failed at events that it has not handled yet, by their ids.
///
/// It outlives connections: an event that comes again does not begin anew.
#[derive(Default)]
pub(super) struct Failures(HashMap<String, u32>);

impl Failures {
    /// Remembers how often an event has failed.
    pub(super) fn remember(&mut self, id: &str, failures: u32) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(id) {
            // What is left here went to another host; those that fail here are back at their next failure.
            self.0.clear();
        }
        self.0.insert(id.to_owned(), failures);
    }

    /// Returns how often an event has failed, as far as that is known.
    pub(super) fn of(&self, id: &str) -> Option<u32> {
        self.0.get(id).copied()
    }

    /// Forgets an event that is handled.
    pub(super) fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }
}

/// Runs the deliveries of a subscriber until told to stop, on one channel after the other.
pub(super) async fn run(link: &Link, courier: &Courier, stop: &CancellationToken) {
    let mut failures = Failures::default();
    let mut losses = 0;
    loop {
        let error = match stop.run_until_cancelled(open(link, courier, &mut failures)).await {
            None => return,
            Some(Err(error)) => error,
            Some(Ok(mut flow)) => {
                tracing::debug!(service.name = %courier.subscriber, "deliveries begin");
                match flow.run(stop).await {
                    Ok(()) => return,
                    Err(error) => {
                        if flow.has_settled() {
                            losses = 0;
                        }
                        error
                    }
                }
            }
        };
        losses += 1;
        if losses == 1 {
            tracing::warn!(service.name = %courier.subscriber, %error, "deliveries wait for the broker");
        } else {
            tracing::debug!(service.name = %courier.subscriber, %error, losses, "deliveries wait for the broker");
        }
        if stop.run_until_cancelled(tokio::time::sleep(Backoff::CONNECTION.after(losses))).await.is_none() {
            return;
        }
    }
}

/// Declares and binds the queue, and begins to consume.
async fn open<'f>(link: &Link, courier: &'f Courier, failures: &'f mut Failures) -> Result<Flow<'f>, BrokerError> {
    topology::declare_queue(link, &courier.subscriber, &courier.topics).await?;
    let channel = link.channel().await?;
    answer(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
    let queue = topology::queue_name(&courier.subscriber);
    let consumer = channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let consumer = answer(consumer).await?;
    Ok(Flow::new(courier, failures, channel, consumer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_remembered_until_an_event_is_handled_and_are_never_too_many() {
        let mut failures = Failures::default();
        failures.remember("a", 3);
        failures.remember("a", 4);
        assert_eq!((failures.of("a"), failures.of("b")), (Some(4), None));
        failures.forget("a");
        assert_eq!(failures.of("a"), None);
        for index in 0..2 * REMEMBERED {
            failures.remember(&index.to_string(), 1);
        }
        assert!(failures.0.len() <= REMEMBERED);
    }
}
