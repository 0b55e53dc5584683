//! Speaks to the operators' listener of one start of a host.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{Answer, Process, send};

/// An operator with the token.
pub(super) struct Operator {
    admin: String,
    token: String,
    http: reqwest::Client,
}

impl Operator {
    pub(super) fn of(process: &Process) -> Self {
        let (admin, token) = (process.admin().to_owned(), process.admin_token());
        Self { admin, token, http: reqwest::Client::new() }
    }

    /// Starts a request.
    pub(super) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().expect("a method");
        self.http.request(method, format!("{}/v1/services/{path}", self.admin)).bearer_auth(&self.token)
    }

    /// Starts the upload of a component.
    pub(super) fn upload(&self, path: &str, component: Vec<u8>) -> RequestBuilder {
        self.request("POST", path).header("content-type", "application/wasm").body(component)
    }

    /// Reads what is there, which has to be answered.
    pub(super) async fn read(&self, path: &str) -> Value {
        answered(send(self.request("GET", path)).await, 200)
    }

    /// Deploys a component, which has to be accepted; returns its revision.
    pub(super) async fn deploy(&self, path: &str, component: Vec<u8>, patience: Duration) -> u64 {
        let response = self.upload(path, component).timeout(patience).send().await.expect("an answer to a deploy");
        let status = response.status().as_u16();
        let bytes = response.bytes().await.expect("a body");
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(status, 201, "{path}: {body}");
        body["revision"].as_u64().expect("a number")
    }

    /// Gives all of a service's traffic to one revision.
    pub(super) async fn turn(&self, service: &str, revision: u64) {
        let body = json!({ "weights": { revision.to_string(): 100 } });
        answered(send(self.request("PUT", &format!("{service}/traffic")).json(&body)).await, 200);
    }

    /// Returns the one revision that has a service's traffic.
    pub(super) async fn live(&self, service: &str) -> u64 {
        let status = self.read(service).await;
        assert_eq!(status["traffic"][0]["weight"], 100, "{status}");
        status["traffic"][0]["revision"].as_u64().expect("a number")
    }

    /// Returns `host:port` and the token, for a client that connects by itself.
    pub(super) fn door(&self) -> (&str, &str) {
        (self.admin.strip_prefix("http://").expect("plain HTTP"), &self.token)
    }
}

fn answered(answer: Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    answer.body
}
