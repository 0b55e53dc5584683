//! Turns what a guest answered into something that can be sent, or into its fault.

use bytesize::ByteSize;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::bindings::exports::provesi::platform::service::Response;
use crate::fault::GuestFault;

/// Headers of one response, and bytes of all of them.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Headers that belong to the connection or to the gateway.
const NOT_THE_GUESTS: [&str; 9] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-request-id",
];

/// Statuses of answers that have no body.
const WITHOUT_CONTENT: [StatusCode; 3] = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];

/// An answer that can be sent.
#[derive(Debug)]
pub struct Answer {
    /// 200 to 599.
    pub status: StatusCode,
    /// Valid headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Checks a guest's response to an operation that it describes.
    ///
    /// # Errors
    /// When it cannot be sent, or says that the guest does not know the operation.
    pub(super) fn check(response: Response, operation: &str, max_body: ByteSize) -> Result<Self, GuestFault> {
        let invalid = |what: String| GuestFault::InvalidResponse(what);
        if response.status == StatusCode::NOT_IMPLEMENTED.as_u16() {
            return Err(GuestFault::UndeclaredOperation(operation.to_owned()));
        }
        let status = StatusCode::from_u16(response.status)
            .ok()
            .filter(|status| (200..600).contains(&status.as_u16()))
            .ok_or_else(|| invalid(format!("status {}", response.status)))?;
        if response.body.len() as u64 > max_body.as_u64() {
            return Err(invalid(format!("a body of {} bytes", response.body.len())));
        }
        if WITHOUT_CONTENT.contains(&status) && !response.body.is_empty() {
            return Err(invalid(format!("status {} with a body", response.status)));
        }
        let size: usize = response.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if response.headers.len() > MAX_HEADERS || size > MAX_HEADER_BYTES {
            return Err(invalid(format!("{} headers of {size} bytes", response.headers.len())));
        }
        let mut headers = HeaderMap::with_capacity(response.headers.len() + 4);
        for (name, value) in response.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value).ok());
            let (header, value) = parsed.ok_or_else(|| invalid(format!("header {name:?}")))?;
            if NOT_THE_GUESTS.contains(&header.as_str()) {
                return Err(invalid(format!("header {name:?}, which belongs to the gateway")));
            }
            headers.append(header, value);
        }
        Ok(Self { status, headers, body: response.body })
    }
}

/// Checks a guest's response, for the room `fuzzing`.
#[cfg(any(fuzzing, test))]
pub(crate) fn check(response: Response, max_body: ByteSize) -> Result<Answer, GuestFault> {
    Answer::check(response, "operation", max_body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, GuestFault> {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Answer::check(Response { status, headers, body: body.to_vec() }, "list", ByteSize::b(10))
    }

    #[test]
    fn what_cannot_be_sent_is_the_guests_fault() {
        assert!(check(200, &[("x-total-count", "3")], b"[]").is_ok());
        for status in [0, 99, 100, 101, 199, 600, 1000, u16::MAX] {
            assert!(check(status, &[], b"").is_err(), "{status}");
        }
        for header in [("", "x"), ("a b", "x"), ("a", "b\r\nc: d"), ("Content-Length", "5"), ("connection", "close")] {
            assert!(check(200, &[header], b"").is_err(), "{header:?}");
        }
        assert!(check(200, &[], &[0; 11]).is_err());
        assert!(check(204, &[], b"").is_ok() && check(204, &[], b"{}").is_err() && check(304, &[], b"{}").is_err());
    }

    #[test]
    fn an_operation_that_its_own_service_does_not_know_is_a_fault_with_a_name() {
        let fault = check(501, &[], b"").expect_err("it is described");
        assert!(matches!(&fault, GuestFault::UndeclaredOperation(name) if name == "list"), "{fault}");
        assert!(check(500, &[], b"").is_ok() && check(503, &[], b"").is_ok());
    }
}
