//! What RabbitMQ holds for this system: one exchange, and for each subscriber a queue that is bound to its topics.
//!
//! Everything is durable and declared again by whoever needs it: declaring what is there changes nothing. A queue of a
//! service that is gone stays, with what it holds, until an operator deletes it.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, ErrorKind, ExchangeKind};

use super::super::BrokerError;
use super::link::{Link, answer, within};
use crate::names::ServiceName;

/// Where all events go, by their topics.
pub(super) const EXCHANGE: &str = "provesi.events";

/// Returns of one message to its queue after which the broker would drop it, out of reach.
///
/// From RabbitMQ 4 on it does so by itself after 20. When an event has failed often enough is decided here.
const RETURNS: i32 = 1_000_000;

/// Makes a name of AMQP, which has at most 255 bytes.
pub(super) fn short(text: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text).map_err(|error| BrokerError::Unavailable(format!("{text:?} is no name for it: {error}")))
}

/// Returns the name of a subscriber's queue.
pub(super) fn queue_name(subscriber: &ServiceName) -> ShortString {
    // A service's name is short.
    ShortString::from(format!("provesi.{subscriber}"))
}

/// Declares the exchange.
pub(super) async fn declare_exchange(channel: &Channel) -> Result<(), BrokerError> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    answer(channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default())).await
}

/// Declares a subscriber's queue and binds it to topics, on a channel of its own.
pub(super) async fn declare_queue(link: &Link, subscriber: &ServiceName, topics: &[String]) -> Result<(), BrokerError> {
    let queue = queue_name(subscriber);
    let mut channel = link.channel().await?;
    declare_exchange(&channel).await?;
    let declared = channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments());
    match within(declared).await? {
        Ok(_) => {}
        Err(error) if is_different(&error) => {
            // The refusal has closed the channel.
            channel = link.channel().await?;
            message_count(&channel, subscriber).await?;
            tracing::warn!(
                service.name = %subscriber, queue = %queue, %error,
                "the queue was made with other arguments and is used as it is"
            );
        }
        Err(error) => return Err(error.into()),
    }
    for topic in topics {
        let options = QueueBindOptions::default();
        let binding = channel.queue_bind(queue.clone(), EXCHANGE.into(), short(topic)?, options, FieldTable::default());
        answer(binding).await?;
    }
    answer(channel.close(200, "OK".into())).await
}

/// Takes a topic from a subscriber's queue.
pub(super) async fn unbind(channel: &Channel, subscriber: &ServiceName, topic: &str) -> Result<(), BrokerError> {
    let (queue, topic) = (queue_name(subscriber), short(topic)?);
    answer(channel.queue_unbind(queue, EXCHANGE.into(), topic, FieldTable::default())).await
}

/// Returns how many messages of a subscriber's queue are not with a consumer.
///
/// # Errors
/// When there is no such queue, among others.
pub(super) async fn message_count(channel: &Channel, subscriber: &ServiceName) -> Result<u32, BrokerError> {
    let passive = QueueDeclareOptions::durable().passive();
    let queue = answer(channel.queue_declare(queue_name(subscriber), passive, FieldTable::default())).await?;
    Ok(queue.message_count())
}

/// Replicated where there is a cluster, and one consumer at a time: order holds across hosts.
fn arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from("quorum")));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(RETURNS));
    arguments
}

/// Returns whether a declaration was refused because the queue is there, but not as declared.
fn is_different(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
}
