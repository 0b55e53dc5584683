//! Compares two answers before anything is timed: a server that does less would be faster.

use anyhow::{Context as _, ensure};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use serde_json::Value;

use super::cases::{Against, Case};
use super::server::Server;
use super::stage::Tokens;

/// Fields that no two requests which change something have in common.
const VOLATILE: [&str; 4] = ["confirmed_at", "created_at", "id", "updated_at"];

/// An answer as a client sees it.
struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

/// Asks both sides and says where they differ.
pub(crate) async fn check(
    client: &Client,
    case: &Case,
    tokens: &Tokens,
    ours: &Server,
    theirs: &Server,
) -> anyhow::Result<()> {
    let their_path = match case.against {
        Against::Twin => case.path,
        Against::Itself(path) => path,
    };
    let ours = ask(client, case, tokens, &format!("{}{}", ours.base(), case.path)).await?;
    let theirs = ask(client, case, tokens, &format!("{}{their_path}", theirs.base())).await?;
    let what = case.label;
    ensure!(ours.status == 200, "{what}: {} {}", ours.status, ours.body);
    ensure!(ours.status == theirs.status, "{what}: status {} and {}", ours.status, theirs.status);
    let (our_type, their_type) = (&ours.content_type, &theirs.content_type);
    ensure!(our_type == their_type, "{what}: content type {our_type:?} and {their_type:?}");
    if case.changes {
        return check_alike(what, &ours.body, &theirs.body);
    }
    ensure!(ours.body == theirs.body, "{what}: the bodies differ:\n{}\n{}", ours.body, theirs.body);
    Ok(())
}

async fn ask(client: &Client, case: &Case, tokens: &Tokens, url: &str) -> anyhow::Result<Answer> {
    let method: Method = case.method.parse()?;
    let mut request = client.request(method, url);
    if let Some(token) = tokens.of(case.user) {
        request = request.bearer_auth(token);
    }
    if !case.body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json").body(case.body);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    Ok(Answer { status, content_type, body: response.text().await? })
}

/// Compares two bodies up to the digits of ids and times.
fn check_alike(what: &str, ours: &str, theirs: &str) -> anyhow::Result<()> {
    ensure!(shape(ours) == shape(theirs), "{what}: the bodies have not one shape:\n{ours}\n{theirs}");
    let steady = |body: &str| -> anyhow::Result<Value> {
        let mut value = serde_json::from_str(body).with_context(|| format!("{what}: no JSON: {body}"))?;
        forget(&mut value);
        Ok(value)
    };
    ensure!(
        steady(ours)? == steady(theirs)?,
        "{what}: the bodies differ in more than ids and times:\n{ours}\n{theirs}"
    );
    Ok(())
}

/// Puts one zero in the place of each row of digits: keys, their order, types and texts are left.
fn shape(body: &str) -> String {
    let mut shape = String::with_capacity(body.len());
    for character in body.chars() {
        if !character.is_ascii_digit() {
            shape.push(character);
        } else if !shape.ends_with('0') {
            shape.push('0');
        }
    }
    shape
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}
