//! Builds what a service sees of a request: only what its route asks for, and all of it bounded.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Peer;
use super::error::ApiError;
use crate::bindings::exports::provesi::platform::service::{Caller, Request};
use crate::names::RequestId;
use crate::registry::Route;

/// The pseudo header by which a service asks for the client's address; what the client sends under it is dropped.
const REAL_IP: &str = "x-real-ip";

/// Query parameters of one request.
const MAX_QUERY_PARAMS: usize = 100;

/// Reads a body of a bounded size in a bounded time; anything but JSON is refused.
pub(super) async fn read_body(
    head: &Parts,
    body: Body,
    route: &Route,
    max_body: usize,
    timeout: Duration,
) -> Result<Vec<u8>, ApiError> {
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max_body as u64) {
        return Err(ApiError::PayloadTooLarge);
    }
    if announced == Some(0) || http_body::Body::is_end_stream(&body) {
        return Ok(Vec::new());
    }
    let collected = tokio::time::timeout(timeout, Limited::new(body, max_body).collect()).await;
    let bytes = match collected {
        Err(_) => return Err(ApiError::BodyTimeout),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(ApiError::PayloadTooLarge),
        Ok(Err(_)) => return Err(ApiError::BodyBroken),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    if bytes.is_empty() || !route.takes_body {
        return Ok(Vec::new());
    }
    if !is_json(head) {
        return Err(ApiError::UnsupportedMediaType);
    }
    Ok(bytes.into())
}

fn is_json(head: &Parts) -> bool {
    let value = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Builds the request for a route.
pub(super) fn build(
    route: &Route,
    head: &Parts,
    path_params: Vec<(String, String)>,
    caller: Option<Caller>,
    id: &RequestId,
    body: Vec<u8>,
) -> Result<Request, ApiError> {
    Ok(Request {
        operation: route.operation.clone(),
        path_params,
        query: query(head.uri.query().unwrap_or_default())?,
        headers: headers(route, head),
        body,
        caller,
        request_id: id.to_string(),
    })
}

fn headers(route: &Route, head: &Parts) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(route.headers.len());
    for name in &route.headers {
        if name == REAL_IP {
            let peer = head.extensions.get::<Peer>();
            headers.extend(peer.map(|Peer(address)| (name.clone(), address.ip().to_canonical().to_string())));
            continue;
        }
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        headers.extend(value.map(|value| (name.clone(), value.to_owned())));
    }
    headers
}

fn query(raw: &str) -> Result<Vec<(String, String)>, ApiError> {
    let mut params = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        if params.len() == MAX_QUERY_PARAMS {
            return Err(ApiError::BadQuery);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        params.push((decode(name)?, decode(value)?));
    }
    Ok(params)
}

/// Decodes one name or value of `application/x-www-form-urlencoded`.
fn decode(raw: &str) -> Result<String, ApiError> {
    let spaced = if raw.contains('+') { Cow::Owned(raw.replace('+', " ")) } else { Cow::Borrowed(raw) };
    let text = percent_encoding::percent_decode_str(&spaced).decode_utf8().map_err(|_| ApiError::BadQuery)?;
    if text.contains('\0') { Err(ApiError::BadQuery) } else { Ok(text.into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_in_order() {
        let found = query("a=1&b=c%20d+e&&a=%C3%B1&flag").expect("valid");
        let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("a", "1"), ("b", "c d e"), ("a", "ñ"), ("flag", "")]);
        for bad in ["a=%FF", "a=%00", "%C3=1", &"a=1&".repeat(101)] {
            assert!(query(bad).is_err(), "{bad}");
        }
    }
}
