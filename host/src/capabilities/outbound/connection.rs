//! Looks a host up, connects to it, and makes sure that it is who it should be.

use std::io::{Error as IoError, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_util::either::Either;
use wasmtime_wasi_http::Error;

use super::addresses::is_public;
use crate::names::{Destination, Host, Scheme, Target};

/// Connections of one revision at once: a bound for sockets that one service can take from the others.
const MAX_CONNECTIONS: usize = 64;

/// Lookups of one revision at once: each holds a thread of a pool that all share, for as long as a name server likes.
const MAX_LOOKUPS: usize = 4;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// Makes connections, a bounded number at a time.
pub(super) struct Connector {
    connections: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    tls: Option<TlsConnector>,
}

/// A connection, with or without TLS.
pub(super) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

impl Connector {
    pub(super) fn plain() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { connections: semaphore(MAX_CONNECTIONS), lookups: semaphore(MAX_LOOKUPS), tls: None }
    }

    /// The same with the system's root certificates; without any, every connection over TLS fails.
    pub(super) fn with_tls() -> Self {
        Self { tls: tls(), ..Self::plain() }
    }

    /// Connects to an admitted target; the connection counts until its permit is dropped.
    pub(super) async fn connect(
        &self,
        target: &Target,
        allowed: &[Destination],
    ) -> Result<(Stream, OwnedSemaphorePermit), Error> {
        let permit = Arc::clone(&self.connections).acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
        let addresses = self.addresses(target, allowed).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| unreachable(&error))?;
        let stream = match target.scheme {
            Scheme::Http => Either::Left(stream),
            Scheme::Https => Either::Right(self.secure(stream, &target.host).await?),
        };
        Ok((stream, permit))
    }

    async fn addresses(&self, target: &Target, allowed: &[Destination]) -> Result<Vec<SocketAddr>, Error> {
        let found = match &target.host {
            // It is on the list as it stands.
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, target.port)]),
            Host::Name(name) => self.look_up(name.clone(), target.port).await?,
        };
        let admitted = admitted(found, target, allowed);
        if admitted.is_empty() { Err(Error::DestinationIpProhibited) } else { Ok(admitted) }
    }

    async fn look_up(&self, name: String, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let turn = Arc::clone(&self.lookups).acquire_owned().await.map_err(|_| Error::DnsTimeout)?;
        let look_up = move || {
            // The turn belongs to the lookup, which goes on when the guest has gone.
            let _turn = turn;
            (name.as_str(), port).to_socket_addrs().map(|found| found.take(MAX_ADDRESSES).collect::<Vec<_>>())
        };
        match tokio::task::spawn_blocking(look_up).await {
            Ok(Ok(found)) if !found.is_empty() => Ok(found),
            Ok(_) => Err(Error::DnsError { rcode: None, info_code: None }),
            Err(_) => Err(Error::InternalError(None)),
        }
    }

    async fn secure(&self, stream: TcpStream, host: &Host) -> Result<TlsStream<TcpStream>, Error> {
        let tls = self.tls.as_ref().ok_or(Error::TlsCertificateError)?;
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Error::HttpRequestUriInvalid)?,
        };
        tls.connect(name, stream).await.map_err(|error| untrusted(&error))
    }
}

/// Keeps the addresses that a name may lead to: public ones, and those that the list names themselves.
fn admitted(found: Vec<SocketAddr>, target: &Target, allowed: &[Destination]) -> Vec<SocketAddr> {
    let listed = |address: IpAddr| {
        let literal = Target { host: Host::Address(address.to_canonical()), ..target.clone() };
        allowed.iter().any(|destination| destination.admits(&literal))
    };
    found.into_iter().filter(|address| is_public(address.ip()) || listed(address.ip())).collect()
}

fn tls() -> Option<TlsConnector> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!(problems = ?found.errors, "no root certificates: no request over TLS can be sent");
        return None;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
}

fn unreachable(error: &IoError) -> Error {
    match error.kind() {
        ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        ErrorKind::TimedOut => Error::ConnectionTimeout,
        _ => Error::DestinationUnavailable,
    }
}

fn untrusted(error: &IoError) -> Error {
    let reason = error.get_ref().and_then(|reason| reason.downcast_ref::<rustls::Error>());
    match reason {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(_) => Error::TlsProtocolError,
        None => Error::ConnectionTerminated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_public_addresses_and_to_listed_ones() {
        let list =
            |texts: &[&str]| -> Vec<Destination> { texts.iter().map(|text| text.parse().expect("valid")).collect() };
        let target = Target::new(Scheme::Http, "inside.example.com:8080").expect("valid");
        let found: Vec<SocketAddr> = ["93.184.216.34:8080", "10.0.0.5:8080", "[::1]:8080"]
            .map(|text| text.parse::<SocketAddr>().expect("valid"))
            .to_vec();
        let by_name = list(&["http://inside.example.com:8080"]);
        assert_eq!(admitted(found.clone(), &target, &by_name), found[..1]);
        let by_both = list(&["http://inside.example.com:8080", "http://10.0.0.5:8080"]);
        assert_eq!(admitted(found.clone(), &target, &by_both), found[..2]);
        let of_another_port = list(&["http://inside.example.com:8080", "http://10.0.0.5"]);
        assert_eq!(admitted(found.clone(), &target, &of_another_port), found[..1]);
    }

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused() {
        let allowed = ["http://localhost:1".parse::<Destination>().expect("valid")];
        let target = Target::new(Scheme::Http, "localhost:1").expect("valid");
        let outcome = Connector::plain().connect(&target, &allowed).await;
        assert!(matches!(outcome, Err(Error::DestinationIpProhibited | Error::DnsError { .. })));
    }
}
