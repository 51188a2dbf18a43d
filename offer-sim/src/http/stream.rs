//! The answer to SUBSCRIBE: events as RecordIO for as long as both sides want. When the reader
//! leaves, the hub is told.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use prost::Message;
use shiftwork_proto::json::to_json;
use shiftwork_proto::recordio;
use tokio::sync::mpsc;

use super::negotiate::Format;
use crate::hub::{Hub, Opened};
use crate::world::StreamId;

/// Events that go out in one piece where so many wait: a piece costs its reader and its writer more
/// than an event does.
const EVENTS_AT_ONCE: usize = 128;

/// Names the connection of a scheduler; every later call must repeat it.
pub(super) static STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// Events on their way to one reader.
struct EventStream<E> {
    hub: Hub,
    id: StreamId,
    events: mpsc::Receiver<E>,
    taken: Vec<E>,
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
    let Opened { id: stream_id, events } = opened;
    let stream = EventStream { hub, id: stream_id, events, taken: Vec::new(), format, name };
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
        let EventStream { events, taken, .. } = this;
        match events.poll_recv_many(context, taken, EVENTS_AT_ONCE) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(0) => Poll::Ready(None),
            Poll::Ready(_) => {
                let taken = std::mem::take(&mut this.taken);
                let mut records = taken.iter().map(|event| this.record(event));
                let first = records.next().unwrap_or_default();
                if taken.len() == 1 {
                    return Poll::Ready(Some(Ok(first)));
                }
                let mut piece = BytesMut::from(first);
                records.for_each(|record| piece.extend_from_slice(&record));
                Poll::Ready(Some(Ok(piece.freeze())))
            }
        }
    }
}

impl<E> Unpin for EventStream<E> {}

impl<E> Drop for EventStream<E> {
    fn drop(&mut self) {
        self.hub.stream_gone(self.id.clone());
    }
}
