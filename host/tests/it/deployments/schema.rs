//! Schema changes that come with a revision: all of them or none, once, and no way back past one that contracts.

use serde_json::{Value, json};

use super::revisions::{notes, variant};
use super::{Ground, LABEL, answering, assert_refused, check, columns, look, roll_back, serving, set_traffic};
use crate::support::{Answer, Backend, TestApp};

const NOTES: &str = "/api/notes/";

/// A statement that both databases understand.
const MORE: &str = "CREATE TABLE more (id BIGINT PRIMARY KEY);";

on_each_database!(
    a_migration_that_fails_leaves_schema_and_service_as_they_were,
    a_migration_is_applied_once_and_the_revision_before_runs_on_with_it,
    a_revision_that_is_only_kept_migrates_when_it_gets_traffic,
    there_is_no_way_back_past_a_migration_that_contracts
);

async fn write(app: &TestApp, text: &str) {
    let created = app.post(NOTES, "", &json!({ "text": text })).await;
    assert_eq!(created.status, 201, "{:?}", created.body);
}

async fn written(app: &TestApp) -> Value {
    let answer = app.get(NOTES, "").await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.body
}

fn assert_due(checked: &Answer, migrations: &[&str]) {
    assert_eq!((checked.status, &checked.body["migrations"]), (200, &json!(migrations)), "{:?}", checked.body);
}

async fn a_migration_that_fails_leaves_schema_and_service_as_they_were(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start_notes().await;
    write(&app, "before").await;
    let (before, schema) = (serving(&app).await, ground.schema("notes").await);
    let half = format!("{MORE} CREATE TABLE notes (id BIGINT PRIMARY KEY);");
    let committed = format!("{MORE} COMMIT;");
    for (settings, is_seen_by_check, reason) in [
        (("second", half.as_str()), false, "migration 0002_more failed: "),
        (("second", committed.as_str()), true, "migration 0002_more: statements that start with \"commit\""),
        (("second", "SELECT '"), true, "migration 0002_more: a quoted text has no end"),
        (("first", " -- changed"), true, "migration 0001_notes was applied before with another content"),
    ] {
        let checked = check(&app, "notes", notes(&[settings])).await;
        if is_seen_by_check {
            assert!(assert_refused(&checked, 422, "migration-failed").starts_with(reason), "{:?}", checked.body);
        } else {
            assert_due(&checked, &["0002_more"]);
        }
        let refused = app.upload("notes", "", notes(&[settings])).await;
        assert!(assert_refused(&refused, 422, "migration-failed").starts_with(reason), "{:?}", refused.body);
        assert_eq!(ground.schema("notes").await, schema, "{settings:?}");
        assert_eq!(written(&app).await, json!(["before"]), "{settings:?}");
    }
    assert_eq!(serving(&app).await, before);
    let revisions = look(&app, "/v1/services/notes/revisions").await;
    let states = columns(&revisions, ["revision", "state"]);
    assert_eq!(states, json!([[5, "refused"], [4, "refused"], [3, "refused"], [2, "refused"], [1, "active"]]));
    write(&app, "after").await;
    assert_eq!(written(&app).await, json!(["before", "after"]));
    app.stop().await;
}

async fn a_migration_is_applied_once_and_the_revision_before_runs_on_with_it(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start_notes().await;
    write(&app, "under the first").await;
    let schema = ground.schema("notes").await;
    let next = notes(&[("second", MORE)]);
    assert_due(&check(&app, "notes", next.clone()).await, &["0002_more"]);
    assert_eq!(ground.schema("notes").await, schema, "a check changes nothing");

    let deployed = app.upload("notes", "", next.clone()).await;
    assert_eq!(deployed.status, 201, "{:?}", deployed.body);
    let schema = ground.schema("notes").await;
    for added in ["more", "0002_more"] {
        assert!(schema.iter().any(|name| name == added), "{added} is not in {schema:?}");
    }
    assert_due(&check(&app, "notes", variant(&next, 1)).await, &[]);
    let again = app.upload("notes", "", variant(&next, 1)).await;
    assert_eq!(again.status, 201, "{:?}", again.body);
    write(&app, "under the third").await;

    let back = roll_back(&app, "notes", &json!({ "to": 1 })).await;
    assert_eq!((back.status, &back.body["traffic"][0]["revision"]), (200, &json!(1)), "{:?}", back.body);
    write(&app, "under the first again").await;
    let texts = json!(["under the first", "under the third", "under the first again"]);
    assert_eq!(written(&app).await, texts);
    app.stop().await;

    let app = ground.start_notes().await;
    assert_eq!((answering(&app, LABEL).await.as_str(), written(&app).await), ("notes@1", texts));
    assert_eq!(ground.schema("notes").await, schema);
    app.stop().await;
}

async fn a_revision_that_is_only_kept_migrates_when_it_gets_traffic(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start_notes().await;
    let (before, schema) = (serving(&app).await, ground.schema("notes").await);
    let kept = app.upload("notes", "?activate=false", notes(&[("second", MORE)])).await;
    assert_eq!((kept.status, &kept.body["state"]), (201, &json!("idle")), "{:?}", kept.body);
    assert_eq!((serving(&app).await, ground.schema("notes").await), (before, schema.clone()));
    let revisions = look(&app, "/v1/services/notes/revisions").await;
    assert_eq!(columns(&revisions, ["revision", "state", "weight"]), json!([[2, "idle", 0], [1, "active", 100]]));

    let digest = &kept.body["digest"];
    let moved = set_traffic(&app, "notes", &json!({ "2": 100 })).await;
    let expected = json!({ "service": "notes", "traffic": [{ "revision": 2, "digest": digest, "weight": 100 }] });
    assert_eq!((moved.status, moved.body), (200, expected));
    assert_eq!(answering(&app, LABEL).await, "notes@2");
    assert_ne!(ground.schema("notes").await, schema);
    app.stop().await;
}

async fn there_is_no_way_back_past_a_migration_that_contracts(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start_notes().await;
    let schema = ground.schema("notes").await;
    let contracting = notes(&[("second", MORE), ("contracts", "yes")]);
    let because = "notes@1 cannot run on the present schema: it does not know 0002_more, which contracts it";
    // Beside the present revision it cannot run, because that does not know the migration.
    let canary = app.upload("notes", "?canary=10", contracting.clone()).await;
    assert_eq!(assert_refused(&canary, 409, "schema-ahead"), because);
    assert_eq!((ground.schema("notes").await, answering(&app, LABEL).await.as_str()), (schema, "notes@1"));

    let whole = app.upload("notes", "", contracting).await;
    assert_eq!((whole.status, &whole.body["revision"]), (201, &json!(3)), "{:?}", whole.body);
    let before = serving(&app).await;
    for refused in [
        roll_back(&app, "notes", &json!({})).await,
        roll_back(&app, "notes", &json!({ "to": 1 })).await,
        set_traffic(&app, "notes", &json!({ "1": 50, "3": 50 })).await,
    ] {
        assert_eq!(assert_refused(&refused, 409, "schema-ahead"), because);
        assert_eq!(serving(&app).await, before);
    }
    let ignorant = app.upload("notes", "", variant(&notes(&[]), 1)).await;
    assert_eq!(assert_refused(&ignorant, 409, "schema-ahead"), because.replace("notes@1", "notes@4"));
    let audit = look(&app, "/v1/audit?service=notes&limit=2").await;
    let seen = columns(&audit, ["action", "outcome", "reason"]);
    let deploy = because.replace("notes@1", "notes@4");
    assert_eq!(seen, json!([["deploy", "refused", deploy], ["traffic", "refused", because]]));
    assert_eq!(serving(&app).await, before);
    app.stop().await;

    let app = ground.start_notes().await;
    assert_eq!((answering(&app, LABEL).await.as_str(), serving(&app).await), ("notes@3", before));
    app.stop().await;
}
