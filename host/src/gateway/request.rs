//! Builds what a service sees of a request: only what its route asks for, and all of it bounded.

use std::borrow::Cow;

use axum::http::request::Parts;

use super::Peer;
use super::error::ApiError;
use crate::bindings::exports::provesi::platform::service::{Caller, Request};
use crate::names::RequestId;
use crate::registry::Route;

/// The pseudo header by which a service asks for the client's address; what the client sends under it is dropped.
const REAL_IP: &str = "x-real-ip";

/// Query parameters of one request.
const MAX_QUERY_PARAMS: usize = 100;

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
        request_id: id.as_str().to_owned(),
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
