//! `[events]`: where events wait for their subscribers, and how often one may fail at one.

use serde::Deserialize;

use super::ConfigError;

/// Events between services.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EventsConfig {
    /// `embedded:` for the host's own database (default), or `amqp://user:password@host:port` for RabbitMQ.
    pub url: EventsUrl,
    /// Times that a subscriber may fail at an event before it becomes a dead letter. Default 10: about a minute.
    pub attempts: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { url: EventsUrl::Embedded, attempts: 10 }
    }
}

impl EventsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if (1..=100).contains(&self.attempts) {
            return Ok(());
        }
        let (key, value) = ("events.attempts".to_owned(), self.attempts.to_string());
        Err(ConfigError::Contradiction { key, value, allowed: "from 1 to 100".to_owned() })
    }
}

/// Where events wait for their subscribers.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub enum EventsUrl {
    /// In the host's own database.
    Embedded,
    /// In RabbitMQ, at this URL.
    Amqp(String),
}

impl std::fmt::Debug for EventsUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        f.write_str(match self {
            Self::Embedded => "embedded:",
            Self::Amqp(_) => "amqp://…",
        })
    }
}

impl TryFrom<String> for EventsUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "embedded:" {
            Ok(Self::Embedded)
        } else if text.starts_with("amqp://") {
            Ok(Self::Amqp(text))
        } else {
            Err("events.url is neither `embedded:` nor `amqp://user:password@host:port`")
        }
    }
}
