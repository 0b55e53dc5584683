//! An operator of a host: requests with the token, and how long their answers took.

use std::path::Path;
use std::time::Instant;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

/// Who has the token of one host.
pub(crate) struct Operator {
    client: Client,
    /// `http://host:port`.
    admin: String,
    token: String,
}

/// An answer, read whole.
pub(crate) struct Answer {
    /// From the first byte sent to the last one read.
    pub(crate) took_ms: f64,
    pub(crate) status: u16,
    /// The body; `Null` when it is empty.
    pub(crate) body: Value,
}

impl Operator {
    /// Reads the token from a host's data.
    pub(crate) fn new(client: Client, admin: String, data: &Path) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(data.join("admin-token"))?.trim().to_owned();
        Ok(Self { client, admin, token })
    }

    /// Starts a request, with the token.
    pub(crate) fn operate(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin)).bearer_auth(&self.token)
    }
}

/// Sends a request and reads the answer.
pub(crate) async fn ask(request: RequestBuilder) -> anyhow::Result<Answer> {
    let began = Instant::now();
    let response = request.send().await?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await?;
    let took_ms = began.elapsed().as_secs_f64() * 1000.0;
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? };
    Ok(Answer { took_ms, status, body })
}
