//! Who asks, and whether the route admits them.
//!
//! A bearer token comes first; the cookie counts on an unsafe method only from the same origin, because a browser
//! sends it along with whatever another site makes it send.

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, HeaderValue, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Uri};

use super::error::ApiError;
use crate::bindings::exports::provesi::platform::service::Caller;
use crate::config::AccessMode;
use crate::identity::{Bearer, Identity};
use crate::registry::{Access, Route};

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Name of the cookie that holds the same token as the bearer header.
const COOKIE_NAME: &str = "sessionid";

/// Admits a request or says why not; a good token makes a caller on public routes too.
pub(super) fn admit(
    route: &Route,
    head: &Parts,
    identity: &Identity,
    mode: AccessMode,
) -> Result<Option<Caller>, ApiError> {
    let bearer = token(&head.headers, &head.method, &head.uri).and_then(|token| identity.verify(token).ok());
    let open = mode == AccessMode::Open && route.open_in_legacy;
    match (&route.access, &bearer) {
        (Access::Public, _) => {}
        _ if open => {}
        (_, None) => return Err(ApiError::Unauthenticated),
        (Access::SignedIn, Some(_)) => {}
        (Access::Roles(roles), Some(bearer)) if roles.contains(&bearer.role) => {}
        (Access::Roles(_), Some(_)) => return Err(ApiError::Forbidden),
    }
    let caller = |bearer: Bearer| Caller {
        user_id: bearer.user_id,
        username: bearer.username,
        role: bearer.role,
        token_id: bearer.token_id,
    };
    Ok(bearer.map(caller))
}

/// Adds `Secure` to the cookies of services, which do not know whether TLS ends in front of the gateway.
pub(super) fn secure_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in cookies {
        let secured = [cookie.as_bytes(), b"; Secure"].concat();
        headers.append(SET_COOKIE, HeaderValue::from_bytes(&secured).unwrap_or(cookie));
    }
}

/// Names whoever asks, for keeping them on one revision; none when no good token came.
pub(super) fn caller_key<B>(request: &Request<B>, identity: &Identity) -> Option<String> {
    let token = token(request.headers(), request.method(), request.uri())?;
    identity.verify(token).ok().map(|bearer| bearer.user_id.to_string())
}

fn token<'h>(headers: &'h HeaderMap, method: &Method, uri: &Uri) -> Option<&'h str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    let token = cookie(headers)?;
    (method.is_safe() || same_origin(headers, uri)).then_some(token)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME).then_some(value)
    })
}

/// Says whether no other site made the browser send this. Every browser tells, on unsafe methods, by `Origin` or by
/// `Sec-Fetch-Site`; what tells neither is no browser, and nobody can make it send a cookie.
fn same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let site_is_ours = headers.get(&SEC_FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none");
    let origin_is_ours = headers.get(ORIGIN).is_none_or(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
        // HTTP/2 has the authority in the target, HTTP/1.1 in a header.
        let host = uri.authority().map(|authority| authority.as_str());
        authority.is_some() && authority == host.or_else(|| headers.get(HOST)?.to_str().ok())
    });
    site_is_ours && origin_is_ours
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn found(method: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        token(&head.headers, &head.method, &head.uri).map(str::to_owned)
    }

    #[test]
    fn a_token_comes_from_the_header_or_the_cookie() {
        assert_eq!(found("GET", &[("authorization", "Bearer abc")]).as_deref(), Some("abc"));
        assert_eq!(found("POST", &[("authorization", "bearer abc")]).as_deref(), Some("abc"));
        assert_eq!(found("GET", &[("cookie", "a=b; sessionid=abc")]).as_deref(), Some("abc"));
        assert_eq!(found("GET", &[("authorization", "Basic abc"), ("cookie", "sessionid=x")]), None);
        assert_eq!(found("GET", &[("cookie", "xsessionid=abc")]), None);
    }

    #[test]
    fn a_cookie_does_not_count_when_another_site_sends_it() {
        let cookie = ("cookie", "sessionid=abc");
        let host = ("host", "provesi.test:8000");
        let with = |headers: &[(&'static str, &'static str)]| found("POST", &[&[cookie, host], headers].concat());
        assert!(with(&[]).is_some());
        assert!(with(&[("origin", "http://provesi.test:8000")]).is_some());
        assert!(with(&[("sec-fetch-site", "same-origin")]).is_some());
        assert!(with(&[("origin", "http://evil.test")]).is_none());
        assert!(with(&[("origin", "null")]).is_none());
        assert!(with(&[("sec-fetch-site", "cross-site")]).is_none());
        assert!(found("GET", &[cookie, host, ("origin", "http://evil.test")]).is_some());
    }

    #[test]
    fn over_http2_the_target_says_which_origin_is_ours() {
        let counts = |origin: &str| {
            let request = Request::builder().method("POST").uri("http://provesi.test:8000/api/");
            let request = request.header("cookie", "sessionid=abc").header("origin", origin);
            let (head, ()) = request.body(()).expect("a request").into_parts();
            token(&head.headers, &head.method, &head.uri).is_some()
        };
        assert!(counts("http://provesi.test:8000"));
        assert!(!counts("http://evil.test"));
    }
}
