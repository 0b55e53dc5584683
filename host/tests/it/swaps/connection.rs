//! One HTTP/1.1 connection that is kept. Clients of libraries connect again without a word; this one does not, so
//! that no reset goes unnoticed.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: String,
    /// The bearer's token; empty for none.
    pub(super) token: String,
    /// The `Idempotency-Key`; empty for none.
    pub(super) key: String,
    /// JSON; empty for none.
    pub(super) body: String,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The header `X-Provesi-Revision`.
    pub(super) revision: Option<String>,
    pub(super) body: Vec<u8>,
}

/// A connection to one address.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects to `host:port`.
    pub(super) async fn open(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned() })
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<Reply> {
        let message = self.message(ask);
        self.stream.get_mut().write_all(message.as_bytes()).await?;
        let line = self.line().await?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| broken(&line))?;
        let mut length: Option<usize> = None;
        let mut revision = None;
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").ok_or_else(|| broken(&line))?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok(),
                "x-provesi-revision" => revision = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length.ok_or_else(|| broken("a body without a length"))?];
        self.stream.read_exact(&mut body).await?;
        Ok(Reply { status, revision, body })
    }

    fn message(&self, ask: &Ask) -> String {
        let Ask { method, path, token, key, body } = ask;
        let mut message = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        let mut header = |name: &str, value: &str| {
            if !value.is_empty() {
                write!(message, "{name}: {value}\r\n").expect("a text takes all that is written");
            }
        };
        let (bearer, length) = (format!("Bearer {token}"), body.len().to_string());
        header("Authorization", if token.is_empty() { "" } else { &bearer });
        header("Idempotency-Key", key);
        if !body.is_empty() {
            header("Content-Type", "application/json");
            header("Content-Length", &length);
        }
        message + "\r\n" + body
    }

    /// Reads a line of the head, without its end.
    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}
