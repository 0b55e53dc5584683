//! Deploys at the same time: those of one service take turns, those of two do not undo each other.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use super::revisions::{component, notes, read, variant};
use super::{Ground, LABEL, REVISION, answering, assert_refused, columns, look};
use crate::support::{Backend, Setup};

on_each_database!(deploys_of_one_service_at_once_take_turns, deploys_of_two_services_at_once_both_serve);

async fn deploys_of_one_service_at_once_take_turns(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start_notes().await;
    let labels: Vec<String> = (0..4).map(|upload| format!("upload {upload}")).collect();
    let uploads = labels.iter().map(|label| app.upload("notes", "", notes(&[("label", label.as_str())])));
    let answers = join_all(uploads).await;
    let mut last = None;
    let mut numbers = BTreeSet::from([1]);
    for (answer, label) in answers.iter().zip(&labels) {
        if answer.status != 201 {
            assert_refused(answer, 409, "deploy-in-progress");
            assert_eq!(answer.header("retry-after"), "1");
            continue;
        }
        assert_eq!(answer.body["state"], "active");
        let number = answer.body["revision"].as_u64().expect("a number");
        assert!(numbers.insert(number), "{number} was given twice: {answers:?}");
        last = last.max(Some((number, label, answer.body["digest"].as_str().expect("a digest"))));
    }
    let (number, label, digest) = last.expect("one of them was first");
    let service = look(&app, "/v1/services/notes").await;
    assert_eq!(service["traffic"], json!([{ "revision": number, "digest": digest, "weight": 100 }]));
    let answer = app.get(LABEL, "").await;
    assert_eq!((answer.header(REVISION), &answer.body), (format!("notes@{number}").as_str(), &json!(label)));
    let revisions = look(&app, "/v1/services/notes/revisions").await;
    let kept = columns(&revisions, ["revision"]);
    let all: Value = numbers.iter().rev().map(|number| json!([number])).collect();
    assert_eq!(kept, all, "one revision for each that was accepted");
    app.stop().await;
}

async fn deploys_of_two_services_at_once_both_serve(backend: Backend) {
    let Some(ground) = Ground::new(backend) else { return };
    let app = ground.start(&Setup { services: &["products", "inventory"], ..Setup::default() }).await;
    for round in 1..=3 {
        let next = |name: &str| variant(&read(&component(name)), round);
        let products = app.upload("products", "", next("products"));
        let inventory = app.upload("inventory", "", next("inventory"));
        let (products, inventory) = futures::join!(products, inventory);
        for answer in [&products, &inventory] {
            assert_eq!((answer.status, &answer.body["revision"]), (201, &json!(round + 1)), "{:?}", answer.body);
        }
        assert_eq!(answering(&app, "/api/products/1/").await, format!("products@{}", round + 1));
        assert_eq!(answering(&app, "/api/warehouses/1/").await, format!("inventory@{}", round + 1));
    }
    app.stop().await;
}
