//! Other hosts of components, where they are installed: `wasmtime serve` with the same greeting.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use reqwest::Client;

use super::cases::{Case, HELLO, Wanted};
use super::root;
use super::server::Server;

/// One way to run another host.
pub(crate) struct Peer {
    pub(crate) case: Case,
    arguments: &'static [&'static str],
}

/// The ways. A fresh instance here should be no slower than a reused one there.
pub(crate) static PEERS: [Peer; 2] = [
    Peer {
        case: Case {
            label: "GET /api/hello/, against `wasmtime serve` with fresh instances",
            wanted: Wanted { fresh: [f64::NAN; 2], reused: [f64::NAN; 2] },
            ..HELLO
        },
        arguments: &[],
    },
    Peer {
        case: Case {
            label: "GET /api/hello/, against `wasmtime serve` with reused instances",
            wanted: Wanted { fresh: [1.0; 2], reused: [1.0; 2] },
            ..HELLO
        },
        arguments: &["--max-instance-reuse-count", "1000000"],
    },
];

/// Returns the name and version of `wasmtime`; none when it is not installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("wasmtime").arg("--version").output().ok().filter(|output| output.status.success())?;
    Some(format!("{}, as a peer", String::from_utf8_lossy(&output.stdout).trim()))
}

impl Peer {
    /// Starts it.
    pub(crate) async fn start(&self, client: &Client, folder: &Path) -> anyhow::Result<Server> {
        let component = root().join("target/fixtures/fixture_wasihello.wasm");
        ensure!(component.is_file(), "{} is not built", component.display());
        // Taken again at once by the peer, which cannot say which port it was given.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = Command::new("wasmtime");
        command.args(["serve", "-S", "cli", "--addr", &address]).args(self.arguments).arg(component);
        Server::start_at("peer", &address, command, folder, client).await
    }
}
