//! `deploy` and `check`: send a component, show its way through the host, then what came of it.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::stream;
use indicatif::ProgressBar;
use reqwest::Body;

use super::answers::Event;
use super::client::Client;
use super::events::EventStream;
use super::failure::Failure;
use super::host::Host;
use super::progress::Progress;
use super::{screen, show};
use crate::names::{ComponentDigest, ServiceName};

/// Bytes that are sent, and counted, at once.
const PIECE: usize = 64 << 10;

/// A component that becomes a revision.
#[derive(clap::Args)]
pub struct Deploy {
    /// Name of the service.
    service: ServiceName,
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Gives the revision only this part of the traffic, 1 to 99.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    canary: Option<u8>,
    /// Keeps the revision without giving it traffic.
    #[arg(long, conflicts_with = "canary")]
    no_activate: bool,
    #[command(flatten)]
    pub(super) host: Host,
}

/// A component that is only looked at.
#[derive(clap::Args)]
pub struct Check {
    /// Name of the service.
    service: ServiceName,
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    #[command(flatten)]
    pub(super) host: Host,
}

impl Deploy {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let query = match self.canary {
            Some(percent) => format!("?canary={percent}"),
            None if self.no_activate => "?activate=false".to_owned(),
            None => String::new(),
        };
        let path = format!("/v1/services/{}/revisions{query}", self.service);
        let answer = upload(client, &path, &self.file, self.host.json).await?;
        screen::show(&answer, self.host.json, |deployed| show::deployed(deployed, screen::WIDTH))
    }
}

impl Check {
    pub(super) async fn perform(&self, client: &Client) -> Result<(), Failure> {
        let path = format!("/v1/services/{}/check", self.service);
        let answer = upload(client, &path, &self.file, self.host.json).await?;
        screen::show(&answer, self.host.json, |checked| show::checked(checked, screen::WIDTH))
    }
}

/// Sends a component and shows the steps that the host takes with it, until it answers.
async fn upload(client: &Client, path: &str, file: &Path, quiet: bool) -> Result<String, Failure> {
    let component = tokio::fs::read(file).await;
    let component: Bytes = component.map_err(|source| Failure::File { path: file.to_owned(), source })?.into();
    let digest = ComponentDigest::of(&component).to_string();
    let mut progress = Progress::start(component.len() as u64, quiet);
    // Before the upload, or its first steps would be missed. Without the stream there is less to see, no more.
    let mut steps = if progress.visible() { client.events().await.ok() } else { None };
    let sending = client.upload(path, component.len(), counted(component, progress.bar()));
    tokio::pin!(sending);
    let answer = loop {
        tokio::select! {
            answer = &mut sending => break answer,
            step = next_step(&mut steps, &digest) => progress.step(step),
        }
    };
    progress.finish(answer.is_ok());
    answer
}

/// Waits for the next step that the host takes with a component; forever, if there is nothing to hear it from.
///
/// # Cancel safety
/// What was heard of the stream stays in it.
async fn next_step(steps: &mut Option<EventStream>, digest: &str) -> String {
    while let Some(stream) = steps.as_mut() {
        match stream.next().await {
            Ok(Some(data)) => {
                if let Some(step) = step_of(&data, digest) {
                    return step;
                }
            }
            Ok(None) | Err(_) => *steps = None,
        }
    }
    std::future::pending().await
}

fn step_of(data: &str, digest: &str) -> Option<String> {
    let event: Event = serde_json::from_str(data).ok()?;
    let ours = event.kind == "deploy.step" && event.digest.as_deref() == Some(digest);
    event.detail.filter(|_| ours)
}

/// Makes a body that moves the bar as it is sent.
fn counted(component: Bytes, bar: ProgressBar) -> Body {
    let pieces = (0..component.len()).step_by(PIECE).map(move |start| {
        let piece = component.slice(start..component.len().min(start + PIECE));
        bar.inc(piece.len() as u64);
        Ok::<_, std::convert::Infallible>(piece)
    });
    Body::wrap_stream(stream::iter(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_steps_of_the_same_component_are_shown() {
        let event = |kind: &str, digest: &str| {
            let at = "2026-01-01T00:00:00Z";
            serde_json::json!({"id": 1, "at": at, "type": kind, "service": "s", "digest": digest, "detail": "link"})
                .to_string()
        };
        assert_eq!(step_of(&event("deploy.step", "sha256:a"), "sha256:a").as_deref(), Some("link"));
        assert_eq!(step_of(&event("deploy.step", "sha256:b"), "sha256:a"), None);
        assert_eq!(step_of(&event("fault", "sha256:a"), "sha256:a"), None);
        assert_eq!(step_of("no JSON", "sha256:a"), None);
    }

    #[tokio::test]
    async fn a_component_is_sent_whole_and_counted() {
        use http_body_util::BodyExt as _;

        let component = Bytes::from(vec![7; 2 * PIECE + 5]);
        let bar = ProgressBar::hidden();
        let sent = counted(component.clone(), bar.clone()).collect().await.expect("a body that cannot fail");
        assert_eq!(sent.to_bytes(), component);
        assert_eq!(bar.position(), component.len() as u64);
    }
}
