//! The channel on which events go out, each confirmed by the broker when it has it on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use tokio::sync::Mutex;

use super::super::{BrokerError, Directory, Event};
use super::link::{Link, answer};
use super::topology;
use crate::names::ServiceName;

/// A channel with confirmations.
#[derive(Clone)]
pub(super) struct Outlet {
    channel: Channel,
    turn: Arc<Mutex<()>>,
}

/// Where events go out, and what is known to be bound.
pub(super) struct Publisher {
    outlet: Outlet,
    /// Subscribers whose queues get a topic, as declared since the channel was opened.
    routes: BTreeSet<(ServiceName, String)>,
}

impl Publisher {
    /// Opens a channel.
    pub(super) async fn open(link: &Link) -> Result<Self, BrokerError> {
        let channel = link.channel().await?;
        topology::declare_exchange(&channel).await?;
        answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self { outlet: Outlet { channel, turn: Arc::default() }, routes: BTreeSet::new() })
    }

    /// Returns whether the channel is open still.
    pub(super) fn is_open(&self) -> bool {
        self.outlet.channel.status().connected()
    }

    /// Sees to it that all who subscribe to the events now have a queue that gets them.
    ///
    /// One whose deliveries have not begun yet must miss nothing.
    pub(super) async fn route(
        &mut self,
        link: &Link,
        directory: &dyn Directory,
        events: &[Event],
    ) -> Result<(), BrokerError> {
        let topics: BTreeSet<&str> = events.iter().map(|event| event.topic.as_str()).collect();
        for topic in topics {
            let subscribers = directory.subscribers(topic);
            self.routes.retain(|(subscriber, known)| known != topic || subscribers.contains(subscriber));
            for subscriber in subscribers {
                let route = (subscriber, topic.to_owned());
                if !self.routes.contains(&route) {
                    topology::declare_queue(link, &route.0, std::slice::from_ref(&route.1)).await?;
                    self.routes.insert(route);
                }
            }
        }
        Ok(())
    }

    /// Forgets that a subscriber's queue is bound: its subscriptions have changed.
    pub(super) fn forget(&mut self, subscriber: &ServiceName) {
        self.routes.retain(|(known, _)| known != subscriber);
    }

    /// Returns where events go out.
    pub(super) fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }
}

impl Outlet {
    /// Sends an event and waits for its confirmation: true when the broker has it, false when it refuses.
    pub(super) async fn send(
        &self,
        exchange: &str,
        routing_key: ShortString,
        event: &Event,
    ) -> Result<bool, BrokerError> {
        let confirm = {
            // The client numbers a message before it sends it: two at once could get each other's confirmation.
            let _turn = self.turn.lock().await;
            let (body, properties) = (super::envelope::write(event), super::envelope::properties(event));
            let options = BasicPublishOptions::default();
            self.channel.basic_publish(exchange.into(), routing_key, options, &body, properties).await?
        };
        Ok(confirm.await?.is_ack())
    }
}
