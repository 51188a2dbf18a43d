//! The answer to SUBSCRIBE: events as RecordIO for as long as both sides want. When the reader
//! leaves, the hub is told.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use prost::Message;
use shiftwork_proto::json::to_json;
use shiftwork_proto::recordio;
use tokio::sync::mpsc;

use super::negotiate::Format;
use crate::hub::{Hub, Opened};
use crate::world::StreamId;

/// Names the connection of a scheduler; every later call must repeat it.
pub(super) static STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// Events on their way to one reader.
struct EventStream<E> {
    hub: Hub,
    id: StreamId,
    events: mpsc::Receiver<E>,
    format: Format,
    /// Full name of the events' type.
    name: &'static str,
}

/// A 200 whose body is the events of a stream just opened.
pub(super) fn answer<E: Message + 'static>(
    hub: Hub,
    opened: Opened<E>,
    format: Format,
    name: &'static str,
    tells_id: bool,
) -> Response {
    let id = HeaderValue::from_str(&opened.id.0).ok().filter(|_| tells_id);
    let stream = EventStream { hub, id: opened.id, events: opened.events, format, name };
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    if let Some(id) = id {
        headers.insert(STREAM_ID.clone(), id);
    }
    response
}

// === impl EventStream ===

impl<E: Message> EventStream<E> {
    fn record(&self, event: &E) -> Bytes {
        match self.format {
            Format::Protobuf => recordio::encode(&event.encode_to_vec()),
            Format::Json => match to_json(self.name, event) {
                Ok(text) => recordio::encode(text.as_bytes()),
                Err(error) => {
                    tracing::error!(%error, "an event could not be written as JSON");
                    Bytes::new()
                }
            },
        }
    }
}

impl<E: Message + 'static> Stream for EventStream<E> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.events.poll_recv(context).map(|event| event.map(|event| Ok(this.record(&event))))
    }
}

impl<E> Unpin for EventStream<E> {}

impl<E> Drop for EventStream<E> {
    fn drop(&mut self) {
        self.hub.stream_gone(self.id.clone());
    }
}
