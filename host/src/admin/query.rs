//! Reads what stands behind the `?`. Unknown parameters are refused: a misspelt `canary` must not take all traffic.

use axum::extract::Query;
use axum::http::Uri;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::request::service_name;
use crate::events::DeadLetterPage;
use crate::names::ServiceName;
use crate::registry::{Activation, Percent, Refusal};

/// Lines of the audit trail, unless asked for another number.
const AUDIT_DEFAULT: u32 = 100;

/// Most lines of the audit trail in one answer.
const AUDIT_MAX: u32 = 1000;

/// Dead letters in one answer, unless asked for another number, and at most.
const LETTERS_DEFAULT: u32 = 100;
const LETTERS_MAX: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeployQuery {
    activate: Option<bool>,
    canary: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    service: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LettersQuery {
    service: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
}

/// Reads what becomes of a new revision.
pub(super) fn activation(uri: &Uri) -> Result<Activation, Problem> {
    let DeployQuery { activate, canary } = read(uri)?;
    match (activate, canary) {
        (Some(false), Some(_)) => Err(Problem::Malformed("activate=false and canary exclude each other".to_owned())),
        (Some(false), None) => Ok(Activation::Later),
        (_, None) => Ok(Activation::Whole),
        (_, Some(percent)) => {
            let valid = u8::try_from(percent).ok().and_then(|percent| Percent::try_from(percent).ok());
            let refusal = || Refusal::Invalid(format!("canary = {percent}: a percentage from 1 to 99"));
            Ok(Activation::Canary(valid.ok_or_else(refusal)?))
        }
    }
}

/// Reads which lines of the audit trail are wanted, and how many.
pub(super) fn audit(uri: &Uri) -> Result<(Option<ServiceName>, u32), Problem> {
    let AuditQuery { service, limit } = read(uri)?;
    let service = service.as_deref().map(service_name).transpose()?;
    let limit = limit.unwrap_or(AUDIT_DEFAULT);
    if !(1..=AUDIT_MAX).contains(&limit) {
        return Err(Refusal::Invalid(format!("limit = {limit}: from 1 to {AUDIT_MAX}")).into());
    }
    Ok((service, limit))
}

/// Reads which dead letters are wanted, and how many.
pub(super) fn dead_letters(uri: &Uri) -> Result<DeadLetterPage, Problem> {
    let LettersQuery { service, before, limit } = read(uri)?;
    let subscriber = service.as_deref().map(service_name).transpose()?;
    let limit = limit.unwrap_or(LETTERS_DEFAULT);
    if !(1..=LETTERS_MAX).contains(&limit) {
        return Err(Refusal::Invalid(format!("limit = {limit}: from 1 to {LETTERS_MAX}")).into());
    }
    Ok(DeadLetterPage { subscriber, before, limit })
}

fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let Query(query) = Query::try_from_uri(uri).map_err(|rejection| Problem::Malformed(rejection.body_text()))?;
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(query: &str) -> Uri {
        format!("/v1/x{query}").parse().expect("a URI")
    }

    #[test]
    fn a_deploy_takes_all_traffic_some_or_none() {
        for whole in ["", "?", "?activate=true"] {
            assert!(matches!(activation(&uri(whole)), Ok(Activation::Whole)), "{whole}");
        }
        assert!(matches!(activation(&uri("?activate=false")), Ok(Activation::Later)));
        for canary in ["?canary=1", "?canary=99", "?activate=true&canary=10"] {
            assert!(matches!(activation(&uri(canary)), Ok(Activation::Canary(_))), "{canary}");
        }
    }

    #[test]
    fn a_misspelt_parameter_or_value_is_refused() {
        for bad in ["?cannary=10", "?canary=ten", "?canary=-1", "?canary=", "?activate=no", "?canary=1&canary=2"] {
            assert!(matches!(activation(&uri(bad)), Err(Problem::Malformed(_))), "{bad}");
        }
        assert!(matches!(activation(&uri("?activate=false&canary=10")), Err(Problem::Malformed(_))));
        for bad in ["?canary=0", "?canary=100", "?canary=300"] {
            assert!(matches!(activation(&uri(bad)), Err(Problem::Refused(Refusal::Invalid(_)))), "{bad}");
        }
    }

    #[test]
    fn the_audit_trail_is_read_in_bounded_parts() {
        assert_eq!(audit(&uri("")).expect("valid"), (None, 100));
        let name: ServiceName = "reviews".parse().expect("a name");
        assert_eq!(audit(&uri("?service=reviews&limit=1000")).expect("valid"), (Some(name), 1000));
        for bad in ["?limit=0", "?limit=1001", "?limit=x", "?service=..%2F", "?since=1"] {
            assert!(audit(&uri(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn dead_letters_are_read_in_bounded_parts() {
        let page = dead_letters(&uri("?service=reviews&before=7&limit=5")).expect("valid");
        assert_eq!(page.subscriber.as_ref().map(ServiceName::as_str), Some("reviews"));
        assert_eq!((page.before, page.limit), (Some(7), 5));
        assert_eq!(dead_letters(&uri("")).expect("valid").limit, 100);
        for bad in ["?limit=0", "?limit=1001", "?before=x", "?service=..%2F", "?topic=a.b"] {
            assert!(dead_letters(&uri(bad)).is_err(), "{bad}");
        }
    }
}
