//! A private RabbitMQ per test, from the installed server, on free ports, with a name service of its own.
//!
//! Nothing of it touches another RabbitMQ of the machine. Where none is installed, the test is skipped and says so in
//! `target/skipped-tests`, which `make test` reports.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection, ConnectionProperties};

use super::postgres::{free_port, skipped};
use super::ward::Ward;

/// The program itself: the one in the path insists on a user and on folders of the system.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Longest start, on a busy machine too.
const START: Duration = Duration::from_secs(120);

/// Longest stop in order.
const STOP: Duration = Duration::from_secs(60);

/// Longest wait for one connection.
const ANSWER: Duration = Duration::from_secs(10);

/// Pause between two looks at the server.
const LOOK: Duration = Duration::from_millis(200);

/// A running server, gone when dropped, and with this process at the latest.
pub(crate) struct Rabbit {
    server: Option<Child>,
    /// Erlang's name service, which would else be started in the background and stay.
    names: Child,
    names_port: u16,
    port: u16,
    /// Where the server's tools reach it.
    distribution_port: u16,
    ward: Ward,
    folder: tempfile::TempDir,
}

impl Rabbit {
    /// Starts a server; none where there is nothing to start.
    pub(crate) async fn start() -> Option<Self> {
        if !Path::new(SERVER).is_file() {
            skipped("no RabbitMQ server is installed");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("provesi-rabbit-").tempdir().expect("a folder");
        let mut ward = Ward::of(folder.path());
        let names_port = free_port();
        let mut names = Command::new("epmd");
        names.args(["-address", "127.0.0.1", "-port", &names_port.to_string()]);
        names.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let names = names.spawn().expect("Erlang is installed with RabbitMQ");
        ward.runs(&[names.id()]);
        let (port, distribution_port) = (free_port(), free_port());
        let settings = format!("listeners.tcp.default = 127.0.0.1:{port}\nlog.file.level = warning\n");
        std::fs::write(folder.path().join("rabbitmq.conf"), settings).expect("the configuration is written");
        std::fs::write(folder.path().join("plugins"), "[].\n").expect("the list of plugins is written");
        let mut rabbit = Self { server: None, names, names_port, port, distribution_port, ward, folder };
        rabbit.start_again().await;
        Some(rabbit)
    }

    /// Returns the URL that a host is configured with.
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// Stops it in order; its data stays.
    pub(crate) async fn stop(&mut self) {
        let mut server = self.server.take().expect("it runs");
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &server.id().to_string()]).status();
        assert!(sent.expect("a shell").success(), "SIGTERM could not be sent");
        let until = Instant::now() + STOP;
        while server.try_wait().expect("a child can be asked").is_none() {
            if Instant::now() > until {
                let _ = server.kill();
                let _ = server.wait();
                panic!("RabbitMQ does not stop within {STOP:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
        self.ward.runs(&[self.names.id()]);
    }

    /// Starts it on the data that is there, and waits until it answers.
    pub(crate) async fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs still");
        let server = self.command().spawn().expect("the server can be started");
        self.ward.runs(&[server.id(), self.names.id()]);
        self.server = Some(server);
        let until = Instant::now() + START;
        while !self.answers().await {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().expect("a child can be asked"));
            assert!(ended.is_none(), "RabbitMQ ended at its start: {}", self.output());
            assert!(Instant::now() < until, "RabbitMQ does not answer within {START:?}: {}", self.output());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Connects as another system does, with confirmations of what is published.
    pub(crate) async fn connect(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await.expect("it answers");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirmations");
        (connection, channel)
    }

    async fn answers(&self) -> bool {
        let url = self.url();
        let connecting = Connection::connect(&url, ConnectionProperties::default());
        tokio::time::timeout(ANSWER, connecting).await.is_ok_and(|connected| connected.is_ok())
    }

    fn command(&self) -> Command {
        let folder = self.folder.path();
        let output = File::create(folder.join("output")).expect("a log");
        let errors = output.try_clone().expect("a second handle of the log");
        let mut command = Command::new(SERVER);
        command
            // Where its cookie lies.
            .env("HOME", folder)
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("RABBITMQ_NODENAME", format!("provesi-{}@localhost", self.port))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            // Then the script becomes the server, which can be ended by its id; it reads no input all the same.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-noinput +S 1:1");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        command
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        for child in self.server.iter_mut().chain([&mut self.names]) {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.ward.runs(&[]);
    }
}
