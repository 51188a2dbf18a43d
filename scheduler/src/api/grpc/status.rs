//! Refusals as gRPC statuses, with the fields that are wrong as `google.rpc.BadRequest` and the kind as
//! `google.rpc.ErrorInfo`.

use std::collections::HashMap;

use axum::http::StatusCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::api::problem::Problem;

/// Whose reasons they are.
const DOMAIN: &str = "shiftwork";

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let mut details = ErrorDetails::new();
        details.set_error_info(reason(problem.slug()), DOMAIN, HashMap::new());
        for error in problem.errors() {
            details.add_bad_request_violation(&error.field, &error.message);
        }
        let mut message = problem.detail().to_owned();
        for error in problem.errors() {
            // A single field's detail already says it.
            if !message.contains(&error.message) {
                message = format!("{message}; {}: {}", error.field, error.message);
            }
        }
        // What is wrong with a used key is not its form, but what was done with it before.
        let code =
            if problem.is_key_reused() { Code::FailedPrecondition } else { code(problem.status()) };
        Self::with_error_details(code, message, details)
    }
}

/// `invalid-document` as the convention for reasons writes it: `INVALID_DOCUMENT`.
fn reason(slug: &str) -> String {
    slug.to_ascii_uppercase().replace('-', "_")
}

fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Code::InvalidArgument,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::CONFLICT => Code::FailedPrecondition,
        StatusCode::PRECONDITION_FAILED => Code::Aborted,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shiftwork_engine::document::FieldError;

    #[test]
    fn every_wrong_field_is_a_violation() {
        let errors = vec![FieldError { field: "cron".into(), message: "is empty".into() }];
        let status = Status::from(Problem::invalid("the job is wrong", errors));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "the job is wrong; cron: is empty");
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "cron");
        assert_eq!(details.error_info().unwrap().reason, "INVALID_DOCUMENT");
    }

    #[test]
    fn codes_tell_whether_to_ask_again() {
        for (problem, expected) in [
            (Problem::not_found("job x"), Code::NotFound),
            (Problem::conflict("x"), Code::FailedPrecondition),
            (Problem::key_reused("x"), Code::FailedPrecondition),
            (Problem::changed("job x"), Code::Aborted),
            (Problem::unavailable("x"), Code::Unavailable),
            (Problem::internal("x"), Code::Internal),
        ] {
            assert_eq!(Status::from(problem).code(), expected);
        }
    }
}
