//! Talks HTTP with the admin listener; every request has a bound.
//!
//! The token goes to the address that was named and nowhere else: no proxy, no redirect.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, RequestBuilder, Response, redirect};
use serde_json::Value;

use super::events::EventStream;
use super::failure::{Failure, Refused};
use super::host::Access;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for the answer to all but an upload.
const ANSWER: Duration = Duration::from_secs(30);
/// Longest wait for an upload and all steps of a deploy after it.
const UPLOAD: Duration = Duration::from_secs(120);

/// A client of one host.
pub(super) struct Client {
    http: reqwest::Client,
    access: Access,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub(super) fn new(access: Access) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self { http, access })
    }

    /// Returns the address of the host.
    pub(super) fn admin(&self) -> &str {
        &self.access.admin
    }

    /// Reads.
    ///
    /// # Errors
    /// When the host refuses, cannot be reached or does not answer in time; so for all below.
    pub(super) async fn get(&self, path: &str) -> Result<String, Failure> {
        self.answer(self.request(Method::GET, path), ANSWER).await
    }

    /// Changes something.
    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> Result<String, Failure> {
        self.answer(self.request(method, path).json(body), ANSWER).await
    }

    /// Removes something.
    pub(super) async fn delete(&self, path: &str) -> Result<String, Failure> {
        self.answer(self.request(Method::DELETE, path), ANSWER).await
    }

    /// Sends a component of `length` bytes.
    pub(super) async fn upload(&self, path: &str, length: usize, body: Body) -> Result<String, Failure> {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/wasm")
            // A stream has no length of its own; with it, a component that is too large is refused at once.
            .header(CONTENT_LENGTH, length)
            .body(body);
        self.answer(request, UPLOAD).await
    }

    /// Opens the stream of events; only the opening has a bound.
    pub(super) async fn events(&self) -> Result<EventStream, Failure> {
        tokio::time::timeout(ANSWER, self.open_events())
            .await
            .unwrap_or_else(|_| Err(Failure::Unanswered { admin: self.access.admin.clone(), within: ANSWER }))
    }

    /// Says why there is no answer, or no more of it.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Failure {
        self.failure(error, ANSWER)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let Access { admin, token, by } = &self.access;
        self.http.request(method, format!("{admin}{path}")).bearer_auth(token).header("x-provesi-by", by)
    }

    async fn open_events(&self) -> Result<EventStream, Failure> {
        let request = self.request(Method::GET, "/v1/events").header(ACCEPT, "text/event-stream");
        let response = request.send().await.map_err(|error| self.failure(&error, ANSWER))?;
        if response.status().is_success() {
            Ok(EventStream::new(response))
        } else {
            Err(self.refusal(response, ANSWER).await)
        }
    }

    async fn answer(&self, request: RequestBuilder, within: Duration) -> Result<String, Failure> {
        let response = request.timeout(within).send().await.map_err(|error| self.failure(&error, within))?;
        if response.status().is_success() {
            response.text().await.map_err(|error| self.failure(&error, within))
        } else {
            Err(self.refusal(response, within).await)
        }
    }

    async fn refusal(&self, response: Response, within: Duration) -> Failure {
        let status = response.status().as_u16();
        match response.text().await {
            Ok(body) => Failure::Refused(Box::new(Refused::read(status, body))),
            Err(error) => self.failure(&error, within),
        }
    }

    fn failure(&self, error: &reqwest::Error, within: Duration) -> Failure {
        let admin = self.access.admin.clone();
        if error.is_connect() {
            let cause = if error.is_timeout() { "no connection in time".to_owned() } else { innermost(error) };
            Failure::Unreachable { admin, cause }
        } else if error.is_timeout() {
            Failure::Unanswered { admin, within }
        } else {
            Failure::Broken { admin, cause: innermost(error) }
        }
    }
}

/// The cause of all causes, in the words of the operating system where it is one of them.
fn innermost(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let Some(last) = causes.last() else { return error.to_string() };
    match last.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(kind @ (std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset)) => kind.to_string(),
        _ => last.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_that_does_not_run_is_named_with_what_to_do() {
        // Bound and closed again: a port on which nobody listens.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let admin = format!("http://{}", listener.local_addr().expect("its address"));
        drop(listener);
        let access = Access { admin: admin.clone(), token: "t".to_owned(), by: "ana".to_owned() };
        let client = Client::new(access).expect("a client");
        let failure = client.get("/v1/services").await.expect_err("nobody listens");
        let expected = format!("cannot reach the host at {admin}: connection refused (is `provesi serve` running?)");
        assert_eq!(failure.to_string(), expected);
    }
}
