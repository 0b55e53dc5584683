//! One request and its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::time::timeout_at;
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::answer::Answer;
use super::{Ended, Outbound, Sent};
use crate::names::Target;

/// Time for a place, a lookup, a connection and TLS together, unless the guest says another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that are held at once, and so of its head.
const MAX_BUFFERED: usize = 64 << 10;

/// Sends a request to where it was admitted to.
///
/// # Cancel safety
/// Dropped, it closes the connection; whether the other side has acted is not known then.
pub(super) async fn send(
    outbound: Arc<Outbound>,
    target: Target,
    mut request: Request<WasiBody>,
    options: RequestOptions,
    deadline: Instant,
) -> Sent {
    address(&mut request, &target)?;
    let connect = outbound.connector.connect(&target, &outbound.allowed);
    let connect_by = by(Some(options.connect_timeout.unwrap_or(CONNECT_TIMEOUT)), deadline);
    let (stream, permit) = timeout_at(connect_by, connect).await.map_err(|_| Error::ConnectionTimeout)??;
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_BUFFERED);
    let handshake = http.handshake::<_, WasiBody>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    // The task ends when its handle is dropped: here on an error, in the guest's table afterwards.
    let connection = spawn(async move {
        let _permit = permit;
        connection.await
    });
    let answered = timeout_at(by(options.first_byte_timeout, deadline), sender.send_request(request)).await;
    let response = answered.map_err(|_| Error::ConnectionReadTimeout)?.map_err(|error| broken(&error))?;
    let response = response.map(|body| Answer::new(body, options.between_bytes_timeout, deadline).boxed_unsync());
    let ended: Ended = Box::new(async move {
        // The guest learns of it from the body.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of a guest broke");
        }
        Ok(())
    });
    Ok((response, ended))
}

/// Writes what goes onto the wire: the path alone, and the host as it was understood.
fn address(request: &mut Request<WasiBody>, target: &Target) -> Result<(), Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    *request.uri_mut() = Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)?;
    let host = HeaderValue::from_str(&target.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// Returns when a wait ends that begins now: after what the guest wants, and at the deadline.
pub(super) fn by(wanted: Option<Duration>, deadline: Instant) -> tokio::time::Instant {
    let wanted = wanted.and_then(|wanted| Instant::now().checked_add(wanted));
    wanted.map_or(deadline, |wanted| wanted.min(deadline)).into()
}

/// Says in the standard's terms what is wrong with a connection.
pub(super) fn broken(error: &hyper::Error) -> Error {
    tracing::debug!(%error, "a request of a guest failed");
    if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() || error.is_user() {
        Error::HttpProtocolError
    } else {
        Error::ConnectionTerminated
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;

    use super::*;
    use crate::names::Scheme;

    #[test]
    fn the_wire_gets_a_path_and_the_host_that_was_admitted() {
        for (uri, path, host) in [
            ("http://Example.com:80/a/b?c=d", "/a/b?c=d", "example.com"),
            ("http://example.com:8080", "/", "example.com:8080"),
            ("http://example.com?c=d", "/?c=d", "example.com"),
        ] {
            let body = Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
            let mut request = Request::builder().uri(uri).header(HOST, "evil.test").body(body).expect("a request");
            let authority = request.uri().authority().expect("an authority").as_str().to_owned();
            let target = Target::new(Scheme::Http, &authority).expect("valid");
            address(&mut request, &target).expect("valid");
            assert_eq!(
                (request.uri().to_string().as_str(), request.headers()[HOST].as_bytes()),
                (path, host.as_bytes())
            );
            assert_eq!(request.headers().get_all(HOST).iter().count(), 1);
        }
    }

    #[test]
    fn no_wait_outlasts_the_deadline() {
        let deadline = Instant::now() + Duration::from_secs(60);
        let end = tokio::time::Instant::from(deadline);
        for wanted in [None, Some(Duration::MAX), Some(Duration::from_secs(3600))] {
            assert_eq!(by(wanted, deadline), end, "{wanted:?}");
        }
        assert!(by(Some(Duration::ZERO), deadline) < end);
    }
}
