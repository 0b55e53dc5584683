//! Grants HTTP requests to the destinations that an operator lists, through `wasi:http` 0.2; see `names::Destination`.
//!
//! HTTP/1.1, plain or over TLS with the system's root certificates; a connection of its own for each request. No
//! redirect is followed and no proxy asked: where an answer sends the guest is another request, and looked up in the
//! list again. A listed name counts only where it leads to public addresses, or to those on the list themselves: who
//! owns a name must not open the operator's own network to a guest.
//!
//! All of it is bounded: requests of an instance, connections and lookups of a revision, the bytes of an answer, and
//! every wait by the invocation's deadline. What is still under way when the store is dropped ends with it.

mod addresses;
mod answer;
mod connection;
mod exchange;

use std::sync::Arc;
use std::time::Instant;

use hyper::http::uri::Scheme as UriScheme;
use hyper::{Method, Request, Response, Uri};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use self::connection::Connector;
use crate::names::{Destination, Scheme, Target};

/// Requests of one instance, refused ones too; who needs more is a crawler.
const MAX_REQUESTS: u32 = 32;

/// Bytes of all fields of one set of headers, with what they take in memory beside.
const MAX_FIELDS: usize = 16 << 10;

/// Bytes that a guest may write to a body before the network takes them.
const BODY_WINDOW: usize = 64 << 10;

/// Where a revision may send requests, and how many are under way; shared by its instances.
pub struct Outbound {
    allowed: Vec<Destination>,
    connector: Connector,
}

/// The requests of one instance.
pub struct OutboundCtx {
    http: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    /// None while a component is described, and for services without the grant.
    outbound: Option<Arc<Outbound>>,
    deadline: Instant,
    requests_left: u32,
}

/// What ends when a connection does, and what came on it.
type Ended = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Ended), Error>;

/// Adds the interfaces to a linker.
///
/// # Errors
/// When they are there already.
pub fn add_to_linker<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

// === impl Outbound ===

impl Outbound {
    /// Allows a list of destinations; nothing when it is empty.
    ///
    /// Reads the system's root certificates if one of them is to be reached over TLS.
    pub fn new(allowed: Vec<Destination>) -> Self {
        let over_tls = allowed.iter().any(|destination| destination.scheme() == Scheme::Https);
        let connector = if over_tls { Connector::with_tls() } else { Connector::plain() };
        Self { allowed, connector }
    }

    fn admits(&self, target: &Target) -> bool {
        self.allowed.iter().any(|destination| destination.admits(target))
    }
}

// === impl OutboundCtx ===

impl OutboundCtx {
    /// Grants what a revision may reach, until a deadline.
    pub fn new(outbound: Option<Arc<Outbound>>, deadline: Instant) -> Self {
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(MAX_FIELDS);
        Self { http, hooks: Hooks { outbound, deadline, requests_left: MAX_REQUESTS } }
    }

    /// Borrows what one call needs.
    pub fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.http }
    }
}

// === impl Hooks ===

impl Hooks {
    /// Counts a request and finds out whether it may be sent, and where to.
    fn admit(&mut self, request: &Request<WasiBody>) -> Result<(Arc<Outbound>, Target), Error> {
        let outbound = self.outbound.clone().ok_or(Error::HttpRequestDenied)?;
        self.requests_left = self.requests_left.checked_sub(1).ok_or(Error::ConnectionLimitReached)?;
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let target = target(request.uri()).filter(|target| outbound.admits(target)).ok_or(Error::HttpRequestDenied)?;
        Ok((outbound, target))
    }
}

fn target(uri: &Uri) -> Option<Target> {
    let scheme = match uri.scheme()? {
        scheme if *scheme == UriScheme::HTTP => Scheme::Http,
        scheme if *scheme == UriScheme::HTTPS => Scheme::Https,
        _ => return None,
    };
    Target::new(scheme, uri.authority()?.as_str())
}

impl WasiHttpHooks for Hooks {
    fn set_host_header(&mut self) -> bool {
        // `exchange` writes it, as the destination was understood.
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_WINDOW
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        match self.admit(&request) {
            Ok((outbound, target)) => {
                let options = options.unwrap_or_default();
                Box::new(exchange::send(outbound, target, request, options, self.deadline))
            }
            Err(error) => Box::new(std::future::ready(Sent::Err(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt as _, Empty};

    use super::*;

    fn request(uri: &str) -> Request<WasiBody> {
        let body = Empty::<bytes::Bytes>::new().map_err(|never| match never {}).boxed_unsync();
        Request::builder().uri(uri).body(body).expect("a request")
    }

    fn hooks(allowed: &[&str]) -> Hooks {
        let allowed = allowed.iter().map(|text| text.parse().expect("valid")).collect();
        OutboundCtx::new(Some(Arc::new(Outbound::new(allowed))), Instant::now() + Duration::from_secs(5)).hooks
    }

    #[test]
    fn nothing_goes_out_without_the_grant() {
        let mut hooks = OutboundCtx::new(None, Instant::now() + Duration::from_secs(5)).hooks;
        assert!(matches!(hooks.admit(&request("http://127.0.0.1:1/")), Err(Error::HttpRequestDenied)));
    }

    #[test]
    fn only_listed_destinations_are_admitted() {
        let mut hooks = hooks(&["http://127.0.0.1:9999"]);
        for denied in ["http://127.0.0.1:9998/", "https://127.0.0.1:9999/", "http://localhost:9999/", "/only/a/path"] {
            assert!(matches!(hooks.admit(&request(denied)), Err(Error::HttpRequestDenied)), "{denied}");
        }
        let (_, target) = hooks.admit(&request("http://127.0.0.1:9999/a?b=c")).expect("listed");
        assert_eq!(target.authority(), "127.0.0.1:9999");
        let mut tunnel = request("http://127.0.0.1:9999/");
        *tunnel.method_mut() = Method::CONNECT;
        assert!(matches!(hooks.admit(&tunnel), Err(Error::HttpRequestMethodInvalid)));
    }

    #[test]
    fn an_instance_has_a_number_of_requests() {
        let mut hooks = hooks(&["http://127.0.0.1:9999"]);
        for _ in 0..MAX_REQUESTS {
            assert!(hooks.admit(&request("http://127.0.0.1:9999/")).is_ok());
        }
        let next = hooks.admit(&request("http://127.0.0.1:9999/"));
        assert!(matches!(next, Err(Error::ConnectionLimitReached)));
    }
}
