//! Protobuf or JSON: how a call is read and how its answer is to be written. Knows the types'
//! names only.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use bytes::Bytes;
use prost::Message;
use shiftwork_proto::json::{JsonError, from_json};
use shiftwork_proto::required;

use crate::world::Rejection;

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

// === impl Format ===

impl Format {
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    fn of_media_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|format| essence.eq_ignore_ascii_case(format.media_type()))
    }
}

/// Reads a call of the type named `name` in the format that its headers say.
pub(super) fn parse_call<M: Message + Default>(
    name: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<M, Rejection> {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return Err(Rejection::bad_request("Expecting 'Content-Type' to be present"));
    };
    match content_type.to_str().ok().and_then(Format::of_media_type) {
        Some(Format::Protobuf) => required::decode(name, body.clone())
            .map_err(|_| Rejection::bad_request("Failed to parse body into Call protobuf")),
        Some(Format::Json) => {
            from_json(name, body).map_err(|error| Rejection::bad_request(json_text(&error, body)))
        }
        None => Err(Rejection {
            status: 415,
            text: "Expecting 'Content-Type' of application/json or application/x-protobuf"
                .to_owned(),
        }),
    }
}

/// The text for JSON that is none, or that is no call.
fn json_text(error: &JsonError, body: &[u8]) -> String {
    if let JsonError::Invalid { why, .. } = error
        && !why.is_data()
    {
        let line = body.split(|byte| *byte == b'\n').nth(why.line().saturating_sub(1));
        let rest = line.and_then(|line| line.get(why.column()..)).unwrap_or_default();
        let near = String::from_utf8_lossy(rest);
        return format!(
            "Failed to parse body into JSON: syntax error at line {} near: {near}",
            why.line()
        );
    }
    format!("Failed to convert JSON into Call protobuf: {error}")
}

/// The format that the caller wants its stream in: JSON unless it only takes protobuf, as a
/// master prefers.
pub(super) fn accepted_format(headers: &HeaderMap) -> Result<Format, Rejection> {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else {
        return Ok(Format::Json);
    };
    let takes = |media_type: &str| {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if matches!(essence, "*/*" | "application/*") {
            Some(Format::Json)
        } else {
            Format::of_media_type(essence)
        }
    };
    let formats: Vec<Format> = accept.split(',').filter_map(takes).collect();
    if formats.contains(&Format::Json) {
        Ok(Format::Json)
    } else if formats.contains(&Format::Protobuf) {
        Ok(Format::Protobuf)
    } else {
        let text = "Expecting 'Accept' to allow application/json or application/x-protobuf";
        Err(Rejection { status: 406, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_stream_has_the_format_that_is_accepted() {
        for (accept, format) in [
            ("application/x-protobuf", Some(Format::Protobuf)),
            ("application/json", Some(Format::Json)),
            ("text/html, application/x-protobuf;q=0.5", Some(Format::Protobuf)),
            ("*/*", Some(Format::Json)),
            ("text/html", None),
        ] {
            let result = accepted_format(&accepting(accept));
            assert_eq!(result.as_ref().ok(), format.as_ref(), "{accept}");
            if let Err(rejection) = result {
                assert_eq!(rejection.status, 406);
            }
        }
        assert_eq!(accepted_format(&HeaderMap::new()), Ok(Format::Json));
    }
}
