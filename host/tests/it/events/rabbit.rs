//! Events through RabbitMQ: as by the embedded broker, and other systems take part.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Consumer, ExchangeKind};
use serde_json::{Value, json};

use super::{
    SOON, Tables, assert_once_and_in_order, backlog, heard, letters, listener, metric, said, texts, until_heard,
};
use crate::support::{Backend, Rabbit, TestApp, eventually, send};

const EXCHANGE: &str = "provesi.events";

const SAID: &str = "emitter.said";

/// Events of the test of the order, their keys, and clients that publish at once.
const EVENTS: usize = 200;
const KEYS: usize = 5;
const CLIENTS: usize = 5;

/// Starts a host with both services on a broker.
async fn start(rabbit: &Rabbit, settings: &[(&str, &str)], attempts: u32) -> (TestApp, Tables) {
    let mut tables = Tables::new(settings, attempts);
    // The table of the events is its last one.
    tables.text += &format!("url = \"{}\"\n", rabbit.url());
    let app = TestApp::start_on(Backend::Sqlite, &tables.setup()).await.expect("SQLite needs nothing");
    (app, tables)
}

/// Says a number of things at once, in all keys, beginning at a number.
async fn say_many(app: &TestApp, numbers: std::ops::Range<usize>) {
    let clients = (0..CLIENTS).map(async |client| {
        for n in numbers.clone().skip(client).step_by(CLIENTS) {
            said(app, &format!("key-{}", n % KEYS), &n.to_string()).await;
        }
    });
    join_all(clients).await;
}

/// Waits until a number of events was heard, and checks them.
async fn all_heard(app: &TestApp, count: usize) {
    eventually("all are heard", SOON, async || heard(app).await.len() >= count).await;
    let heard = heard(app).await;
    assert_eq!(heard.len(), count);
    assert_once_and_in_order(&heard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_key_stays_in_its_order_through_rabbitmq() {
    let Some(rabbit) = Rabbit::start().await else { return };
    let (app, _tables) = start(&rabbit, &[], 3).await;
    say_many(&app, 0..EVENTS).await;
    all_heard(&app, EVENTS).await;
    app.stop().await;
    // What was not acknowledged would be back in the queue.
    let (_connection, channel) = rabbit.connect().await;
    let passive = QueueDeclareOptions::durable().passive();
    let queue = channel.queue_declare("provesi.listener".into(), passive, FieldTable::default()).await;
    assert_eq!(queue.expect("the queue stays").message_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_for_a_while_loses_nothing() {
    let Some(mut rabbit) = Rabbit::start().await else { return };
    let (app, _tables) = start(&rabbit, &[("slow", "20")], 10).await;
    say_many(&app, 0..60).await;
    eventually("the first are heard", SOON, async || !heard(&app).await.is_empty()).await;
    rabbit.stop().await;
    say_many(&app, 60..100).await;
    let some_wait = async || metric(&app, "provesi_events_outbox_waiting", "emitter").await > 0.0;
    eventually("events wait for the broker", SOON, some_wait).await;
    let is_away = async || {
        let (from, to) = (backlog(&app, "emitter").await, backlog(&app, "listener").await);
        let some_wait = from["outbox"]["waiting"].as_u64().is_some_and(|count| count > 0);
        from["broker"]["state"] == "away" && some_wait && to["deliveries"].is_null()
    };
    eventually("operators see that it is away and what waits here", SOON, is_away).await;
    let broker = backlog(&app, "emitter").await["broker"].clone();
    assert_eq!(broker["kind"], "rabbitmq", "{broker}");
    assert!(broker["away_since"].as_str().is_some_and(|since| since.ends_with('Z')), "{broker}");
    rabbit.start_again().await;
    say_many(&app, 100..120).await;
    all_heard(&app, 120).await;
    let none_wait = async || {
        let (from, to) = (backlog(&app, "emitter").await, backlog(&app, "listener").await);
        from["broker"]["state"] == "connected" && from["outbox"]["waiting"] == 0 && to["deliveries"]["waiting"] == 0
    };
    eventually("operators see that it is back and nothing waits", SOON, none_wait).await;
    assert!(letters(&app, "").await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_traps_is_buried_and_replayed_through_rabbitmq() {
    let Some(rabbit) = Rabbit::start().await else { return };
    let (app, _tables) = start(&rabbit, &[("trap", "bad")], 2).await;
    said(&app, "broken", "bad").await;
    said(&app, "broken", "behind").await;
    said(&app, "whole", "beside").await;
    until_heard(&app, "beside").await;
    until_heard(&app, "behind").await;
    let listed = letters(&app, "?service=listener").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["key"], &listed[0]["attempts"]), (&json!("broken"), &json!(2)));

    let deployed = app.upload("listener", "", listener(&[])).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    let replay = format!("/v1/dead-letters/{}/replay", listed[0]["id"]);
    assert_eq!(send(app.operate("POST", &replay)).await.status, 200);
    let all = until_heard(&app, "bad").await;
    assert_eq!(all.iter().filter(|heard| heard.text == "bad").count(), 1, "{all:?}");
    assert!(letters(&app, "").await.is_empty());
    app.stop().await;
}

/// Another system at the exchange: what it hears of all topics.
async fn hear_all(channel: &Channel) -> Consumer {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let declared = channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default());
    declared.await.expect("an exchange as the host declares it");
    let queue = channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default());
    let queue = queue.await.expect("a queue").name().clone();
    bind(channel, &queue, "#").await;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    channel.basic_consume(queue, "".into(), options, FieldTable::default()).await.expect("a consumer")
}

async fn bind(channel: &Channel, queue: &ShortString, topic: &str) {
    let (exchange, options) = (EXCHANGE.into(), QueueBindOptions::default());
    let bound = channel.queue_bind(queue.clone(), exchange, topic.into(), options, FieldTable::default());
    bound.await.expect("a binding");
}

/// Publishes a message and returns whether any queue got it.
async fn publish(channel: &Channel, topic: &str, body: &[u8]) -> bool {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let published = channel.basic_publish(EXCHANGE.into(), topic.into(), options, body, BasicProperties::default());
    match published.await.expect("it is sent").await.expect("it is confirmed") {
        Confirmation::Ack(returned) => returned.is_none(),
        refused => panic!("{refused:?}"),
    }
}

/// What another system says.
fn foreign(id: &str, text: &str) -> Vec<u8> {
    let message = json!({
        "specversion": "1.0", "id": id, "source": "https://erp.example/plant", "type": SAID, "subject": "f",
        "data": { "key": "f", "n": 1, "text": text },
    });
    message.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_systems_hear_and_are_heard() {
    let Some(rabbit) = Rabbit::start().await else { return };
    let (_connection, channel) = rabbit.connect().await;
    let mut consumer = hear_all(&channel).await;
    let (app, _tables) = start(&rabbit, &[], 3).await;
    said(&app, "k", "from here").await;
    let event = until_heard(&app, "from here").await[0].event.clone();

    let delivery = tokio::time::timeout(SOON, consumer.next()).await.expect("in time");
    let delivery = delivery.expect("a message").expect("no error");
    let properties = &delivery.properties;
    assert_eq!(properties.content_type().as_ref().map(ShortString::as_str), Some("application/cloudevents+json"));
    assert_eq!(properties.message_id().as_ref().map(ShortString::as_str), Some(event.as_str()));
    assert_eq!((delivery.routing_key.as_str(), *properties.delivery_mode()), (SAID, Some(2)));
    let mut message: Value = serde_json::from_slice(&delivery.data).expect("JSON");
    let time = message.as_object_mut().expect("an object").remove("time");
    assert!(time.as_ref().and_then(Value::as_str).is_some_and(|time| time.ends_with('Z')), "{time:?}");
    let expected = json!({
        "specversion": "1.0", "id": event, "source": "/services/emitter", "type": SAID, "subject": "k",
        "datacontenttype": "application/json", "data": { "key": "k", "n": 1, "text": "from here" },
    });
    assert_eq!(message, expected);

    for (id, text) in [("1", "from afar"), ("1", "from afar"), ("2", "last")] {
        assert!(publish(&channel, SAID, &foreign(id, text)).await, "the subscriber's queue is bound");
    }
    // One key: what came twice would have been heard before the last.
    let all = until_heard(&app, "last").await;
    assert_eq!(texts(&all), ["from here", "from afar", "last"]);
    assert_eq!(all[1].event, "https://erp.example/plant#1");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_systems_send_wrongly_harms_nobody() {
    let Some(rabbit) = Rabbit::start().await else { return };
    let (_connection, channel) = rabbit.connect().await;
    let (app, _tables) = start(&rabbit, &[], 3).await;
    said(&app, "k", "before").await;
    until_heard(&app, "before").await;

    assert!(publish(&channel, SAID, b"nonsense").await, "the subscriber's queue is bound");
    eventually("it is buried", SOON, async || !letters(&app, "?service=listener").await.is_empty()).await;
    let letter = letters(&app, "?service=listener").await.remove(0);
    assert_eq!((&letter["topic"], &letter["attempts"]), (&json!(SAID), &json!(0)));
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("not a CloudEvent")), "{letter}");

    // A binding for a topic that nobody subscribes to goes when something comes by it.
    bind(&channel, &"provesi.listener".into(), "other.said").await;
    let unbound = async || !publish(&channel, "other.said", b"{}").await;
    eventually("the topic is unbound", Duration::from_secs(60), unbound).await;
    said(&app, "k", "after").await;
    assert_eq!(texts(&until_heard(&app, "after").await), ["before", "after"]);
    assert_eq!(letters(&app, "").await.len(), 1);
    app.stop().await;
}
