//! The REST contract of each service, through HTTP, on SQLite and on PostgreSQL.

mod auth;
mod copies;
mod edge;
mod fields;
mod inventory;
mod log_in;
mod orders;
mod products;
mod recovery;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::Answer;

const NO_CREDENTIALS: &str = "Las credenciales de autenticación no se proveyeron.";

/// Returns the keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Says whether a value is a time as the contract writes it: microseconds, at −05:00.
fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 32 && text.as_bytes()[19] == b'.' && text.ends_with("-05:00"))
}

/// Returns the ids of a list.
fn ids(list: &Value) -> Vec<i64> {
    list.as_array().expect("a bare array").iter().map(|item| item["id"].as_i64().expect("an id")).collect()
}

/// Checks that an object has exactly these keys.
fn assert_keys(object: &Value, keys: &[&str]) {
    let found: BTreeSet<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(found, keys.iter().copied().collect(), "{object}");
}

/// Checks that an answer is 400 and names exactly these fields, each with texts.
fn assert_fields(answer: &Answer, fields: &[&str]) {
    assert_eq!(answer.status, 400, "{:?} for {fields:?}", answer.body);
    assert_keys(&answer.body, fields);
    for (field, messages) in answer.body.as_object().expect("an object") {
        let messages = messages.as_array().expect("an array");
        assert!(!messages.is_empty() && messages.iter().all(Value::is_string), "{field}: {messages:?}");
    }
}

/// Checks that an answer asks for a token.
fn assert_unauthenticated(answer: &Answer) {
    assert_eq!((answer.status, &answer.body), (401, &json!({ "detail": NO_CREDENTIALS })));
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

/// Checks that an answer is 403 and says so.
fn assert_forbidden(answer: &Answer) {
    assert_eq!(answer.status, 403, "{:?}", answer.body);
    assert_keys(&answer.body, &["detail"]);
}
