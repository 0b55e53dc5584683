//! How the process is told to stop.
//!
//! One token reaches everything that runs; who spawned a task waits for its end.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled at the first SIGTERM or Ctrl-C.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    #[expect(clippy::disallowed_methods, reason = "lives as long as the process and owns nothing")]
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        stop.cancel();
        // A second Ctrl-C is somebody who does not want to wait for the drain.
        interrupt.recv().await;
        tracing::warn!("stopped without draining");
        std::process::exit(130);
    });
    Ok(token)
}
