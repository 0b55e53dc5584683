//! Starts that must fail: the reason is named, no port is bound. And the first start of all, which makes the ADMIN.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Backend, Postgres, Process, Setup, Ward, eventually, fixture, root, send, service};
use serde_json::{Value, json};

/// Starts a host that must refuse, and returns the chain of its reasons.
async fn refusal(setup: &Setup<'_>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    refusal_in(folder.path(), setup).await
}

async fn refusal_in(folder: &Path, setup: &Setup<'_>) -> String {
    // The port is taken: a host that came as far as binding it would say that instead.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = taken.local_addr().expect("an address").to_string();
    let mut setup = *setup;
    setup.listen = &listen;
    match setup.host(folder).await {
        Ok(_) => panic!("the host starts: {}", setup.more),
        Err(error) => format!("{error:#}"),
    }
}

/// A host with nothing but these tables of services.
fn only(more: &str) -> Setup<'_> {
    Setup { services: &[], more, ..Setup::default() }
}

fn component(name: &str) -> PathBuf {
    root().join(format!("target/components/{name}.wasm"))
}

fn assert_names(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[tokio::test]
async fn a_missing_component_is_named() {
    let more = service("lost", Path::new("/nowhere/lost.wasm"), "");
    // The four services are fit: one that is not keeps all of them from serving.
    let error = refusal(&Setup { more: &more, ..Setup::default() }).await;
    assert_names(&error, &["service lost cannot serve", "/nowhere/lost.wasm", "No such file"]);
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broken.wasm");
    let whole = std::fs::read(component("products")).expect("`make components` built it");
    let contents: [&[u8]; 5] = [b"", b"not WebAssembly", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0", &whole[..10_000]];
    for content in contents {
        std::fs::write(&file, content).expect("the file is written");
        let error = refusal(&only(&service("broken", &file, "\"sql\""))).await;
        assert_names(&error, &["service broken cannot serve: "]);
        // The fourth is a valid component, which exports nothing.
        let (_, reason) = error.split_once("cannot serve: ").expect("it was just found");
        let known = ["not a component that this host can run: ", "does not fit the platform: "];
        let reason = known.iter().find_map(|known| reason.strip_prefix(known));
        assert!(reason.is_some_and(|reason| !reason.is_empty()), "{error}");
    }
}

#[tokio::test]
async fn an_import_without_its_grant_is_named_with_the_grant() {
    for (name, grants, import, grant) in [
        ("products", "", "provesi:platform/sql@0.1.0", "sql"),
        ("auth", "\"sql\", \"tokens\"", "provesi:platform/passwords@0.1.0", "passwords"),
        ("auth", "\"sql\", \"passwords\"", "provesi:platform/tokens@0.1.0", "tokens"),
        ("inventory", "\"sql\"", "provesi:products/catalog@0.1.0", "provesi:products/catalog"),
    ] {
        let error = refusal(&only(&service(name, &component(name), grants))).await;
        let reason = format!("imports {import}, which needs the grant {grant:?}");
        assert_names(&error, &[&format!("service {name} cannot serve: "), &reason]);
    }
}

#[tokio::test]
async fn migrations_without_a_database_are_refused() {
    let error = refusal(&only(&service("badpeer", &fixture("badpeer"), ""))).await;
    assert_names(&error, &["service badpeer cannot serve: ", "it describes migrations and has no grant \"sql\""]);
}

#[tokio::test]
async fn two_services_cannot_export_one_interface() {
    let more = service("shop", &fixture("badcatalog"), "");
    let error = refusal(&Setup { services: &["products"], more: &more, ..Setup::default() }).await;
    assert_names(&error, &["provesi:products/catalog@0.1", " is exported by both products and shop"]);
}

#[tokio::test]
async fn two_services_cannot_answer_one_route() {
    let more = ["first", "second"].map(|name| service(name, &fixture("faulty"), "\"sql\"")).concat();
    let error = refusal(&only(&more)).await;
    assert_names(&error, &["route /api/faulty/", " of second", "collides with", " of first"]);
}

#[tokio::test]
async fn a_typed_import_that_nobody_exports_is_named_with_its_importer() {
    let error = refusal(&Setup { services: &["inventory"], ..Setup::default() }).await;
    assert_names(&error, &["inventory", " imports provesi:products/catalog@0.1.0", "no live service exports"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_cannot_fill_its_database_is_named() {
    let more = service("badcatalog", &fixture("badcatalog"), "")
        + &service("inventory", &component("inventory"), r#""sql", "events", "provesi:products/catalog""#);
    let error = refusal(&only(&more)).await;
    let (first, reason) = error.split_once(": ").expect("a reason");
    assert_eq!(first, "service inventory cannot fill its database");
    assert!(!reason.is_empty(), "{error}");
}

#[tokio::test]
async fn a_wrong_storage_url_is_named_and_its_password_is_not_shown() {
    // It takes connections, and nobody ever answers on them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("postgres://postgres:geheim@{}", listener.local_addr().expect("an address"));
    let cases: [(&str, &[&str]); 4] = [
        ("mysql://root:geheim@localhost", &["storage.url", "provesi.toml", "neither"]),
        ("sqlite:/somewhere", &["storage.url", "provesi.toml", "neither"]),
        ("postgres://postgres:geheim@127.0.0.1:port", &["storage.url does not work: ", "invalid port"]),
        (silent.as_str(), &["storage.url does not work: ", "the database of host: "]),
    ];
    for (url, parts) in cases {
        let error = refusal(&Setup { url, ..Setup::default() }).await;
        assert_names(&error, parts);
        assert!(!error.contains("geheim"), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_password_of_postgres_is_told_apart() {
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url().replace(":secret@", ":geheim@");
    let error = refusal(&Setup { url: &url, ..Setup::default() }).await;
    assert_names(&error, &["storage.url does not work: ", "password authentication failed"]);
    assert!(!error.contains("geheim"), "{error}");
}

#[tokio::test]
async fn a_data_folder_that_is_a_file_is_named() {
    let cases: [(&str, &[&str]); 3] = [
        ("data", &["cannot use the data folder ", "/data: "]),
        ("data/keys", &["cannot use the key ", "/data/keys: "]),
        ("data/db", &["cannot make the folder of the databases: "]),
    ];
    for (file, parts) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(file);
        std::fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("the folder is made");
        std::fs::write(&file, "in the way").expect("the file is written");
        let error = refusal_in(folder.path(), &Setup::default()).await;
        assert_names(&error, parts);
        assert_names(&error, &["File exists"]);
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let error = refusal(&only("")).await;
    assert_names(&error, &["cannot listen on gateway.listen = 127.0.0.1:", "in use"]);
}

#[test]
fn the_command_fails_with_the_reason_on_its_last_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = only(&service("lost", Path::new("/nowhere/lost.wasm"), "")).write(folder.path());
    let output = Binary::command(&config, &folder.path().join("data")).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let text = String::from_utf8_lossy(&output.stderr);
    let (_, reason) = text.split_once("error: ").expect("the last word");
    assert_names(reason, &["service lost cannot serve", "\n  because cannot read its component /nowhere/lost.wasm"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_host_on_one_data_folder_is_refused_and_the_first_serves_on() {
    let mut process = Process::start(Backend::Sqlite).await.expect("SQLite needs nothing");
    let (operario, admin_token) = (process.token("operario").await, process.admin_token());
    let casco = "/api/inventory/Casco%20de%20Seguridad/";
    let restock = async |process: &Process| {
        let body = json!({ "units": 5, "warehouse": "Bodega Norte" });
        let request = process.request("POST", &format!("{casco}restock/")).bearer_auth(&operario).json(&body);
        let answer = send(request).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body["quantity"].clone()
    };
    assert_eq!(restock(&process).await, 155);

    let second = process.second().await;
    let (stdout, stderr) = (String::from_utf8_lossy(&second.stdout), String::from_utf8_lossy(&second.stderr));
    assert_eq!((second.status.code(), &*stdout), (Some(1), ""), "{stderr}");
    let data = std::fs::canonicalize(process.data()).expect("it is there");
    let reason = format!("error: another host uses the data folder {}", data.display());
    assert_eq!(stderr.lines().next_back(), Some(&*reason), "{stderr}");

    assert_eq!(restock(&process).await, 160, "the first serves on");
    assert_eq!(process.admin_token(), admin_token, "and its operators have the token that they had");
    process.kill9();
    process.start_again().await;
    let stock = process.get(casco, &operario).await;
    assert_eq!((stock.status, &stock.body[0]["quantity"]), (200, &json!(160)), "what a killed host held is free");
    assert_eq!(restock(&process).await, 165);
}

/// The real binary, ended when dropped, and with the tests at the latest.
struct Binary<'w> {
    child: Child,
    ward: &'w mut Ward,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl<'w> Binary<'w> {
    fn command(config: &Path, data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
        command.arg("serve").arg("--config").arg(config).arg("--data").arg(data).stdin(Stdio::null());
        command
    }

    /// Starts it; its output goes to files, which never fill up as pipes do.
    fn start(ward: &'w mut Ward, folder: &Path, name: &str) -> Self {
        let config = Setup { demo: false, services: &["auth"], ..Setup::default() }.write(folder);
        let file = |kind: &str| folder.join(format!("{name}.{kind}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let mut command = Self::command(&config, &folder.join("data"));
        command.stdout(File::create(&stdout).expect("a file")).stderr(File::create(&stderr).expect("a file"));
        let child = command.spawn().expect("the binary runs");
        ward.runs(&[child.id()]);
        Self { child, ward, stdout, stderr }
    }

    fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).expect("its output")
    }

    /// Waits until it serves, and returns where.
    async fn base(&self) -> String {
        eventually("the binary serves", Duration::from_secs(60), async || self.address().is_some()).await;
        format!("http://{}", self.address().expect("it was just there"))
    }

    fn address(&self) -> Option<String> {
        let log = std::fs::read_to_string(&self.stderr).expect("its log");
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let serving = lines.find(|line| line["message"] == "serving")?;
        Some(serving["address"].as_str().expect("an address").to_owned())
    }
}

impl Drop for Binary<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ward.runs(&[]);
    }
}

/// Logs `admin` in and returns status and role.
async fn log_in(base: &str, password: &str) -> (u16, Value) {
    let body = json!({ "username": "admin", "password": password });
    let answer = send(reqwest::Client::new().post(format!("{base}/api/auth/login/")).json(&body)).await;
    (answer.status, answer.body["user"]["role"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_makes_one_admin_and_shows_the_password_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ward = Ward::of(folder.path());
    let first = Binary::start(&mut ward, folder.path(), "first");
    let base = first.base().await;
    let shown = first.stdout();
    let (_, rest) = shown.split_once("auth: first user admin, password ").expect("the password is shown");
    let password = rest.split_whitespace().next().expect("a password");
    assert!(password.len() >= 16, "{password}");
    assert_eq!(shown.matches("password").count(), 1, "{shown}");
    assert_eq!(log_in(&base, password).await, (200, json!("ADMIN")));
    assert_eq!(log_in(&base, "admin123").await.0, 400, "that is the demo's");
    let log = std::fs::read_to_string(&first.stderr).expect("its log");
    assert!(!log.contains(password), "the password is in the log");
    drop(first);

    let second = Binary::start(&mut ward, folder.path(), "second");
    let base = second.base().await;
    assert!(!second.stdout().contains("password"), "a later start shows one: {}", second.stdout());
    assert_eq!(log_in(&base, password).await, (200, json!("ADMIN")));
}
