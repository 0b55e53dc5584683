//! The one place that chooses a status code, and the texts that clients read.
//!
//! Three shapes, as the contract has them: `{"error"}` for business, `{"detail"}` for the framework; field errors
//! come from the services.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;

use crate::fault::{CallError, GuestFault};
use crate::registry::Method;

/// Why a request has no answer of a service.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No good token came.
    Unauthenticated,
    /// The bearer's role may not.
    Forbidden,
    /// Nothing is there.
    NotFound,
    /// The path is no text.
    BadPath,
    /// The query is no text.
    BadQuery,
    /// Other methods are there.
    MethodNotAllowed(Vec<Method>),
    /// The body is not JSON by its type.
    UnsupportedMediaType,
    /// The body is too large.
    PayloadTooLarge,
    /// The body did not come in time.
    BodyTimeout,
    /// The body broke off.
    BodyBroken,
    /// The memory for bodies that are being read is full.
    BodiesFull,
    /// The invocation failed.
    Call(CallError),
    /// The host has a mistake.
    Panic,
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Key of the message in the body.
const DETAIL: &str = "detail";
const ERROR: &str = "error";

impl ApiError {
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => (S::UNAUTHORIZED, DETAIL, "Las credenciales de autenticación no se proveyeron."),
            Self::Forbidden => (S::FORBIDDEN, DETAIL, "Usted no tiene permiso para realizar esta acción."),
            Self::NotFound => (S::NOT_FOUND, ERROR, "Recurso no encontrado"),
            Self::BadPath => (S::BAD_REQUEST, DETAIL, "La ruta no es texto UTF-8 válido."),
            Self::BadQuery => (S::BAD_REQUEST, DETAIL, "Los parámetros no son texto UTF-8 válido."),
            Self::MethodNotAllowed(_) => (S::METHOD_NOT_ALLOWED, DETAIL, "Método no permitido."),
            Self::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, DETAIL, "El cuerpo debe ser application/json."),
            Self::PayloadTooLarge => (S::PAYLOAD_TOO_LARGE, DETAIL, "El cuerpo es demasiado grande."),
            Self::BodyTimeout => (S::REQUEST_TIMEOUT, DETAIL, "El cuerpo no llegó a tiempo."),
            Self::BodyBroken => (S::BAD_REQUEST, DETAIL, "El cuerpo llegó incompleto."),
            Self::BodiesFull => (S::SERVICE_UNAVAILABLE, ERROR, "El servidor está ocupado, intente de nuevo"),
            Self::Panic => (S::INTERNAL_SERVER_ERROR, ERROR, "Error interno del servidor"),
            Self::Call(CallError::Guest { fault: GuestFault::Deadline, .. } | CallError::QueueDeadline { .. }) => {
                (S::GATEWAY_TIMEOUT, ERROR, "El servicio no respondió a tiempo")
            }
            Self::Call(CallError::Guest { .. }) => (S::BAD_GATEWAY, ERROR, "El servicio respondió de forma inválida"),
            Self::Call(CallError::Overloaded { .. }) => {
                (S::SERVICE_UNAVAILABLE, ERROR, "El servicio está ocupado, intente de nuevo")
            }
            Self::Call(CallError::BreakerOpen { .. }) => {
                (S::SERVICE_UNAVAILABLE, ERROR, "El servicio está fallando, intente de nuevo más tarde")
            }
            Self::Call(CallError::NoExporter { .. } | CallError::Host(_)) => {
                (S::SERVICE_UNAVAILABLE, ERROR, "El servicio no está disponible")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let (status, key, message) = self.parts();
        let mut response = Response::new(Body::from(serde_json::json!({ key: message }).to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::MethodNotAllowed(methods) => {
                let names: Vec<&str> = methods.iter().map(|method| name(*method)).collect();
                let allow = HeaderValue::from_str(&names.join(", ")).expect("names of methods are ASCII");
                headers.insert(ALLOW, allow);
            }
            Self::Call(CallError::Overloaded { retry_after, .. } | CallError::BreakerOpen { retry_after, .. }) => {
                headers.insert(RETRY_AFTER, whole_seconds(retry_after).into());
            }
            Self::BodiesFull | Self::Call(CallError::Host(_) | CallError::NoExporter { .. }) => {
                headers.insert(RETRY_AFTER, 1.into());
            }
            _ => {}
        }
        response
    }
}

/// Rounds up, and to at least one: who comes too early is turned away again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_never_told_to_come_too_early() {
        for (ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (29_500, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds, "{ms} ms");
        }
    }
}
