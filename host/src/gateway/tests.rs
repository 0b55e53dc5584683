//! What every answer has, also one to a request that met a mistake of the host.

use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

async fn answer(router: Router) -> (u16, String, serde_json::Value) {
    let request = Request::builder().uri("/").header("x-request-id", "abc").body(Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"].to_str().expect("a text").to_owned();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, id, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn a_panic_is_one_500_and_is_counted() {
    let broken = async || -> StatusCode { panic!("a secret of the host") };
    let router = Router::new().route("/", get(broken)).layer(axum::middleware::from_fn(observe));
    let before = listener::panic_count();
    let (status, id, body) = answer(router).await;
    assert_eq!((status, id.as_str()), (500, "abc"));
    assert_eq!(body, serde_json::json!({ "error": "Error interno del servidor" }));
    // Other tests of this process may panic, too.
    assert!(listener::panic_count() > before);
}

#[test]
fn a_client_is_told_when_to_send_its_body_again() {
    let response = axum::response::IntoResponse::into_response(ApiError::BodiesFull);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
}
