//! One request, as a handler sees it.

use crate::bindings::exports::provesi::platform::service as wit;
use crate::input::Body;
use crate::{Error, Result};

/// One request.
pub struct Request(wit::Request);

/// The person behind the request's token.
pub use wit::Caller;

impl Request {
    /// Wraps what the host sent.
    pub fn new(request: wit::Request) -> Self {
        Self(request)
    }

    /// Returns the operation of the route.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// Returns a path parameter, decoded.
    ///
    /// # Panics
    /// When the route has no such parameter.
    pub fn path(&self, name: &str) -> &str {
        let found = self.0.path_params.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("the route has no parameter {name:?}"))
    }

    /// Returns all path parameters as one text, to compare two requests.
    pub(crate) fn path_values(&self) -> String {
        self.0.path_params.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("/")
    }

    /// Returns a path parameter as an id; none when it is no 64-bit integer, which no row can have.
    pub fn path_id(&self, name: &str) -> Option<i64> {
        self.path(name).parse().ok()
    }

    /// Returns the last value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.0.query.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns all query parameters, in the order of the URL.
    pub fn query_pairs(&self) -> &[(String, String)] {
        &self.0.query
    }

    /// Returns a header that the route named.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as it came.
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Reads the body.
    ///
    /// # Errors
    /// When it is no JSON object, or fields are wrong: all of them are named.
    pub fn json<T: Body>(&self) -> Result<T> {
        T::read(&self.0.body)
    }

    /// Returns who asks, if a valid token came.
    pub fn caller(&self) -> Option<&Caller> {
        self.0.caller.as_ref()
    }

    /// Returns who asks, on a route that is not public.
    ///
    /// # Errors
    /// When the gateway is open for clients of the old system and no token came.
    pub fn signed_in(&self) -> Result<&Caller> {
        self.caller().ok_or_else(|| Error::Rejected {
            status: 401,
            detail: "Las credenciales de autenticación no se proveyeron.".to_owned(),
            retry_after: None,
        })
    }

    /// Returns the id of the request in log lines.
    pub fn id(&self) -> &str {
        &self.0.request_id
    }
}
