//! What goes back to the client.

use serde::Serialize;

use crate::json;

/// A response.
#[derive(Debug)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// Headers; a body is JSON unless `content-type` says otherwise.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Makes a response with a JSON body.
    ///
    /// # Panics
    /// When the value is no JSON: a map with keys that are no text.
    pub fn json<T: Serialize + ?Sized>(status: u16, body: &T) -> Self {
        let body = json::to_vec(body).expect("a response has only keys that are text");
        Self { status, headers: Vec::new(), body }
    }

    /// Makes a response with a body that is JSON already.
    pub fn raw_json(status: u16, body: String) -> Self {
        Self { status, headers: Vec::new(), body: body.into_bytes() }
    }

    /// 200.
    pub fn ok<T: Serialize + ?Sized>(body: &T) -> Self {
        Self::json(200, body)
    }

    /// 201.
    pub fn created<T: Serialize + ?Sized>(body: &T) -> Self {
        Self::json(201, body)
    }

    /// 204, without a body.
    pub fn no_content() -> Self {
        Self { status: 204, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}
