//! Events: what a service tells of itself, and what it does about what others tell.
//!
//! [`Transaction::publish`] tells of something if and only if its transaction commits. A [`Subscription`] names a topic
//! and its handler, which runs in a transaction that notes the event's id too: an event that comes again has no second
//! effect. The service lists both ([`Service::TOPICS`], [`Service::SUBSCRIPTIONS`]), and whoever subscribes calls
//! [`export_subscriber!`](crate::export_subscriber).

use serde::de::DeserializeOwned;

use crate::sql::{self, Connection, Transaction};
use crate::subscriber as wit;
use crate::{Error, Result, Service, Timestamp, clock, params};

/// Something that happened in a service.
#[derive(Clone, Debug)]
pub struct Event {
    /// Unique, and the same at each delivery.
    pub id: String,
    /// What kind of thing happened, `<service>.<what>`.
    pub topic: String,
    /// What it happened to; one publisher's events with one key come in order.
    pub key: String,
    /// When it was published, by the publishing host's clock: what is newer is better told by the payload.
    pub time: Timestamp,
    /// 1 at the first delivery.
    pub attempt: u32,
    payload: Vec<u8>,
}

/// Handles one event in a transaction, which is committed when it succeeds.
///
/// It is tried again when another transaction was in the way, and delivered again when it fails, so it must do nothing
/// outside of the transaction that cannot be done twice.
pub type EventHandler = fn(&Event, &Transaction) -> Result<()>;

/// A topic and what is done about its events.
#[derive(Clone, Copy, Debug)]
pub struct Subscription {
    pub(crate) topic: &'static str,
    handler: EventHandler,
}

impl Subscription {
    /// Subscribes to a topic, `<service>.<what>`.
    pub const fn new(topic: &'static str, handler: EventHandler) -> Self {
        Self { topic, handler }
    }
}

impl Event {
    /// Reads what happened.
    ///
    /// # Errors
    /// When the payload is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| Error::bad_request(format!("the payload of {:?} cannot be read: {error}", self.topic)))
    }
}

impl From<wit::Event> for Event {
    fn from(event: wit::Event) -> Self {
        let wit::Event { id, topic, key, time, payload, attempt } = event;
        Self { id, topic, key, time: Timestamp(time), attempt, payload }
    }
}

/// Exports the subscriptions of a [`Service`] from the component.
#[macro_export]
macro_rules! export_subscriber {
    ($service:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            impl $crate::subscriber::Subscriber for Component {
                fn handle(event: $crate::subscriber::Event) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::report_panics();
                    $crate::events::deliver::<$service>(event)
                }
            }

    $crate::subscriber::export_with_subscriber!(Component with_types_in $crate::subscriber);
        };
    };
}

/// Handles an event with the subscription to its topic, once however often it comes.
///
/// # Errors
/// When there is no such subscription, its handler fails or the database does not answer; in words for the operator.
pub fn deliver<S: Service>(event: wit::Event) -> std::result::Result<(), String> {
    let event = Event::from(event);
    let found = S::SUBSCRIPTIONS.iter().find(|subscription| subscription.topic == event.topic);
    let Some(subscription) = found else { return Err(format!("there is no subscription to {:?}", event.topic)) };
    sql::transaction(|tx| once(tx, &event, |tx| (subscription.handler)(&event, tx))).map_err(|error| match error {
        Error::Sql(sql::Error::Unavailable | sql::Error::Timeout | sql::Error::Conflict) => {
            format!("unavailable: {error:?}")
        }
        error => format!("{error:?}"),
    })
}

/// Notes an event and does the work, unless it was noted before.
fn once<C: Connection>(tx: &C, event: &Event, work: impl FnOnce(&C) -> Result<()>) -> Result<()> {
    // The table is the host's. Without a target, as a service may insert into it and not read it.
    const NOTE: &str = "INSERT INTO provesi_inbox (event_id, handled_us) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    match tx.execute(NOTE, params![&event.id, clock::now().0])? {
        0 => Ok(()),
        _ => work(tx),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;

    use super::*;
    use crate::Route;
    use crate::sql::{Rows, Value};

    /// An inbox alone.
    #[derive(Default)]
    struct Inbox(RefCell<BTreeSet<String>>);

    impl Connection for Inbox {
        fn query(&self, statement: &str, _: &[Value]) -> Result<Rows, sql::Error> {
            panic!("the inbox is not read: {statement}")
        }

        fn execute(&self, statement: &str, params: &[Value]) -> Result<u64, sql::Error> {
            assert!(statement.starts_with("INSERT INTO provesi_inbox "), "{statement}");
            let [Value::Text(id), Value::Integer(_)] = params else { panic!("an id and a time, not {params:?}") };
            Ok(u64::from(self.0.borrow_mut().insert(id.clone())))
        }
    }

    fn event(id: &str, payload: &str) -> Event {
        Event::from(wit::Event {
            id: id.to_owned(),
            topic: "pets.renamed".to_owned(),
            key: "7".to_owned(),
            time: 1,
            payload: payload.as_bytes().to_vec(),
            attempt: 1,
        })
    }

    #[test]
    fn an_event_that_comes_again_has_no_second_effect() {
        let (inbox, effects) = (Inbox::default(), Cell::new(0));
        for id in ["a", "b", "a", "a", "b"] {
            let work = |_: &Inbox| {
                effects.set(effects.get() + 1);
                Ok(())
            };
            once(&inbox, &event(id, "{}"), work).expect("the work succeeds");
        }
        assert_eq!(effects.get(), 2);
    }

    #[test]
    fn what_the_handler_says_is_what_the_delivery_says() {
        let failed = once(&Inbox::default(), &event("a", "{}"), |_| Err(Error::conflict("no")));
        assert!(matches!(failed, Err(Error::Refused { status: 409, .. })), "{failed:?}");
    }

    #[test]
    fn a_payload_is_read_or_named_with_its_topic() {
        assert_eq!(event("a", r#"{"id":7}"#).json::<serde_json::Value>().expect("JSON")["id"], 7);
        let Err(Error::Refused { message, .. }) = event("a", "{}").json::<Vec<i64>>() else { panic!("no list") };
        assert!(message.contains("pets.renamed"), "{message}");
    }

    struct Pets;

    impl Service for Pets {
        const VERSION: &'static str = "1.0.0";
        const SUMMARY: &'static str = "Pets.";
        const ROUTES: &'static [Route] = &[];
        const TOPICS: &'static [&'static str] = &["pets.renamed"];
        const SUBSCRIPTIONS: &'static [Subscription] = &[Subscription::new("owners.renamed", |_, _| Ok(()))];
    }

    #[test]
    fn topics_and_subscriptions_are_described() {
        let described = crate::describe::<Pets>();
        assert_eq!(
            (described.topics, described.subscriptions),
            (vec!["pets.renamed".to_owned()], vec!["owners.renamed".to_owned()])
        );
    }

    #[test]
    fn an_event_of_another_topic_is_refused() {
        let other = wit::Event {
            id: "a".to_owned(),
            topic: "pets.sold".to_owned(),
            key: String::new(),
            time: 1,
            payload: Vec::new(),
            attempt: 1,
        };
        assert_eq!(deliver::<Pets>(other), Err("there is no subscription to \"pets.sold\"".to_owned()));
    }
}
