//! What operators do to a host that serves: deploy, split, roll back, remove. What is refused changes nothing.
//!
//! Most tests have a host with the fixture `notes` alone, which is whatever its settings say (see `revisions`).

/// Makes the tests `name::sqlite` and `name::postgres` of functions that take the database.
macro_rules! on_each_database {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::support::Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name($crate::support::Backend::Postgres).await;
            }
        })+
    };
}

mod access;
mod canary;
mod circle;
mod command_line;
mod contract;
mod descriptions;
mod events;
mod mutants;
mod pointer;
mod refusals;
pub(crate) mod revisions;
mod schema;
mod serving;
mod turns;
mod watch;

use provesi::db::{Cell, Database};
use serde_json::Value;

use crate::support::{Answer, Backend, Postgres, Setup, TestApp, database, fixture, send, service};

/// Header that says which revision has answered.
const REVISION: &str = "x-provesi-revision";

/// What `notes` answers without its database.
const LABEL: &str = "/api/notes/label/";

/// Data and database of a host that can be started again.
struct Ground {
    folder: tempfile::TempDir,
    postgres: Option<Postgres>,
}

impl Ground {
    /// Makes one; none where there is no PostgreSQL to start.
    fn new(backend: Backend) -> Option<Self> {
        let postgres = match backend {
            Backend::Sqlite => None,
            Backend::Postgres => Some(Postgres::start()?),
        };
        Some(Self { folder: tempfile::tempdir().expect("a folder"), postgres })
    }

    /// Starts a host on it.
    async fn start(&self, setup: &Setup<'_>) -> TestApp {
        TestApp::start_as(&Setup { url: &self.url(), data: Some(self.folder.path()), ..*setup }).await
    }

    /// Starts a host with `notes` alone.
    async fn start_notes(&self) -> TestApp {
        let more = notes_table();
        self.start(&Setup { services: &[], more: &more, ..Setup::default() }).await
    }

    fn url(&self) -> String {
        self.postgres.as_ref().map_or_else(|| "sqlite:".to_owned(), Postgres::url)
    }

    /// Opens a database, beside the host that runs on it.
    async fn open(&self, owner: &str) -> Database {
        database::open(&self.url(), self.folder.path(), owner).await
    }

    /// Returns the tables of a service, then the migrations that were applied, each sorted.
    async fn schema(&self, owner: &str) -> Vec<String> {
        let tables = match self.postgres {
            None => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
            Some(_) => "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
        };
        let database = self.open(owner).await;
        let mut schema = texts(&database, tables).await;
        schema.extend(texts(&database, "SELECT name FROM provesi_migrations ORDER BY name").await);
        database.close().await;
        schema
    }
}

/// Reads a column of texts.
async fn texts(database: &Database, statement: &str) -> Vec<String> {
    let rows = database.query(statement, &[]).await.expect("an answer");
    rows.rows().map(|row| text(&row)).collect()
}

fn text(row: &[Cell<'_>]) -> String {
    let [Cell::Text(text)] = row else { panic!("one text, not {row:?}") };
    (*text).to_owned()
}

/// The table of `notes` in `provesi.toml`.
fn notes_table() -> String {
    service("notes", &fixture("notes"), "\"sql\"")
}

/// Starts a host with `notes` alone, on SQLite.
async fn start_notes() -> TestApp {
    let more = notes_table();
    TestApp::start_as(&Setup { services: &[], more: &more, ..Setup::default() }).await
}

/// Adds tables to the `provesi.toml` of a host that runs.
fn add_tables(app: &TestApp, more: &str) {
    let file = app.folder().join("provesi.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration is there");
    std::fs::write(&file, text + more).expect("the configuration is written");
}

/// Reads what an operator sees.
async fn look(app: &TestApp, path: &str) -> Value {
    let answer = send(app.operate("GET", path)).await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    answer.body
}

/// Returns everything that serves, without what counts up.
async fn serving(app: &TestApp) -> Value {
    let mut services = look(app, "/v1/services").await;
    for service in services.as_array_mut().expect("a list") {
        remove_counters(service);
    }
    services
}

fn remove_counters(service: &mut Value) {
    let fields = service.as_object_mut().expect("a service");
    for counter in ["requests", "faults", "retries", "links"] {
        let count = fields.remove(counter).expect("every service has its counters");
        assert!(count.is_u64(), "{counter}: {count}");
    }
    // What waits comes and goes.
    assert!(fields.remove("events").is_some(), "every service says what it has to do with events");
    // When they run is up to the clock.
    assert!(fields.remove("tasks").is_some_and(|tasks| tasks.is_array()), "every service has its tasks");
}

/// Returns some fields of each element of a list.
fn columns<const N: usize>(list: &Value, fields: [&str; N]) -> Value {
    let row = |element: &Value| fields.iter().map(|field| element[field].clone()).collect::<Value>();
    list.as_array().expect("a list").iter().map(row).collect()
}

/// Checks that a path is answered, and returns by which revision.
async fn answering(app: &TestApp, path: &str) -> String {
    let answer = app.get(path, "").await;
    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
    answer.header(REVISION).to_owned()
}

/// Checks that an operator was refused, and returns the reason.
fn assert_refused(answer: &Answer, status: u16, kind: &str) -> String {
    let kind = format!("urn:provesi:problem:{kind}");
    assert_eq!((answer.status, answer.body["type"].as_str()), (status, Some(kind.as_str())), "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["status"], status, "{:?}", answer.body);
    assert!(answer.body["title"].is_string(), "{:?}", answer.body);
    let detail = answer.body["detail"].as_str().expect("a reason");
    assert!(!detail.is_empty() && !detail.contains('\n'), "{detail:?}");
    detail.to_owned()
}

/// Asks to move traffic.
async fn set_traffic(app: &TestApp, name: &str, weights: &Value) -> Answer {
    let request = app.operate("PUT", &format!("/v1/services/{name}/traffic"));
    send(request.json(&serde_json::json!({ "weights": weights }))).await
}

/// Asks to go back.
async fn roll_back(app: &TestApp, name: &str, body: &Value) -> Answer {
    send(app.operate("POST", &format!("/v1/services/{name}/rollback")).json(body)).await
}

/// Asks what a deploy would say.
async fn check(app: &TestApp, name: &str, bytes: Vec<u8>) -> Answer {
    let request = app.operate("POST", &format!("/v1/services/{name}/check"));
    send(request.header("content-type", "application/wasm").body(bytes)).await
}
