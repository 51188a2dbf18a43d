//! Traces to an OpenTelemetry collector, if one is named: requests as they are answered, and every run
//! with its tasks once it has ended. Absent: metrics (`/metrics`), and judging anything.
//!
//! Built with the feature `otel`, which is on unless it is taken away.

#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod runs;
#[cfg(test)]
#[cfg(feature = "otel")]
mod tests;

use clap::Args;
#[cfg(feature = "otel")]
pub use collector::Otel;
#[cfg(feature = "otel")]
pub use runs::export_runs;

/// Where traces go.
#[derive(Debug, Clone, Default, Args)]
pub struct OtelArgs {
    /// Send traces of requests and runs to this OpenTelemetry collector, OTLP over gRPC, such as
    /// <http://127.0.0.1:4317>
    #[arg(long, env = "SHIFTWORK_OTLP", value_name = "URL", value_parser = read_endpoint)]
    otlp: Option<String>,
}

fn read_endpoint(text: &str) -> Result<String, String> {
    let known = text.strip_prefix("http://").is_some_and(|rest| !rest.is_empty());
    known.then(|| text.to_owned()).ok_or_else(|| {
        "must be http://host:port of a collector that takes OTLP over gRPC; for TLS let a collector on \
         this machine pass it on"
            .to_owned()
    })
}

impl OtelArgs {
    /// Begins to send traces, if that is asked for.
    ///
    /// # Errors
    /// When the address cannot be one, or this program was built without.
    pub fn start(&self) -> anyhow::Result<Option<Otel>> {
        self.otlp.as_deref().map(Otel::start).transpose()
    }
}

#[cfg(not(feature = "otel"))]
pub use without::{Otel, export_runs};

/// The same for a program that is built without.
#[cfg(not(feature = "otel"))]
mod without {
    use std::sync::Arc;

    use shiftwork_engine::Trace;
    use tokio::sync::broadcast::Receiver;
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::Identity;

    /// Never made.
    #[derive(Debug, Clone)]
    pub enum Otel {}

    impl Otel {
        /// Refuses.
        ///
        /// # Errors
        /// Always.
        pub fn start(_: &str) -> anyhow::Result<Self> {
            anyhow::bail!("--otlp: this program was built without the feature otel")
        }

        /// See the feature.
        pub fn layer<S: tracing::Subscriber>(&self) -> impl Layer<S> + use<S> {
            Identity::new()
        }

        /// See the feature.
        #[allow(clippy::unused_async)]
        pub async fn close(self) {
            match self {}
        }
    }

    /// See the feature.
    #[allow(clippy::unused_async)]
    pub async fn export_runs(otel: Otel, _: Receiver<Arc<Trace>>) {
        match otel {}
    }
}
