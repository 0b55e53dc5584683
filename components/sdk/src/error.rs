//! Why a handler has no success to answer, in the three shapes of the contract.

use serde::{Serialize, Serializer};

use crate::{Response, sql};

/// What a handler returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal or a failure, as it goes to the client.
#[derive(Debug)]
pub enum Error {
    /// The domain says no: `{"error": …}`.
    Refused {
        /// 400, 404, 409 or 503.
        status: u16,
        /// What the client reads.
        message: String,
    },
    /// The request cannot be dealt with: `{"detail": …}`.
    Rejected {
        /// 400, 401, 403 or 429.
        status: u16,
        /// What the client reads.
        detail: String,
        /// Seconds until another try makes sense.
        retry_after: Option<u64>,
    },
    /// Fields are wrong: 400 and `{"<field>": ["…"]}`.
    Fields(FieldErrors),
    /// The database had no effect.
    Sql(sql::Error),
}

/// Messages by field, which are in the order of their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<(String, Vec<String>)>);

/// The body of [`Error::Refused`].
#[derive(Serialize)]
struct Refused<'m> {
    error: &'m str,
}

/// The body of [`Error::Rejected`].
#[derive(Serialize)]
struct Rejected<'m> {
    detail: &'m str,
}

impl FieldErrors {
    /// Adds a message to a field.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        let message = message.into();
        match self.0.binary_search_by(|(name, _)| name.as_str().cmp(field)) {
            Ok(at) => self.0[at].1.push(message),
            Err(at) => self.0.insert(at, (field.to_owned(), vec![message])),
        }
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes an error of them, if there are any.
    ///
    /// # Errors
    /// When there are any.
    pub fn into_result(self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Error::Fields(self)) }
    }
}

impl Serialize for FieldErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, messages)| (field, messages)))
    }
}

impl Error {
    /// 400: the request makes no sense to the domain.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::Refused { status: 400, message: message.into() }
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::Refused { status: 404, message: message.into() }
    }

    /// 409: it contradicts what is there.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Refused { status: 409, message: message.into() }
    }

    /// 503: something that is needed cannot be asked.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Refused { status: 503, message: message.into() }
    }

    /// 400 for one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        Self::Fields(errors)
    }

    /// 403.
    pub fn forbidden() -> Self {
        let detail = "Usted no tiene permiso para realizar esta acción.".to_owned();
        Self::Rejected { status: 403, detail, retry_after: None }
    }

    /// Makes the response.
    ///
    /// # Panics
    /// On a wrong statement, which is a bug of the service: the host logs the trap and answers 502.
    pub fn into_response(self) -> Response {
        match self {
            Self::Refused { status, message } => Response::json(status, &Refused { error: &message }),
            Self::Rejected { status, detail, retry_after } => {
                let response = Response::json(status, &Rejected { detail: &detail });
                match retry_after {
                    Some(seconds) => response.header("retry-after", seconds.to_string()),
                    None => response,
                }
            }
            Self::Fields(errors) => Response::json(400, &errors),
            Self::Sql(sql::Error::Invalid(what)) => panic!("a statement is wrong: {what}"),
            Self::Sql(sql::Error::Constraint(broken)) => {
                panic!("constraint {:?} ({:?}) was not expected", broken.name, broken.kind)
            }
            Self::Sql(_) => Response::json(503, &Refused { error: "La base de datos no está disponible" })
                .header("retry-after", "1"),
        }
    }
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        Self::Sql(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: Error) -> String {
        String::from_utf8(error.into_response().body).expect("UTF-8")
    }

    #[test]
    fn each_kind_of_error_has_its_shape() {
        assert_eq!(body(Error::conflict("ya \"está\"")), r#"{"error":"ya \"está\""}"#);
        let rejected = Error::Rejected { status: 429, detail: "luego".to_owned(), retry_after: Some(3) };
        assert_eq!(body(rejected), r#"{"detail":"luego"}"#);
        let mut errors = FieldErrors::default();
        for (field, message) in [("name", "a"), ("age", "b"), ("name", "c")] {
            errors.add(field, message);
        }
        assert_eq!(body(Error::Fields(errors)), r#"{"age":["b"],"name":["a","c"]}"#);
    }
}
