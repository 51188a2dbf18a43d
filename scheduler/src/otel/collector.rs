//! The way to a collector. What it does not take in time is dropped: traces hold nothing up.

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, layer};

/// What sends spans. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Otel {
    provider: SdkTracerProvider,
}

impl Otel {
    /// Begins to send. The collector need not be there yet.
    ///
    /// # Errors
    /// When the address cannot be one.
    pub fn start(endpoint: &str) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter
            .with_context(|| format!("--otlp {endpoint}: no such collector can be reached"))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource =
            Resource::builder().with_service_name("shiftwork").with_attribute(version).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// Makes spans.
    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("shiftwork")
    }

    /// Sends the spans of requests, whatever is logged of them.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.tracer());
        // What the exporter does itself must not make it export more.
        layer.with_filter(LevelFilter::INFO).with_filter(layer_filter())
    }

    /// Sends what is left and ends.
    pub async fn close(self) {
        // It waits on a thread of its own.
        let closed = tokio::task::spawn_blocking(move || self.provider.shutdown()).await;
        if let Ok(Err(error)) = closed {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

fn layer_filter<S>() -> impl layer::Filter<S> {
    tracing_subscriber::filter::filter_fn(|metadata| metadata.target().starts_with("shiftwork"))
}
