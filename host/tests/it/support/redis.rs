//! A private Redis server per test, from the installed binary, on a free port, without touching any other.
//!
//! What it was told survives kill -9. Where none is installed, the test is skipped and says so, as without PostgreSQL.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::postgres::{free_port, skipped};
use super::ward::Ward;

/// Longest start, on a busy machine too.
const START: Duration = Duration::from_secs(30);

/// A server, gone when dropped, and with this process at the latest.
pub(crate) struct Redis {
    binary: PathBuf,
    ward: Ward,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// Starts a server; none where there is nothing to start.
    pub(crate) async fn start() -> Option<Self> {
        let places = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"];
        let Some(binary) = places.iter().map(PathBuf::from).find(|place| place.is_file()) else {
            skipped("no Redis server is installed");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("provesi-redis-").tempdir().expect("a folder");
        let ward = Ward::of(folder.path());
        let mut redis = Self { binary, ward, folder, port: free_port(), child: None };
        redis.start_again().await;
        Some(redis)
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server still runs");
        let mut command = Command::new(&self.binary);
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.arg("--dir").arg(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the binary can be started");
        self.ward.runs(&[child.id()]);
        self.child = Some(child);
        let until = Instant::now() + START;
        while !answers(self.port) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child can be asked"));
            assert_eq!(ended, None, "the server ended at its start");
            assert!(Instant::now() < until, "the server does not answer within {START:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it was started");
        child.kill().expect("a child can be killed");
        child.wait().expect("a killed child ends");
        self.ward.runs(&[]);
    }

    /// Returns its `cache.url`.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            self.ward.runs(&[]);
        }
    }
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port)))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(answer == *b"+PONG\r\n")
    };
    ask().unwrap_or(false)
}
