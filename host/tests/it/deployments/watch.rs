//! `serve --watch`: a component whose file changes is deployed by itself, and refused as any other.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::revisions::{notes, read};
use super::{LABEL, REVISION, answering, columns, look};
use crate::support::{Setup, TestApp, eventually, fixture, service};

/// Many times what a busy machine takes to see, compile and activate a small component.
const BOUND: Duration = Duration::from_secs(30);

/// Replaces a file as builds do: by renaming another one over it.
fn replace(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    std::fs::write(&new, bytes).expect("the new file is written");
    std::fs::rename(&new, file).expect("it takes the place of the old one");
}

async fn serves(app: &TestApp, revision: &str) {
    eventually(revision, BOUND, async || app.get(LABEL, "").await.header(REVISION) == revision).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_is_deployed_and_what_is_broken_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("notes.wasm");
    replace(&file, &read(&fixture("notes")));
    let more = service("notes", &file, "\"sql\"");
    let app = TestApp::start_as(&Setup { services: &[], watch: true, more: &more, ..Setup::default() }).await;
    assert_eq!(answering(&app, LABEL).await, "notes@1");
    replace(&file, &notes(&[("label", "2")]));
    serves(&app, "notes@2").await;
    assert_eq!(app.get(LABEL, "").await.body, "2");

    replace(&file, b"garbage");
    let refused = async || look(&app, "/v1/audit?service=notes&limit=1").await[0]["outcome"] == "refused";
    eventually("the garbage is refused", BOUND, refused).await;
    assert_eq!(answering(&app, LABEL).await, "notes@2");

    // Written in place this time.
    std::fs::write(&file, notes(&[("label", "3")])).expect("the file is written");
    serves(&app, "notes@3").await;
    let audit = look(&app, "/v1/audit?service=notes").await;
    let done: Vec<_> = audit.as_array().expect("a list").iter().filter(|entry| entry["outcome"] == "done").collect();
    let seen = columns(&json!(done), ["action", "revision", "by"]);
    assert_eq!(seen, json!([["deploy", 3, "watch"], ["deploy", 2, "watch"], ["seed", 1, "provesi.toml"]]));
    app.stop().await;
}
