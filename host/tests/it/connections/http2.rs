//! What a client of HTTP/2 can do to the host with frames that no library would send.

use super::raw::Raw;
use super::{bounds, send};
use crate::support::TestApp;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// The headers of `GET <path>`, in HPACK: two of the static table, two with a value of their own.
fn get(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    [&[0x82, 0x86, 0x04, length][..], path.as_bytes(), &[0x01, 1, b'a']].concat()
}

/// Begins a connection, with some settings.
pub(super) fn preface(settings: &[u8]) -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, settings)].concat()
}

/// Gets a path, by a client whose windows are closed: it takes nothing of an answer's body.
pub(super) fn get_with_closed_windows(path: &str) -> Vec<u8> {
    [preface(&[0, 4, 0, 0, 0, 0]), frame(HEADERS, END_STREAM | END_HEADERS, 1, &get(path))].concat()
}

/// Returns the kinds of the frames in what was read.
fn kinds(mut read: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = read {
        kinds.push(*kind);
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        read = rest.get(length..).unwrap_or_default();
    }
    kinds
}

/// Sends bytes on a connection of their own until the host closes it; meanwhile and afterwards it answers others.
async fn is_cut_off(app: &TestApp, bytes: Vec<u8>) {
    let mut raw = Raw::open(app).await;
    let flood = async {
        raw.send(bytes).await;
        raw.rest().await
    };
    let (_, answer) = tokio::join!(flood, app.get("/health/", ""));
    assert_eq!(answer.status, 200);
    assert_eq!(app.get("/health/", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_all_its_requests_is_cut_off() {
    let app = bounds("").await;
    let mut flood = preface(&[]);
    for stream in (1..2000).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get("/health/")));
        flood.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
    }
    is_cut_off(&app, flood).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_headers_do_not_end_is_cut_off() {
    let app = bounds("").await;
    let mut flood = preface(&[]);
    flood.extend(frame(HEADERS, END_STREAM, 1, &get("/health/")));
    for _ in 0..1000 {
        flood.extend(frame(CONTINUATION, 0, 1, &[]));
    }
    is_cut_off(&app, flood).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_is_told_to_end_when_no_request_comes() {
    let app = bounds("head-timeout = \"10m\"\nidle-timeout = \"300ms\"\nwrite-timeout = \"300ms\"").await;
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/health/"));
    let kinds = kinds(&send(&app, [preface(&[]), request].concat()).await);
    let at = |kind: u8| kinds.iter().position(|found| *found == kind);
    assert!(at(HEADERS).is_some() && at(DATA) > at(HEADERS) && at(GOAWAY) > at(DATA), "{kinds:?}");
    app.stop().await;
}
