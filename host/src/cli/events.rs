//! `events`: follows what happens in the host, one line per event; or does something with dead letters.
//!
//! The stream is of server-sent events (WHATWG HTML §9.2); of each only its `data` is used, which is one JSON object.

use reqwest::Response;

use super::answers::{Event, Lagged};
use super::client::Client;
use super::failure::Failure;
use super::host::Host;
use super::letters::Letters;
use super::{screen, show};

/// Longest line of the stream that is kept; the host's are a few hundred bytes.
const MAX_LINE: usize = 1 << 20;

/// Which events are followed, or what is done with those that a service could not handle.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Events {
    #[command(subcommand)]
    letters: Option<Letters>,
    #[command(flatten)]
    host: Host,
}

impl Events {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        match &self.letters {
            Some(letters) => letters.perform(client).await,
            None => self.follow(client).await,
        }
    }

    pub(super) fn host(&self) -> &Host {
        self.letters.as_ref().map_or(&self.host, Letters::host)
    }

    async fn follow(&self, client: &Client) -> Result<(), Failure> {
        let mut stream = client.events().await?;
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                signal = &mut stop => return signal.map_err(Failure::setup),
                data = stream.next() => match data.map_err(|error| client.broken(&error))? {
                    Some(data) => self.show(&data)?,
                    None => return Err(ended(client)),
                },
            }
        }
    }

    fn show(&self, data: &str) -> Result<(), Failure> {
        if self.host.json { screen::raw(data) } else { screen::text(&line(data)) }
    }
}

/// One line for one event.
fn line(data: &str) -> String {
    match (serde_json::from_str::<Event>(data), serde_json::from_str::<Lagged>(data)) {
        (Ok(event), _) => show::event(&event),
        (Err(_), Ok(Lagged { lost })) => format!("{lost} events were missed: they came faster than they were read"),
        // An event that a later host tells in another way is better seen raw than not at all.
        (Err(_), Err(_)) => data.replace('\n', " "),
    }
}

fn ended(client: &Client) -> Failure {
    Failure::Broken { admin: client.admin().to_owned(), cause: "the host ended the stream".to_owned() }
}

/// The events that the host sends, as they come.
pub(super) struct EventStream {
    response: Response,
    frames: Frames,
}

impl EventStream {
    /// Starts to read the body of an answer.
    pub(super) fn new(response: Response) -> Self {
        Self { response, frames: Frames::default() }
    }

    /// Waits for the data of the next event; `None` when the host has ended the stream.
    ///
    /// # Cancel safety
    /// Nothing is lost: bytes are kept as soon as they are there.
    pub(super) async fn next(&mut self) -> Result<Option<String>, reqwest::Error> {
        loop {
            if let Some(data) = self.frames.next() {
                return Ok(Some(data));
            }
            match self.response.chunk().await? {
                Some(bytes) => self.frames.push(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Bytes of the stream that are not yet an event.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    data: String,
}

impl Frames {
    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > MAX_LINE {
            self.bytes.clear();
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<String> {
        while let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            } else if line.is_empty() && !self.data.is_empty() {
                return Some(std::mem::take(&mut self.data));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in pieces {
            frames.push(piece);
            found.extend(std::iter::from_fn(|| frames.next()));
        }
        found
    }

    #[test]
    fn events_are_found_however_the_bytes_are_cut() {
        let stream = "id: 1\nevent: fault\ndata: {\"ñ\":1}\n\n: keep-alive\n\ndata:{}\r\n\r\n".as_bytes();
        for size in 1..stream.len() {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(read(&pieces), ["{\"ñ\":1}", "{}"], "pieces of {size}");
        }
    }

    #[test]
    fn whatever_comes_is_one_line() {
        let event = r#"{"id": 1, "at": "now", "type": "rollback", "service": "s", "revision": 6}"#;
        assert_eq!(line(event), "now  rollback         s@6");
        assert!(line(r#"{"lost": 5}"#).starts_with("5 events were missed"));
        assert_eq!(line("[1,\n2]"), "[1, 2]");
    }

    #[test]
    fn an_event_that_has_not_ended_is_not_told_yet() {
        assert!(read(&[b"data: {}\n"]).is_empty());
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut frames = Frames::default();
        let noise = vec![b'x'; MAX_LINE / 2 + 1];
        frames.push(&noise);
        frames.push(&noise);
        assert!(frames.bytes.len() <= MAX_LINE);
    }
}
