//! A connection on which bytes are sent as they are, and all that comes back is kept.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::TestApp;

/// Longest wait for anything that a bound of the host brings about; the bounds of these tests are 300 ms.
const WAIT: Duration = Duration::from_secs(20);

/// Time between two pieces of what is sent slowly.
const PACE: Duration = Duration::from_millis(20);

pub(super) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(super) async fn open(app: &TestApp) -> Self {
        Self::connect(app.base().strip_prefix("http://").expect("plain HTTP")).await
    }

    pub(super) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self { stream, read: Vec::new() }
    }

    /// Connects with as little room for what comes back as the system allows.
    pub(super) async fn narrow(address: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let stream = socket.connect(address.parse().expect("an address")).await.expect("a connection");
        Self { stream, read: Vec::new() }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The host may have answered and closed before it has read everything.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads an answer with its body, which has a length.
    pub(super) async fn answer(&mut self) -> String {
        loop {
            if let Some(end) = self.end_of_answer() {
                let answer: Vec<u8> = self.read.drain(..end).collect();
                return String::from_utf8_lossy(&answer).into_owned();
            }
            assert!(self.more().await, "closed before the answer: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// Says whether nothing has come for a short while.
    pub(super) async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(300), self.stream.readable()).await.is_err()
    }

    /// Reads until the host closes the connection.
    pub(super) async fn rest(mut self) -> Vec<u8> {
        while self.more().await {}
        self.read
    }

    /// The same, as text.
    pub(super) async fn rest_as_text(self) -> String {
        String::from_utf8_lossy(&self.rest().await).into_owned()
    }

    /// The same, while the bytes are sent again and again, slowly.
    pub(super) async fn rest_while_sending(self, bytes: &[u8]) -> String {
        let Self { stream, mut read } = self;
        let (mut from, mut to) = stream.into_split();
        let sending = async {
            while to.write_all(bytes).await.is_ok() {
                tokio::time::sleep(PACE).await;
            }
            // Closed: the reader will see it, too.
            std::future::pending::<()>().await;
        };
        let reading = async { while from.read_buf(&mut read).await.is_ok_and(|length| length > 0) {} };
        let closed = async {
            tokio::select! {
                () = reading => {}
                () = sending => {}
            }
        };
        tokio::time::timeout(WAIT, closed).await.expect("the host closes the connection");
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Reads something; false when the connection is closed.
    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(WAIT, self.stream.read_buf(&mut self.read)).await;
        read.expect("the host answers or closes the connection").is_ok_and(|length| length > 0)
    }

    fn end_of_answer(&self) -> Option<usize> {
        let head = self.read.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&self.read[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
        (self.read.len() >= head + length).then_some(head + length)
    }
}
