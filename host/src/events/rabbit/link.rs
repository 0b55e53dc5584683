//! One connection to RabbitMQ, opened when somebody needs it and again when it was lost.
//!
//! Nothing is recovered behind the back of those who use it: what was done on a lost channel has failed, and is done
//! again on a new one. Every wait has a bound, and so has the number of connections, those that hang included.
//!
//! No text that leaves here holds a credential: addresses are not shown at all, and the client's parser of them, which
//! repeats them in its errors, is not quoted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lapin::tcp::AMQPUriTcpExt as _;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::{Mutex, Semaphore};

use super::super::reach::Attempted;
use super::super::{BrokerError, Reach};

/// Longest wait for one answer of the broker, a connection and a channel with all their steps among them.
const ANSWER: Duration = Duration::from_secs(10);

/// Longest wait for the first step of a connection: TCP.
const DIAL: Duration = Duration::from_secs(5);

/// Connections that may exist at once, with those that were given up but hang in the system still.
const CONNECTIONS: usize = 8;

/// Seconds after which one side takes the other for dead when it hears nothing.
const HEARTBEAT: u16 = 10;

/// Largest frame, in bytes: the client keeps room for 32 of them in both directions.
const FRAME: u32 = 32 * 1024;

/// A connection for one purpose.
pub(super) struct Link {
    uri: AMQPUri,
    /// What the broker's tools show.
    name: &'static str,
    open: Mutex<Option<Arc<Connection>>>,
    attempted: Attempted,
    connections: Arc<Semaphore>,
}

impl From<lapin::Error> for BrokerError {
    fn from(error: lapin::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Reads an address, `amqp://user:password@host:port/vhost`.
///
/// # Errors
/// When it is none, or asks for what there is not: TLS, or a numeric IPv6 address.
pub(super) fn address(url: &str) -> Result<AMQPUri, BrokerError> {
    let wrong = |why: &str| BrokerError::Unavailable(format!("events.url {why}"));
    let mut uri: AMQPUri =
        url.parse().map_err(|_| wrong("is not `amqp://user:password@host:port/vhost` (`/` in a vhost is `%2f`)"))?;
    if uri.scheme == AMQPScheme::AMQPS {
        return Err(wrong("asks for TLS, which is not supported: reach the broker over a network that is trusted"));
    }
    // The client's parser would take such a host for localhost.
    if url.contains('[') {
        return Err(wrong("has an IPv6 address for a host: give it a name"));
    }
    uri.query.heartbeat.get_or_insert(HEARTBEAT);
    uri.query.frame_max.get_or_insert(FRAME);
    Ok(uri)
}

/// Waits for something of the broker, a bounded time.
pub(super) async fn within<T>(request: impl Future<Output = T>) -> Result<T, BrokerError> {
    let late = |_| BrokerError::Unavailable(format!("no answer within {ANSWER:?}"));
    tokio::time::timeout(ANSWER, request).await.map_err(late)
}

/// Waits for an answer of the broker that is not a refusal, a bounded time.
pub(super) async fn answer<T>(request: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
    Ok(within(request).await??)
}

// === impl Link ===

impl Link {
    /// Makes two links to one broker, one to publish and one to consume.
    ///
    /// A broker that is short of memory stops reading from connections that publish, which must not stop the
    /// acknowledgements that make room.
    pub(super) fn pair(uri: &AMQPUri) -> (Self, Self) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        let link = |name| Self {
            uri: uri.clone(),
            name,
            open: Mutex::new(None),
            attempted: Attempted::default(),
            connections: Arc::clone(&connections),
        };
        (link("provesi publishes"), link("provesi consumes"))
    }

    /// Opens a channel, and the connection when there is none.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub(super) async fn channel(&self) -> Result<Channel, BrokerError> {
        let opened = within(self.open_channel()).await.flatten();
        self.note(opened.is_ok());
        opened
    }

    /// Notes whether an attempt to use the broker was answered.
    pub(super) fn note(&self, is_reached: bool) {
        self.attempted.note(is_reached);
    }

    /// Says whether the broker can be reached, as far as that is known here.
    pub(super) fn reach(&self) -> Reach {
        let last = self.attempted.reach();
        // Taken, somebody connects at this moment, and it is not known better.
        let Ok(open) = self.open.try_lock() else { return last };
        let status = open.as_ref().map(|connection| connection.status());
        match (last, status.filter(|status| status.connected())) {
            (Reach::Connected, Some(status)) if status.blocked() => Reach::Blocked,
            // Lost, and nobody has needed it since: who does will say that it is away.
            (Reach::Connected, None) => Reach::Idle,
            _ => last,
        }
    }

    /// Returns whether the broker takes nothing at the moment, for want of memory or disk.
    pub(super) async fn is_blocked(&self) -> bool {
        self.open.lock().await.as_ref().is_some_and(|connection| connection.status().blocked())
    }

    /// Forgets the connection: the next channel gets a new one.
    pub(super) async fn forget(&self) {
        self.open.lock().await.take();
    }

    async fn open_channel(&self) -> Result<Channel, BrokerError> {
        let connection = {
            // Held while it connects: all who need the connection wait for the same one.
            let mut open = self.open.lock().await;
            match open.take().filter(|connection| connection.status().connected()) {
                Some(connection) => Arc::clone(open.insert(connection)),
                None => Arc::clone(open.insert(Arc::new(self.connect().await?))),
            }
        };
        Ok(connection.create_channel().await?)
    }

    async fn connect(&self) -> Result<Connection, BrokerError> {
        let permit = Arc::clone(&self.connections).try_acquire_owned();
        let permit = permit.map_err(|_| BrokerError::Unavailable("earlier connections to it still hang".into()))?;
        let properties = ConnectionProperties::default().with_connection_name(self.name.into());
        let connection = Connection::connector(
            self.uri.clone(),
            lapin::runtime::default_runtime()?,
            async move |uri: AMQPUri, runtime| {
                // Lives as long as the client's thread for this connection, which the caller's bound does not end.
                let _held = &permit;
                match tokio::time::timeout(DIAL, uri.connect_async(&runtime)).await {
                    Ok(stream) => stream.map_err(lapin::Error::from),
                    Err(late) => Err(lapin::Error::from(io::Error::from(late))),
                }
            },
            properties,
        )
        .await?;
        tracing::info!(connection = self.name, "connected to the broker");
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_bounds_unless_it_has_them() {
        let uri = address("amqp://u:p%40ss@broker:5673/%2fa").expect("an address");
        assert_eq!((uri.authority.userinfo.password.as_str(), uri.vhost.as_str()), ("p@ss", "/a"));
        assert_eq!((uri.query.heartbeat, uri.query.frame_max), (Some(HEARTBEAT), Some(FRAME)));
        let uri = address("amqp://broker?heartbeat=3&frame_max=8192").expect("an address");
        assert_eq!((uri.query.heartbeat, uri.query.frame_max), (Some(3), Some(8192)));
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for url in [
            "",
            "user:secret-word@broker",
            "http://user:secret-word@broker/",
            "amqps://user:secret-word@broker/",
            "amqp://user:secret-word@[::1]:5672/",
            "amqp://user:secret-word@broker:99999/",
            "amqp://user:secret-word@broker/?heartbeat=often",
        ] {
            let error = address(url).err().unwrap_or_else(|| panic!("{url} was read"));
            assert!(error.to_string().contains("events.url"), "{error}");
            assert!(!error.to_string().contains("secret-word"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_broker_that_is_away_is_an_error_without_credentials() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let uri = address(&format!("amqp://user:secret-word@127.0.0.1:{port}/")).expect("an address");
        let (link, _) = Link::pair(&uri);
        assert_eq!(link.reach(), Reach::Idle);
        let error = link.channel().await.expect_err("nobody listens");
        assert!(!format!("{error:?}").contains("secret-word"), "{error:?}");
        assert!(!link.is_blocked().await);
        assert!(matches!(link.reach(), Reach::Away { .. }), "{:?}", link.reach());
    }
}
