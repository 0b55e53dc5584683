//! The commands of operators, as a person and as a script sees them.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::getuid;
use serde_json::{Value, json};

use super::revisions::{notes, read};
use super::{assert_refused, columns, look, notes_table, serving};
use crate::support::{Setup, TestApp, fixture, service};

/// Columns that everything for a person fits into.
const WIDTH: usize = 80;

/// What a command left behind.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Starts a host with `products`, with `reviews`, which imports it, and with `notes`.
async fn start() -> TestApp {
    let reviews = service("reviews", &fixture("reviews"), "\"sql\", \"provesi:products/catalog\"");
    let more = notes_table() + &reviews;
    TestApp::start_as(&Setup { services: &["products"], more: &more, ..Setup::default() }).await
}

/// Runs the binary as it would be run on the host's machine.
fn run(app: &TestApp, line: &[&str]) -> Said {
    run_at(app.admin(), &app.folder().join("data"), line)
}

fn run_at(admin: &str, data: &Path, line: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
    command.args(line).args(["--by", "ana", "--admin", admin, "--data"]).arg(data);
    for name in ["PROVESI_ADMIN", "PROVESI_ADMIN_TOKEN", "PROVESI_BY", "PROVESI_DATA"] {
        command.env_remove(name);
    }
    // The host runs on other threads than this one.
    let output = command.stdin(Stdio::null()).output().expect("the binary can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a text");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs a command for a person, which must do what it is asked to, and returns what it says.
fn done(app: &TestApp, line: &[&str]) -> String {
    let said = run(app, line);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{line:?}: {}", said.out);
    assert_fits(&said.out);
    said.out
}

/// Runs a command for a script, which must do what it is asked to.
fn json_of(app: &TestApp, line: &[&str]) -> Value {
    let said = run(app, &[line, &["--json"]].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{line:?}: {}", said.out);
    serde_json::from_str(&said.out).expect("JSON")
}

/// Runs a command that must fail, and returns its first line.
fn failed(said: &Said, code: i32) -> &str {
    assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{said:?}");
    let (first, rest) = said.err.split_once('\n').expect("a line");
    assert_fits(rest);
    first
}

fn assert_fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "over {WIDTH} columns: {line}");
    }
}

/// Writes a component beside the host's configuration, and returns where.
fn file(app: &TestApp, name: &str, bytes: &[u8]) -> String {
    let path = app.folder().join(name);
    std::fs::write(&path, bytes).expect("the component is written");
    path.to_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_told_in_eighty_columns_what_was_done() {
    let app = start().await;
    let second = file(&app, "second.wasm", &notes(&[("second", "CREATE TABLE more (id BIGINT PRIMARY KEY)")]));
    let third =
        file(&app, "third.wasm", &notes(&[("label", "3"), ("version", "10.20.30-a.rather.long.one+build.4711")]));
    let checked = done(&app, &["check", "notes", &second]);
    assert!(checked.starts_with("notes 1.0.0 can be deployed\n") && checked.contains(" 0002_more\n"), "{checked}");
    for (line, first) in [
        (vec!["deploy", "notes", &second], "notes@2 is active (replaced notes@1) in "),
        (vec!["deploy", "notes", &third, "--canary", "10"], "notes@3 is a canary (beside notes@2) in "),
        (vec!["traffic", "notes", "2=50", "3=50%"], "the traffic of notes goes to 3:50% 2:50%\n"),
        (vec!["rollback", "notes"], "the traffic of notes goes to 2\n"),
        (vec!["rollback", "notes", "--to", "2"], "the traffic of notes goes to 2\n"),
        (vec!["deploy", "notes", &third, "--no-activate"], "notes@4 is kept without traffic in "),
        (vec!["remove", "reviews"], "reviews is removed\n"),
    ] {
        let said = done(&app, &line);
        assert!(said.starts_with(first), "{line:?}: {said}");
    }
    let shown: [(&[&str], &[&str]); 5] = [
        (&["status"], &["SERVICE", "notes", "products"]),
        (&["status", "notes"], &["links since start", "/api/notes/label/", "SHA-256", "100%"]),
        (&["revisions", "notes"], &["REVISION", "idle", "active", "retired", "10.20.30", "ana"]),
        (&["audit"], &["ACTION", "seed", "rollback", "remove", "3:50% 2:50%"]),
        (&["audit", "notes", "--limit", "1"], &["deploy", "done"]),
    ];
    for (line, parts) in shown {
        let said = done(&app, line);
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in what {line:?} says:\n{said}");
        }
    }
    let audit = look(&app, "/v1/audit?limit=8").await;
    let by = columns(&audit, ["by"]);
    assert_eq!(by, json!(vec![["ana"]; 8]), "each command says who asks");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_trail_names_who_asks_on_a_machine_that_does_not_say_it() {
    let app = start().await;
    for (variable, user) in [(Some("LOGNAME"), "luz".to_owned()), (None, format!("uid:{}", getuid().as_raw()))] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provesi"));
        command.args(["remove", "reviews", "--admin", app.admin(), "--data"]).arg(app.folder().join("data"));
        for name in ["PROVESI_ADMIN", "PROVESI_ADMIN_TOKEN", "PROVESI_BY", "PROVESI_DATA", "USER", "LOGNAME"] {
            command.env_remove(name);
        }
        command.envs(variable.map(|name| (name, &user)));
        command.stdin(Stdio::null()).output().expect("the binary can be started");
        // The second time there is nothing to remove, which is a line of the audit trail, too.
        let audit = look(&app, "/v1/audit?service=reviews&limit=1").await;
        let by = audit[0]["by"].as_str().expect("a name");
        assert_eq!((by.split('@').next(), &audit[0]["action"]), (Some(user.as_str()), &json!("remove")));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_gets_what_the_host_answers() {
    let app = start().await;
    let next = file(&app, "next.wasm", &notes(&[("label", "2")]));
    let checked = json_of(&app, &["check", "notes", &next]);
    assert_eq!((&checked["version"], &checked["migrations"]), (&json!("1.0.0"), &json!([])));
    let deployed = json_of(&app, &["deploy", "notes", &next]);
    assert_eq!(columns(&json!([deployed]), ["service", "revision", "state"]), json!([["notes", 2, "active"]]));
    assert_eq!(deployed["digest"], checked["digest"]);
    let moved = json_of(&app, &["traffic", "notes", "1=40", "2=60"]);
    assert_eq!(columns(&moved["traffic"], ["revision", "weight"]), json!([[2, 60], [1, 40]]));
    let moved = json_of(&app, &["rollback", "notes"]);
    assert_eq!(columns(&moved["traffic"], ["revision", "weight"]), json!([[2, 100]]));
    let views: [(&[&str], &str); 5] = [
        (&["status"], "/v1/services"),
        (&["status", "notes"], "/v1/services/notes"),
        (&["revisions", "notes"], "/v1/services/notes/revisions"),
        (&["audit"], "/v1/audit"),
        (&["audit", "notes", "--limit", "2"], "/v1/audit?service=notes&limit=2"),
    ];
    for (line, path) in views {
        assert_eq!(json_of(&app, line), look(&app, path).await, "{line:?}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_exit_code_one_and_its_first_line_is_the_reason() {
    let app = start().await;
    let before = serving(&app).await;
    let garbage = file(&app, "garbage.wasm", b"garbage");
    let answer = app.upload("notes", "", b"garbage".to_vec()).await;
    let reason = assert_refused(&answer, 422, "invalid-component");
    for command in ["deploy", "check"] {
        assert_eq!(failed(&run(&app, &[command, "notes", &garbage]), 1), format!("refused: {reason}"));
    }
    let faulty = fixture("faulty");
    let faulty = faulty.to_str().expect("a text");
    let breach = run(&app, &["deploy", "products", faulty]);
    let first = failed(&breach, 1);
    assert!(first.starts_with("refused: reviews@1 imports provesi:products/catalog@0.1.0"), "{first}");
    assert!(breach.err.contains("used by reviews@1, offered by nobody\n"), "{}", breach.err);
    let breach = run(&app, &["deploy", "products", faulty, "--json"]);
    let problem: Value = serde_json::from_str(&breach.out).expect("JSON");
    assert_eq!((breach.code, &problem["type"]), (Some(1), &json!("urn:provesi:problem:contract-breach")));
    assert!(breach.err.starts_with("refused: reviews@1 imports "), "{}", breach.err);

    let refused: [(&[&str], &str); 7] = [
        (&["traffic", "notes", "1=50"], "refused: the weights add up to 50, not to 100"),
        (&["traffic", "notes", "1=50", "7=50"], "refused: there is no revision notes@7 that could serve"),
        (&["rollback", "notes"], "refused: no revision of notes served before the present one"),
        (&["rollback", "notes", "--to", "7"], "refused: there is no revision notes@7 that could serve"),
        (&["remove", "products"], "refused: reviews imports what it exports"),
        (&["status", "ghost"], "refused: there is no service ghost"),
        (&["revisions", "ghost"], "refused: there is no service ghost"),
    ];
    for (line, reason) in refused {
        assert_eq!(failed(&run(&app, line), 1), reason, "{line:?}");
    }
    let token = "0".repeat(64);
    let foreign = run(&app, &["status", "--token", &token]);
    assert!(failed(&foreign, 1).starts_with("refused: send the token of DATA/admin-token"), "{foreign:?}");
    assert!(!foreign.err.contains(&token), "{foreign:?}");
    assert_eq!(serving(&app).await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_told_apart_from_what_is_refused() {
    let app = start().await;
    let good = file(&app, "good.wasm", &read(&fixture("notes")));
    let lines: [&[&str]; 11] = [
        &[],
        &["nonsense"],
        &["deploy", "notes"],
        &["deploy", "../notes", &good],
        &["deploy", "notes", &good, "--canary", "100"],
        &["deploy", "notes", &good, "--canary", "10", "--no-activate"],
        &["traffic", "notes"],
        &["traffic", "notes", "1=101"],
        &["traffic", "notes", "1=50", "1=50"],
        &["rollback", "notes", "--to", "0"],
        &["revisions"],
    ];
    for line in lines {
        let said = run(&app, line);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{line:?}: {said:?}");
        assert!(said.err.starts_with("error: "), "{line:?}: {}", said.err);
    }
    let missing = run(&app, &["deploy", "notes", "/nowhere/notes.wasm"]);
    assert!(failed(&missing, 1).starts_with("error: cannot read /nowhere/notes.wasm: "), "{missing:?}");
    let data = app.folder().join("data");
    let nobody = run_at("http://127.0.0.1:1", &data, &["status"]);
    assert!(failed(&nobody, 1).starts_with("error: cannot reach the host at http://127.0.0.1:1: "), "{nobody:?}");
    let tokenless = run_at(app.admin(), &app.folder().join("elsewhere"), &["status"]);
    assert!(failed(&tokenless, 1).starts_with("error: cannot read the admin token "), "{tokenless:?}");
    let revisions = look(&app, "/v1/services/notes/revisions").await;
    assert_eq!(columns(&revisions, ["revision"]), json!([[1]]), "none of it reached the host");
    app.stop().await;
}
