//! Events between services: from the transaction that publishes one to every service that subscribes to it.
//!
//! A publisher's transaction writes into the outbox of its own database; one [`Relay`] per publisher hands what was
//! committed to the [`Broker`], which keeps it until each subscriber has handled it. At least once everywhere, in
//! order per publisher and key; what a subscriber cannot handle ends as a dead letter, which an operator can replay.
//!
//! Not here: what a guest may publish (see `capabilities::sql`), the outbox's table (see `db::outbox`), how a
//! subscriber is called (see `dispatch`), who publishes and subscribes (see `app`).

mod backoff;
mod broker;
mod dead;
mod deliver;
mod embedded;
mod keyed;
mod lease;
mod rabbit;
mod reach;
mod relay;
mod schema;
mod stats;
mod survey;
mod wakes;

pub use crate::db::Depth;
use crate::names::ServiceName;

pub use self::backoff::Backoff;
pub use self::broker::{Broker, BrokerError, Current, Deliver, DeliveryError, Directory};
pub use self::dead::{DeadLetter, DeadLetterPage, DeadLetters};
pub use self::deliver::{Attempts, Courier, Verdict};
pub use self::embedded::Embedded;
pub use self::keyed::{Keyed, Lane};
pub use self::lease::Leases;
pub use self::rabbit::Rabbit;
pub use self::reach::Reach;
pub use self::relay::Relay;
pub use self::schema::prepare;
pub use self::stats::{Backlog, Counter, Counts, Stats};
pub use self::survey::{BrokerState, Found, Kept, Member, Members, SURVEY_TIMEOUT, Standing, Survey};
pub use self::wakes::{Wake, Wakes};

/// Something that happened in a service, as it goes to the subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique, a UUID of version 7; the same at each delivery.
    pub id: String,
    /// What kind of thing happened, `<service>.<what>`.
    pub topic: String,
    /// What it happened to; at most 255 bytes.
    pub key: String,
    /// The service that published it.
    pub source: ServiceName,
    /// When it was published, microseconds since 1970-01-01, UTC, by the publishing host's clock.
    pub time_us: i64,
    /// What happened, JSON; at most 256 KiB.
    pub payload: Vec<u8>,
}
