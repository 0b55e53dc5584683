//! What is refused before a router sees it, because it is no request of this protocol or more than is taken.
//!
//! As with what hyper refuses by itself, such an answer has no body, and HTTP/1.1 connections end with it.

use axum::body::Body;
use axum::http::header::{CONNECTION, HOST, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode, Version};

/// Says with what a request is refused; none for one that is fit for a router.
pub(super) fn of<B>(request: &Request<B>, max_headers: usize) -> Option<StatusCode> {
    if request.headers().len() > max_headers {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    // A tunnel leads nowhere here (RFC 9110 §9.3.6), and its target is no path.
    if request.method() == Method::CONNECT {
        return Some(StatusCode::NOT_IMPLEMENTED);
    }
    // RFC 9112 §3.2: whoever answers and whoever stands before it could take another one for the host.
    let hosts = request.headers().get_all(HOST).iter().count();
    let missing = hosts == 0 && request.version() == Version::HTTP_11;
    (missing || hosts > 1).then_some(StatusCode::BAD_REQUEST)
}

/// Makes the answer to a request of a version.
pub(super) fn answer(status: StatusCode, version: Version) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: Method, version: Version, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().method(method).uri("/").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        of(&request.body(()).expect("a request"), 3).map(|status| status.as_u16())
    }

    #[test]
    fn a_request_names_one_host_and_few_headers() {
        let host = ("host", "a");
        assert_eq!(refused(Method::GET, Version::HTTP_11, &[host]), None);
        assert_eq!(refused(Method::GET, Version::HTTP_11, &[]), Some(400));
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(refused(Method::GET, version, &[host, ("host", "b")]), Some(400), "{version:?}");
            assert_eq!(refused(Method::CONNECT, version, &[host]), Some(501), "{version:?}");
            let many = [host, ("a", ""), ("a", ""), ("b", "")];
            assert_eq!(refused(Method::GET, version, &many), Some(431), "{version:?}");
        }
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert_eq!(refused(Method::GET, version, &[]), None, "{version:?}");
        }
    }

    #[test]
    fn a_refused_client_is_told_that_the_connection_ends() {
        assert_eq!(answer(StatusCode::BAD_REQUEST, Version::HTTP_11).headers()["connection"], "close");
        assert!(answer(StatusCode::BAD_REQUEST, Version::HTTP_2).headers().is_empty());
    }
}
