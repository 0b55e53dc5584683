//! Tokens that must not be accepted, and how revocation tells them apart.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::db::{Bounds, Storage};

async fn identity(folder: &std::path::Path) -> Identity {
    let storage = Storage::sqlite(folder.join("db"), std::time::Duration::from_secs(2)).expect("a folder");
    let bounds = Bounds {
        connections: 2,
        result_bytes: 1 << 20,
        statement_bytes: 4096,
        params_bytes: 4096,
        statement_timeout: std::time::Duration::from_secs(10),
    };
    let revocations =
        Revocations::load(Arc::new(storage.open("host", bounds).await.expect("opens"))).await.expect("loads");
    Identity::new("provesi", Keys::load_or_create(&folder.join("keys")).expect("keys"), Arc::new(revocations))
}

fn claims() -> Claims {
    Claims { user_id: 7, username: "ana".to_owned(), role: "ADMIN".to_owned(), ttl_seconds: 60 }
}

#[tokio::test]
async fn a_token_tells_whose_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let identity = identity(folder.path()).await;
    let token = identity.issue(&claims()).expect("signs");
    let bearer = identity.verify(&token.text).expect("good");
    assert_eq!((bearer.user_id, bearer.role.as_str(), bearer.token_id), (7, "ADMIN", token.id));
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let other_folder = tempfile::tempdir().expect("a folder");
    let identity = identity(folder.path()).await;
    let token = identity.issue(&claims()).expect("signs").text;
    let parts: Vec<&str> = token.split('.').collect();
    let raw = URL_SAFE_NO_PAD.decode(parts[0]).expect("base64");
    let header = String::from_utf8(raw).expect("utf-8");
    let unsigned = URL_SAFE_NO_PAD.encode(header.replace("EdDSA", "none"));
    let symmetric = URL_SAFE_NO_PAD.encode(header.replace("EdDSA", "HS256"));
    let mut payload = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64");
    let at = payload.windows(7).position(|window| window == b"\"sub\":\"").expect("a subject") + 7;
    payload[at] = b'1';
    let promoted = URL_SAFE_NO_PAD.encode(payload);
    let foreign = super::tests::identity(other_folder.path()).await.issue(&claims()).expect("signs").text;
    for bad in [
        String::new(),
        "a.b.c".to_owned(),
        format!("{unsigned}.{}.", parts[1]),
        format!("{unsigned}.{}.{}", parts[1], parts[2]),
        format!("{symmetric}.{}.{}", parts[1], parts[2]),
        format!("{}.{promoted}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        foreign,
    ] {
        assert!(identity.verify(&bad).is_err(), "{bad} was accepted");
    }
    assert!(identity.verify(&token).is_ok());
}

#[tokio::test]
async fn revoking_ends_one_token_or_all_of_a_user_and_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = identity(folder.path()).await;
    let [one, two] = [(); 2].map(|()| first.issue(&claims()).expect("signs"));
    first.revocations().revoke_token(&one.id).await.expect("stored");
    assert!(first.verify(&one.text).is_err());
    assert!(first.verify(&two.text).is_ok());
    first.revocations().revoke_user(7).await.expect("stored");
    assert!(first.verify(&two.text).is_err());
    let later = first.issue(&claims()).expect("signs");
    assert!(first.verify(&later.text).is_ok());
    drop(first);
    let restarted = identity(folder.path()).await;
    assert!(restarted.verify(&one.text).is_err());
    assert!(restarted.verify(&two.text).is_err());
    assert!(restarted.verify(&later.text).is_ok());
}

#[tokio::test]
async fn a_token_that_is_remembered_is_refused_once_it_has_expired_or_was_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let identity = identity(folder.path()).await;
    let [expires, revoked, of_a_user] = [(); 3].map(|()| identity.issue(&claims()).expect("signs"));
    for token in [&expires, &revoked, &of_a_user] {
        assert!(identity.verify(&token.text).is_ok());
    }
    assert_eq!(identity.verified.count(), 3);
    assert!(identity.verify_at(&expires.text, now_micros() + 61_000_000).is_err(), "it lives for a minute");
    assert_eq!(identity.verified.count(), 2, "it is forgotten");
    identity.revocations().revoke_token(&revoked.id).await.expect("stored");
    assert!(identity.verify(&revoked.text).is_err() && identity.verify(&of_a_user.text).is_ok());
    identity.revocations().revoke_user(7).await.expect("stored");
    assert!(identity.verify(&of_a_user.text).is_err());
}

#[tokio::test]
async fn a_token_that_is_remembered_vouches_for_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let identity = identity(folder.path()).await;
    let token = identity.issue(&claims()).expect("signs").text;
    assert!(identity.verify(&token).is_ok());
    let altered = (0..token.len()).step_by(7).chain([token.len() - 1]).map(|at| {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &token[..at], &token[at + 1..])
    });
    for bad in altered.chain([format!("{token} "), format!("{token}="), token[..token.len() - 1].to_owned()]) {
        assert!(identity.verify(&bad).is_err(), "{bad} was accepted");
    }
    assert_eq!(identity.verified.count(), 1, "what is bad is not remembered");
    assert!(identity.verify(&token).is_ok());
}

#[tokio::test]
async fn what_other_keys_have_signed_is_not_remembered_with_new_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = identity(folder.path()).await;
    let token = before.issue(&claims()).expect("signs").text;
    assert!(before.verify(&token).is_ok());
    drop(before);
    std::fs::remove_dir_all(folder.path().join("keys")).expect("the old key is taken away");
    assert!(identity(folder.path()).await.verify(&token).is_err());
}
