//! What of this room takes a client's bytes, for the room `fuzzing`.

use axum::http::Request;
use axum::http::request::Parts;

use crate::bindings::exports::provesi::platform::service as wit;
use crate::identity::Identity;
use crate::names::RequestId;
use crate::registry::{Access, Method, Route};

/// Builds what `handle` gets of a request whose path was matched; none when it is refused.
pub(crate) fn arguments(head: &Parts, path_params: Vec<(String, String)>) -> Option<wit::Request> {
    let route = Route {
        operation: "look".to_owned(),
        method: Method::Get,
        pattern: String::new(),
        access: Access::Public,
        open_in_legacy: false,
        headers: vec!["x-trace".to_owned()],
        takes_body: false,
    };
    super::request::build(&route, head, path_params, None, &RequestId::generate(), Vec::new()).ok()
}

/// Finds out who asks, by the header or the cookie.
pub(crate) fn caller(request: &Request<()>, identity: &Identity) -> Option<String> {
    super::access::caller_key(request, identity)
}
