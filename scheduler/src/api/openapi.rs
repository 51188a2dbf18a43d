//! The document of the API (`OpenAPI` 3.1), made from the table of routes, and the page to try it.
//! Absent: the schemas, and what an operation says of itself.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::extract::path_parameter_about;
use super::operation::{Answered, LOCATION, Operation};
use super::params::{Kind, Param};
use super::schemas;

/// Where the document is served.
pub(super) const DOCUMENT_PATH: &str = "/openapi.json";
/// Where the page to try the API is served.
pub(super) const PAGE_PATH: &str = "/docs";

/// What the page may load: its own files, nothing inline, nothing of anybody else.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; \
                           frame-ancestors 'none'";

/// The files of the page: path, media type, text.
const PAGE: [(&str, &str, &str); 3] = [
    (PAGE_PATH, "text/html; charset=utf-8", include_str!("openapi/page.html")),
    ("/docs/page.js", "text/javascript; charset=utf-8", include_str!("openapi/page.js")),
    ("/docs/page.css", "text/css; charset=utf-8", include_str!("openapi/page.css")),
];

/// Routes that serve the document and the page.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(operations: &[Operation]) -> Router<S> {
    let document = document(operations);
    let router = Router::new().route(DOCUMENT_PATH, get(async move || Json(document)));
    PAGE.into_iter().fold(router, |router, (path, media_type, text)| {
        router.route(path, get(async move || file(media_type, text)))
    })
}

fn file(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), text).into_response()
}

/// The document.
fn document(operations: &[Operation]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] = describe(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Shiftwork",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Sharded cron and batch jobs on Mesos resource offers. Lists are paged: \
                            pass `next` back as `cursor`. What is refused is a problem document \
                            (RFC 9457) that names the field and the way to mend it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A token, or a session begun by POST /api/v1/session.",
                },
                "password": {"type": "http", "scheme": "basic"},
                "session": {"type": "apiKey", "in": "cookie", "name": crate::auth::COOKIE},
            },
        },
    })
}

fn describe(operation: &Operation) -> Value {
    let path = operation.path_parameters().map(|name| {
        let (about, pattern) = path_parameter_about(name);
        json!({
            "name": name, "in": "path", "required": true, "description": about,
            "schema": {"type": "string", "pattern": pattern},
        })
    });
    let query = operation.query.iter().map(|param| parameter(param, "query"));
    let headers = operation.headers.iter().map(|param| parameter(param, "header"));
    let parameters: Vec<Value> = path.chain(query).chain(headers).collect();
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters,
        "responses": responses(operation),
        "security": [],
    });
    if let Some(role) = operation.rule.role {
        described["security"] = json!([{"token": []}, {"password": []}, {"session": []}]);
        described["x-role"] = json!(role.name());
        described["description"] = json!(format!("Takes the role {role}."));
    }
    if let Some(body) = operation.body {
        described["requestBody"] = json!({
            "required": body.required,
            "content": {"application/json": {"schema": reference(body.schema)}},
        });
    }
    described
}

fn parameter(param: &Param, place: &str) -> Value {
    let schema = match param.kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Name => json!({"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$"}),
        Kind::Integer(min, max) => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Instant => json!({"type": "string", "format": "date-time"}),
        Kind::OneOf(values) => json!({"type": "string", "enum": values}),
    };
    json!({"name": param.name, "in": place, "description": param.about, "schema": schema})
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for (status, answered) in &operation.answers {
        let mut response = json!({"description": reason(*status)});
        if let Some(content) = content(*answered) {
            response["content"] = content;
        }
        if *status == 201 {
            response["headers"] = json!({
                LOCATION: {"description": "Where it is.", "schema": {"type": "string"}},
            });
        }
        responses.insert(status.to_string(), response);
    }
    // A malformed request, or a scheduler that does not lead, is possible everywhere.
    // Whoever must be somebody may be nobody, or try too often.
    let refused: &[u16] = if operation.rule.role.is_some() { &[401, 403, 429] } else { &[] };
    for status in operation.refusals.iter().chain(&[400, 503]).chain(refused) {
        let refused = json!({
            "description": reason(*status),
            "content": {"application/problem+json": {"schema": reference("Problem")}},
        });
        responses.insert(status.to_string(), refused);
    }
    Value::Object(responses)
}

fn content(answered: Answered) -> Option<Value> {
    let json_of = |schema: Value| json!({"application/json": {"schema": schema}});
    match answered {
        Answered::One(schema) => Some(json_of(reference(schema))),
        Answered::Page(schema) => Some(json_of(json!({
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {"type": "array", "items": reference(schema)},
                "next": {
                    "type": ["string", "null"],
                    "description": "Where the next page begins; null on the last.",
                },
            },
        }))),
        Answered::Stream(also) => {
            let mut content = also.map_or_else(|| json!({}), |schema| json_of(reference(schema)));
            content["text/event-stream"] = json!({"schema": {"type": "string"}});
            Some(content)
        }
        Answered::Text(media_type) => Some(json!({media_type: {"schema": {"type": "string"}}})),
        Answered::Empty => None,
    }
}

fn reason(status: u16) -> &'static str {
    let status = axum::http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Answered")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rest;

    fn whole() -> Value {
        document(&rest::table().finish().1)
    }

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    found.push(target.clone());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(rows) => rows.iter().for_each(|row| references(row, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = whole();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50);
        for target in found {
            assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_an_answer() {
        let (_, operations) = rest::table().finish();
        let ids: std::collections::BTreeSet<&str> =
            operations.iter().map(|operation| operation.id.as_str()).collect();
        assert_eq!(ids.len(), operations.len());
        for operation in &operations {
            assert!(!operation.answers.is_empty(), "{}", operation.id);
            assert!(operation.summary.ends_with('.'), "{}", operation.id);
        }
    }

    #[test]
    fn the_page_loads_nothing_of_others_and_nothing_inline() {
        for (path, _, text) in PAGE {
            assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
            assert!(!text.contains(" style=") && !text.contains(" onclick="), "{path}");
        }
    }
}
