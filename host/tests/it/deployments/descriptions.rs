//! Components that compile and link, and lie or fail when they are asked what they are.

use serde_json::{Value, json};

use super::revisions::{notes, read};
use super::{LABEL, add_tables, answering, assert_refused, check, columns, look, serving, start_notes};
use crate::support::{fixture, send, service};

/// Settings of `notes`, the kind of the refusal, and a part of its reason.
type Case = (&'static [(&'static str, &'static str)], (u16, &'static str), &'static str);

const INVALID: (u16, &str) = (422, "invalid-component");

const CASES: [Case; 24] = [
    (&[("describe", "trap")], INVALID, "its description failed: the guest trapped"),
    (&[("describe", "loop")], INVALID, "did not finish before its deadline"),
    (&[("describe", "memory")], INVALID, "wanted more memory than its limit"),
    (&[("describe", "sql")], INVALID, "its description failed: the guest called the capability \"sql\""),
    (&[("version", "x.y.z")], INVALID, "version \"x.y.z\""),
    (&[("version", "")], INVALID, "version \"\""),
    (&[("api-version", "2")], INVALID, "api-version \"2\""),
    (&[("path", "no slash")], INVALID, "path \"no slash\""),
    (&[("path", "/../")], INVALID, "path \"/../\""),
    (&[("path", "/{*rest}/")], INVALID, "path \"/{*rest}/\""),
    (&[("again", "list-notes")], INVALID, "operation \"list-notes\""),
    (&[("header", "authorization")], INVALID, "credentials never cross to a service"),
    (&[("header", "X-Upper")], INVALID, "in lower case"),
    (&[("task", "tidy")], INVALID, "describes tasks and exports no worker"),
    (&[("idempotent", "a:b/c#d")], INVALID, "idempotent \"a:b/c#d\": package/interface#function"),
    (&[("task", "tidy"), ("cron", "30 4 * * 1-5")], INVALID, "describes tasks and exports no worker"),
    (&[("task", "tidy up")], INVALID, "task \"tidy up\""),
    (&[("task", "tidy"), ("cron", "61 * * * *")], INVALID, "cron expression \"61 * * * *\""),
    (&[("task", "tidy"), ("cron", "* * * * * *")], INVALID, "minute, hour, day of month"),
    (&[("task", "tidy"), ("cron", "0 0 30 2 *")], INVALID, "with a time that comes"),
    (&[("task", "tidy"), ("cron", "* * * * *"), ("interval", "1000")], INVALID, "exactly one of interval-ms and cron"),
    (&[("task", "tidy"), ("interval", "99")], INVALID, "from 100 ms to 31 days"),
    (&[("task", "tidy"), ("deadline", "3600001")], INVALID, "from 1 ms to 1 h"),
    (&[("again", "list-again")], (409, "route-collision"), "/api/notes/"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_fails_or_lies_about_itself_is_refused() {
    let app = start_notes().await;
    let before = serving(&app).await;
    for (settings, (status, kind), part) in CASES {
        for answer in [check(&app, "notes", notes(settings)).await, app.upload("notes", "", notes(settings)).await] {
            assert_eq!(answer.status, status, "{settings:?}: {:?}", answer.body);
            let reason = assert_refused(&answer, status, kind);
            assert!(reason.contains(part), "{settings:?}: {reason}");
        }
        assert_eq!(answering(&app, LABEL).await, "notes@1", "{settings:?}");
    }
    assert_eq!(serving(&app).await, before);

    // Only the last of them came far enough to get a number.
    let accepted = app.upload("notes", "", notes(&[("version", "1.0.1-rc.1+build")])).await;
    assert_eq!((accepted.status, &accepted.body["revision"]), (201, &json!(3)), "{:?}", accepted.body);
    let revisions = look(&app, "/v1/services/notes/revisions").await;
    let seen = columns(&revisions, ["revision", "state", "version"]);
    let expected = json!([[3, "active", "1.0.1-rc.1+build"], [2, "refused", "1.0.0"], [1, "retired", "1.0.0"]]);
    assert_eq!(seen, expected);
    assert!(revisions[1]["reason"].as_str().is_some_and(|reason| reason.contains("collides")), "{revisions}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_may_miss_is_a_warning() {
    let app = start_notes().await;
    let moved = app.upload("notes", "", notes(&[("path", "/memos/"), ("version", "0.9.0")])).await;
    assert_eq!(moved.status, 201, "{:?}", moved.body);
    let expected = json!([
        "GET /api/notes/ is no longer answered",
        "POST /api/notes/ is no longer answered",
        "GET /api/notes/label/ is no longer answered",
        "its version 0.9.0 is older than 1.0.0, which serves",
    ]);
    assert_eq!(sorted(&moved.body["warnings"]), sorted(&expected));
    assert_eq!(app.get(LABEL, "").await.status, 404);
    assert_eq!(answering(&app, "/api/memos/label/").await, "notes@2");
    app.stop().await;
}

fn sorted(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    let mut texts: Vec<String> = list.map(|text| text.as_str().expect("a text").to_owned()).collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_cannot_answer_one_route() {
    let app = start_notes().await;
    add_tables(&app, &service("memos", &fixture("notes"), "\"sql\""));
    let before = serving(&app).await;
    for answer in [check(&app, "memos", notes(&[])).await, app.upload("memos", "", read(&fixture("notes"))).await] {
        let reason = assert_refused(&answer, 409, "route-collision");
        assert!(reason.contains("/api/notes/") && reason.contains("memos"), "{reason}");
    }
    assert_eq!(serving(&app).await, before);
    assert_refused(&send(app.operate("GET", "/v1/services/memos")).await, 404, "unknown-service");
    assert_eq!(answering(&app, LABEL).await, "notes@1");

    let elsewhere = app.upload("memos", "", notes(&[("path", "/memos/")])).await;
    assert_eq!((elsewhere.status, &elsewhere.body["revision"]), (201, &json!(2)), "{:?}", elsewhere.body);
    assert_eq!(answering(&app, "/api/memos/label/").await, "memos@2");
    assert_eq!(answering(&app, LABEL).await, "notes@1");
    app.stop().await;
}
