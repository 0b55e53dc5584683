//! Events as other systems see them: CloudEvents 1.0, JSON, structured mode.
//!
//! What this host writes, it reads back as it was. What others write may be anything: it is an event, or the reason
//! why it is none.
//!
//! Not here: where messages go and come from (see [`super::publisher`] and [`super::flow`]).

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use humantime_serde::re::humantime::{format_rfc3339_micros, parse_rfc3339};
use lapin::BasicProperties;
use lapin::types::ShortString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::super::Event;
use crate::names::ServiceName;

/// Media type of a `CloudEvent` that is the whole body, attributes and data.
const CONTENT_TYPE: &str = "application/cloudevents+json";

/// What the URIs of this system's services begin with.
const SERVICES: &str = "/services/";

/// Longest id, source and key, in bytes.
const MAX_TEXT: usize = 255;

/// Largest data, in bytes; as for events of services.
const MAX_DATA: usize = 256 * 1024;

/// What the ids of messages begin with that are no events.
const MALFORMED: &str = "malformed-";

/// The last microsecond of the year 9999, the last year that RFC 3339 can write.
const LAST_US: u64 = 253_402_300_799_999_999;

/// AMQP's delivery mode of messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

#[derive(Serialize)]
struct Outgoing<'e> {
    specversion: &'static str,
    id: &'e str,
    source: String,
    #[serde(rename = "type")]
    topic: &'e str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'e str,
    time: String,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'e RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

#[derive(Deserialize)]
struct Incoming<'m> {
    #[serde(borrow)]
    specversion: Cow<'m, str>,
    #[serde(borrow)]
    id: Cow<'m, str>,
    #[serde(borrow)]
    source: Cow<'m, str>,
    #[serde(borrow, rename = "type")]
    topic: Cow<'m, str>,
    #[serde(borrow)]
    subject: Option<Cow<'m, str>>,
    #[serde(borrow)]
    time: Option<Cow<'m, str>>,
    #[serde(borrow)]
    datacontenttype: Option<Cow<'m, str>>,
    #[serde(borrow)]
    data: Option<&'m RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'m, str>>,
}

/// Writes the message of an event; one that came as no event goes as it came.
pub(super) fn write(event: &Event) -> Vec<u8> {
    if event.id.starts_with(MALFORMED) {
        return event.payload.clone();
    }
    let data = serde_json::from_slice(&event.payload).ok();
    let outgoing = Outgoing {
        specversion: "1.0",
        id: &event.id,
        source: format!("{SERVICES}{}", event.source),
        topic: &event.topic,
        subject: &event.key,
        time: format_time(event.time_us),
        datacontenttype: "application/json",
        data,
        data_base64: data.is_none().then(|| STANDARD.encode(&event.payload)),
    };
    serde_json::to_vec(&outgoing).expect("texts and JSON can be written as JSON")
}

/// Returns the properties of an event's message.
pub(super) fn properties(event: &Event) -> BasicProperties {
    let properties = BasicProperties::default().with_content_type(CONTENT_TYPE.into()).with_delivery_mode(PERSISTENT);
    match ShortString::try_new(event.id.as_str()) {
        Ok(id) => properties.with_message_id(id),
        // The id of another system's event can be longer than AMQP allows; it is in the body anyway.
        Err(_) => properties,
    }
}

/// Reads a message as an event, or says why it is none.
///
/// A message that came through the exchange came by a routing key, which has to be the event's type.
pub(super) fn read(body: &[u8], routing_key: Option<&str>) -> Result<Event, String> {
    let incoming: Incoming<'_> =
        serde_json::from_slice(body).map_err(|error| format!("not a CloudEvent in JSON: {error}"))?;
    if incoming.specversion != "1.0" {
        return Err(format!("CloudEvents {} instead of 1.0", incoming.specversion));
    }
    if let Some(key) = routing_key.filter(|key| *key != incoming.topic) {
        return Err(format!("the routing key {key} is not the type {}", incoming.topic));
    }
    let subject = incoming.subject.as_deref().unwrap_or_default();
    for (name, text) in [("id", &*incoming.id), ("source", &*incoming.source), ("subject", subject)] {
        let may_be_empty = name == "subject";
        if text.len() > MAX_TEXT || text.contains('\0') || (text.is_empty() && !may_be_empty) {
            return Err(format!("{name} is not a text of 1 to {MAX_TEXT} bytes without NUL"));
        }
    }
    let (id, source) = publisher(&incoming)?;
    let time_us = match incoming.time.as_deref() {
        Some(time) => parse_time(time).ok_or_else(|| format!("time {time:?} is not RFC 3339 from 1970 on"))?,
        None => micros(SystemTime::now()),
    };
    let (topic, key) = (incoming.topic.clone().into_owned(), subject.to_owned());
    Ok(Event { id, topic, key, source, time_us, payload: payload(&incoming)? })
}

/// Makes what is kept of a message that is no event; the same message makes the same.
pub(super) fn malformed(subscriber: &ServiceName, routing_key: &str, body: &[u8]) -> Event {
    let digest = Sha256::new().chain_update(routing_key).chain_update([0_u8]).chain_update(body).finalize();
    Event {
        id: format!("{MALFORMED}{}", hex::encode(digest)),
        topic: routing_key.replace('\0', " "),
        key: String::new(),
        source: service_of(routing_key).unwrap_or_else(|| subscriber.clone()),
        time_us: micros(SystemTime::now()),
        payload: body[..body.len().min(MAX_DATA)].to_vec(),
    }
}

/// Returns the id and the publisher of an event.
///
/// Ids of other systems are unique for one source only, ids here for all: theirs get the source before them.
fn publisher(incoming: &Incoming<'_>) -> Result<(String, ServiceName), String> {
    if let Some(service) = incoming.source.strip_prefix(SERVICES).and_then(|name| name.parse().ok()) {
        return Ok((incoming.id.clone().into_owned(), service));
    }
    let id = format!("{}#{}", incoming.source, incoming.id);
    match service_of(&incoming.topic) {
        Some(service) => Ok((id, service)),
        None => Err(format!("the type {} does not begin with a name and a dot", incoming.topic)),
    }
}

/// Returns the service that a topic belongs to.
fn service_of(topic: &str) -> Option<ServiceName> {
    topic.split_once('.')?.0.parse().ok()
}

fn payload(incoming: &Incoming<'_>) -> Result<Vec<u8>, String> {
    let kind = incoming.datacontenttype.as_deref().unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind != "application/json" && !kind.ends_with("+json") {
        return Err(format!("the data is {kind}, not JSON"));
    }
    let data = match (incoming.data, incoming.data_base64.as_deref()) {
        (Some(data), _) => data.get().as_bytes().to_vec(),
        (None, None) => b"null".to_vec(),
        (None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("data_base64: {error}"))?,
    };
    if data.len() > MAX_DATA {
        return Err(format!("{} bytes of data, more than {MAX_DATA}", data.len()));
    }
    serde_json::from_slice::<&RawValue>(&data).map_err(|error| format!("the data is not JSON: {error}"))?;
    Ok(data)
}

fn format_time(time_us: i64) -> String {
    let since = Duration::from_micros(u64::try_from(time_us).unwrap_or_default().min(LAST_US));
    format_rfc3339_micros(UNIX_EPOCH + since).to_string()
}

/// Reads a time of RFC 3339 with any offset, which the parser of durations and times reads in UTC only.
fn parse_time(text: &str) -> Option<i64> {
    let (local, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            (local, offset_seconds(offset)?)
        }
    };
    let time = parse_rfc3339(&format!("{local}Z")).ok()?;
    micros(time).checked_sub(offset * 1_000_000).filter(|time| *time >= 0)
}

/// Reads `+hh:mm` or `-hh:mm`.
fn offset_seconds(text: &str) -> Option<i64> {
    let (sign, rest) =
        text.strip_prefix('+').map(|rest| (1, rest)).or(text.strip_prefix('-').map(|rest| (-1, rest)))?;
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str, limit: i64| {
        let is_digits = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number: &i64| is_digits && *number < limit)
    };
    Some(sign * (number(hours, 24)? * 3600 + number(minutes, 60)? * 60))
}

fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
