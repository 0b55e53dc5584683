//! A private PostgreSQL server per test, from installed binaries, on a free port, without touching any other.
//!
//! PostgreSQL refuses to run as root: then it runs as the user `postgres`. Where it cannot be started, the test is
//! skipped and says so in `target/skipped-tests`, which `make test` reports.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::ward::Ward;

/// A running server, gone when dropped, and with this process at the latest.
pub(crate) struct Postgres {
    /// Before the folder, which goes last.
    _ward: Ward,
    folder: tempfile::TempDir,
    port: u16,
}

/// An initialized cluster that each test copies: initdb takes longer than a start.
static TEMPLATE: OnceLock<Option<Template>> = OnceLock::new();

struct Template {
    binaries: PathBuf,
    folder: tempfile::TempDir,
    /// Nothing that is static is dropped: the folder goes with this process.
    _ward: Ward,
}

impl Postgres {
    /// Starts a server; none where there is nothing to start.
    pub(crate) fn start() -> Option<Self> {
        let Some(template) = TEMPLATE.get_or_init(initialize) else {
            skipped("no PostgreSQL server is installed");
            return None;
        };
        let folder = owned_folder();
        let data = folder.path().join("data");
        let mut stop = server_command(&template.binaries.join("pg_ctl"));
        stop.args(["-w", "-t", "60", "-m", "immediate", "-D"]).arg(&data).arg("stop");
        let ward = Ward::of_server(folder.path(), &stop);
        run(Command::new("cp").arg("-a").arg(template.folder.path().join("data")).arg(&data));
        let port = free_port();
        let options = format!("-p {port} -k {} -c listen_addresses=127.0.0.1", folder.path().display());
        let mut start = server_command(&template.binaries.join("pg_ctl"));
        start.args(["-w", "-t", "60", "-o", &options, "-l"]).arg(folder.path().join("log")).arg("-D").arg(&data);
        run(start.arg("start"));
        Some(Self { _ward: ward, folder, port })
    }

    /// Stops the server at once, as a crash does, and starts it again; others go on meanwhile.
    pub(crate) async fn restart(&self) {
        let Some(Some(template)) = TEMPLATE.get() else { return };
        let mut restart = server_command(&template.binaries.join("pg_ctl"));
        restart.args(["-w", "-t", "60", "-m", "immediate", "-l"]).arg(self.folder.path().join("log"));
        restart.arg("-D").arg(self.folder.path().join("data")).arg("restart");
        restart.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = tokio::process::Command::from(restart).status().await.expect("pg_ctl can be started");
        assert!(status.success(), "the server does not come back: {status}");
    }

    /// Returns the administrator's URL.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres:secret@127.0.0.1:{}", self.port)
    }
}

fn initialize() -> Option<Template> {
    let binaries = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .max()?;
    let folder = owned_folder();
    let ward = Ward::of(folder.path());
    let password = folder.path().join("password");
    std::fs::write(&password, "secret").expect("the password is written");
    let mut initdb = server_command(&binaries.join("initdb"));
    initdb.args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync", "--pwfile"]);
    run(initdb.arg(&password).arg("-D").arg(folder.path().join("data")));
    Some(Template { binaries, folder, _ward: ward })
}

/// Makes a folder that the server's user owns.
fn owned_folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("provesi-pg-").tempdir().expect("a folder");
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(folder.path()));
    }
    folder
}

fn server_command(binary: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(binary);
        command.current_dir("/");
        command
    } else {
        Command::new(binary)
    }
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n"))
}

fn run(command: &mut Command) {
    // A server that inherits a pipe would keep it open.
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

pub(super) fn skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let path = super::root().join("target/skipped-tests");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("the list of skipped tests");
    writeln!(file, "{name}: {reason}").expect("a line is written");
}
