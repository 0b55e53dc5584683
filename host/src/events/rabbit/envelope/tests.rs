//! What is written can be read, by others too; what others write is an event or has a reason.

use serde_json::{Value, json};

use super::*;

fn event() -> Event {
    Event {
        id: "0198c0de-0000-7000-8000-000000000001".into(),
        topic: "emitter.renamed".into(),
        key: "7".into(),
        source: "emitter".parse().expect("a name"),
        time_us: 1_764_000_000_123_456,
        payload: br#"{"price": 12345678901234567890.10, "b":1,  "a":"\u00e9"}"#.to_vec(),
    }
}

fn foreign(change: impl FnOnce(&mut Value)) -> Result<Event, String> {
    let mut message = json!({
        "specversion": "1.0", "id": "41", "source": "https://erp.example/plant", "type": "erp.moved",
        "subject": "pallet/9", "time": "2026-01-31T12:00:00.5+01:00", "datacontenttype": "application/json",
        "data": { "to": "B" }, "traceparent": "an extension",
    });
    change(&mut message);
    read(message.to_string().as_bytes(), Some("erp.moved"))
}

#[test]
fn what_is_written_is_read_back_byte_for_byte() {
    let event = event();
    assert_eq!(read(&write(&event), Some("emitter.renamed")), Ok(event.clone()));
    for key in ["", "ñ\"\\", "a\nb"] {
        let event = Event { key: key.into(), ..event.clone() };
        assert_eq!(read(&write(&event), None), Ok(event));
    }
}

#[test]
fn others_see_a_cloud_event() {
    let message: Value = serde_json::from_slice(&write(&event())).expect("JSON");
    let expected = json!({
        "specversion": "1.0", "id": "0198c0de-0000-7000-8000-000000000001", "source": "/services/emitter",
        "type": "emitter.renamed", "subject": "7", "time": "2025-11-24T16:00:00.123456Z",
        "datacontenttype": "application/json",
    });
    let mut attributes = message.clone();
    attributes.as_object_mut().expect("an object").remove("data");
    assert_eq!(attributes, expected);
    assert_eq!(message["data"]["b"], 1);
    let properties = properties(&event());
    assert_eq!(properties.content_type().as_ref().map(ShortString::as_str), Some("application/cloudevents+json"));
    assert_eq!(properties.message_id().as_ref().map(ShortString::as_str), Some(event().id.as_str()));
    assert_eq!(*properties.delivery_mode(), Some(2));
}

#[test]
fn an_empty_key_is_no_subject() {
    let message = write(&Event { key: String::new(), ..event() });
    let message: Value = serde_json::from_slice(&message).expect("JSON");
    assert_eq!(message.get("subject"), None);
}

#[test]
fn other_systems_events_are_read_with_their_source_in_the_id() {
    let event = foreign(|_| {}).expect("an event");
    assert_eq!(event.id, "https://erp.example/plant#41");
    assert_eq!((event.topic.as_str(), event.key.as_str(), event.source.as_str()), ("erp.moved", "pallet/9", "erp"));
    assert_eq!(event.time_us, 1_769_857_200_500_000);
    assert_eq!(event.payload, br#"{"to":"B"}"#);
    // Dead letters of them that are replayed come back under the same id.
    let again = read(&write(&event), None).expect("an event");
    assert_eq!(again, event);
}

#[test]
fn what_is_optional_may_be_missing() {
    let event = foreign(|message| {
        let message = message.as_object_mut().expect("an object");
        for name in ["subject", "time", "datacontenttype", "data"] {
            message.remove(name);
        }
    })
    .expect("an event");
    assert_eq!((event.key.as_str(), event.payload.as_slice()), ("", b"null".as_slice()));
    assert!(event.time_us > 1_700_000_000_000_000);
    let encoded = foreign(|message| {
        message["data"] = Value::Null;
        message["data_base64"] = "eyJ0byI6IkIifQ==".into();
    });
    assert_eq!(encoded.expect("an event").payload, br#"{"to":"B"}"#);
}

#[test]
fn what_is_no_event_has_a_reason() {
    let long = "x".repeat(256);
    for (name, value, reason) in [
        ("specversion", json!("0.3"), "CloudEvents 0.3 instead of 1.0"),
        ("id", json!(""), "id is not a text of 1 to 255 bytes"),
        ("id", json!(41), "not a CloudEvent in JSON"),
        ("id", json!("a\0b"), "id is not a text of 1 to 255 bytes without NUL"),
        ("source", json!(long), "source is not a text"),
        ("subject", json!(long), "subject is not a text"),
        ("type", json!("erp.other"), "the routing key erp.moved is not the type erp.other"),
        ("time", json!("yesterday"), "time \"yesterday\" is not RFC 3339"),
        ("time", json!("1969-12-31T23:59:59Z"), "is not RFC 3339 from 1970 on"),
        ("datacontenttype", json!("text/xml"), "the data is text/xml, not JSON"),
        ("data", json!("y".repeat(256 * 1024)), "262146 bytes of data, more than 262144"),
    ] {
        let outcome = foreign(|message| message[name] = value);
        assert!(outcome.as_ref().is_err_and(|told| told.contains(reason)), "{name}: {outcome:?}");
    }
    let binary = foreign(|message| {
        message["data"] = Value::Null;
        message["data_base64"] = "AAECAw==".into();
    });
    assert!(binary.as_ref().is_err_and(|told| told.contains("the data is not JSON")), "{binary:?}");
    for body in [&b""[..], b"\xff\xfe", b"[]", b"{}", b"{\"specversion\":\"1.0\"", b"null"] {
        assert!(read(body, Some("erp.moved")).is_err(), "{body:?}");
    }
}

#[test]
fn a_type_without_a_name_before_its_dot_is_refused() {
    let message = json!({ "specversion": "1.0", "id": "1", "source": "x", "type": "Moved" }).to_string();
    assert!(read(message.as_bytes(), None).is_err());
}

#[test]
fn times_are_read_at_any_offset() {
    let noon = Some(1_769_860_800_000_000);
    for text in
        ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00", "2026-01-31T13:30:00+01:30", "2026-01-31T07:00:00-05:00"]
    {
        assert_eq!(parse_time(text), noon, "{text}");
    }
    for text in ["", "Z", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00:00+1:00", "2026-01-31T12:00:00é1:00"]
    {
        assert_eq!(parse_time(text), None, "{text}");
    }
    assert_eq!(format_time(i64::MAX), "9999-12-31T23:59:59.999999Z");
    assert_eq!(format_time(-1), "1970-01-01T00:00:00.000000Z");
}

#[test]
fn a_malformed_message_is_kept_as_it_came() {
    let subscriber: ServiceName = "listener".parse().expect("a name");
    let kept = malformed(&subscriber, "erp.moved", b"nonsense");
    assert_eq!((kept.source.as_str(), kept.topic.as_str()), ("erp", "erp.moved"));
    assert_eq!(kept.id, malformed(&subscriber, "erp.moved", b"nonsense").id);
    assert_ne!(kept.id, malformed(&subscriber, "erp.moved", b"other").id);
    assert_eq!(write(&kept), b"nonsense");
    assert_eq!(malformed(&subscriber, "", b"").source, subscriber);
}
