//! One connection that is kept, with one request on it at a time.
//!
//! It does little more than to write and read, on the thread that asks: it takes its time from the cores of the host.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for a connection or an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What is asked first, which runs no service.
const HEALTH: &str = "/health/";

/// A connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    host: String,
}

/// An answer, whose body was read and forgotten.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Whether it has a `Retry-After`.
    pub(crate) says_when: bool,
}

impl Client {
    /// Opens a connection and uses it once, so that it is set up on both of its sides.
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = timeout(ANSWER, TcpStream::connect(address)).await.context("no connection in time")??;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut client = Self { sender, connection: Box::pin(connection), host: address.to_string() };
        let answer = client.get(HEALTH).await?;
        ensure!(answer.status == StatusCode::OK, "{HEALTH} was answered with {}", answer.status);
        Ok(client)
    }

    /// Sends a GET and reads the answer.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let request = Request::get(path).header(HOST, self.host.as_str()).body(Full::default())?;
        self.send(path, request).await
    }

    /// Posts JSON, with a token unless it is empty, and reads the answer.
    pub(crate) async fn post(&mut self, path: &str, token: &str, json: String) -> anyhow::Result<Answer> {
        let mut request = Request::post(path).header(HOST, self.host.as_str()).header(CONTENT_TYPE, "application/json");
        if !token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(path, request.body(Full::from(json))?).await
    }

    async fn send(&mut self, path: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let answer = timeout(ANSWER, self.exchange(path, request)).await;
        answer.with_context(|| format!("{path} was not answered within {ANSWER:?}"))?
    }

    async fn exchange(&mut self, path: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let Self { sender, connection, .. } = self;
        let exchange = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let (status, says_when) = (response.status(), response.headers().contains_key(RETRY_AFTER));
            response.into_body().collect().await?;
            Ok::<Answer, hyper::Error>(Answer { status, says_when })
        };
        // The connection moves only while somebody waits for an answer on it.
        tokio::select! {
            biased;
            ended = connection => match ended {
                Ok(()) => bail!("the host closed a connection before it answered {path}"),
                Err(error) => Err(error.into()),
            },
            answer = exchange => answer.map_err(Into::into),
        }
    }
}
