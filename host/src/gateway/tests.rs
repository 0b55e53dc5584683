//! What every answer has, also one to a request that met a mistake of the host.

use super::*;
use http_body_util::BodyExt as _;

async fn answer<F: Future<Output = Answered>>(
    with: impl FnOnce(Request<Body>, RequestId) -> F,
) -> (u16, String, serde_json::Value) {
    let request = Request::builder().uri("/").header("x-request-id", "abc").body(Body::empty()).expect("a request");
    let response = observe(request, with).await;
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"].to_str().expect("a text").to_owned();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, id, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn a_panic_is_one_500_and_is_counted() {
    async fn broken(_: Request<Body>, _: RequestId) -> Answered {
        panic!("a secret of the host")
    }
    let before = listener::panic_count();
    let (status, id, body) = answer(broken).await;
    assert_eq!((status, id.as_str()), (500, "abc"));
    assert_eq!(body, serde_json::json!({ "error": "Error interno del servidor" }));
    // Other tests of this process may panic, too.
    assert!(listener::panic_count() > before);
}

#[tokio::test]
async fn an_answer_to_head_has_the_length_of_its_body_and_not_the_body() {
    let answered =
        |_: Request<Body>, _: RequestId| async { Answered { response: Response::new(Body::from("1234")), by: None } };
    for (method, length) in [("GET", 4), ("HEAD", 0)] {
        let request = Request::builder().method(method).uri("/").body(Body::empty()).expect("a request");
        let response = observe(request, answered).await;
        assert_eq!(response.headers()["content-length"], "4", "{method}");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body.len(), length, "{method}");
    }
}

#[test]
fn a_client_is_told_when_to_send_its_body_again() {
    let response = axum::response::IntoResponse::into_response(ApiError::BodiesFull);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
}
