//! Metrics split by one label whose values are all known beforehand, so that counting touches an
//! atomic and no lock. Absent: labels that grow.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::definitions::{Definition, Kind};
use super::{Counter, Gauge};

/// What is counted under a label value that is not in the list: a defect, but no lost count.
const OTHER: &str = "other";

/// One metric for each value of a label.
#[derive(Debug)]
pub(super) struct ByLabel<M>(BTreeMap<&'static str, M>);

impl<M> ByLabel<M>
where
    M: Clone + Default + std::fmt::Debug + EncodeMetric + Send + Sync + 'static,
    M: prometheus_client::metrics::TypedMetric,
{
    /// Registers the metric with all its values at zero.
    pub(super) fn new(
        registry: &mut Registry,
        definition: &Definition,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let family = Family::<Vec<(&'static str, &'static str)>, M>::default();
        let label = definition.label.unwrap_or_default();
        let metrics = values
            .into_iter()
            .chain([OTHER])
            .map(|value| (value, family.get_or_create_owned(&vec![(label, value)])))
            .collect();
        registry.register(bare_name(definition), definition.help, family);
        Self(metrics)
    }

    /// The metric of a value.
    pub(super) fn of(&self, value: &str) -> Option<&M> {
        self.0.get(value).or_else(|| self.0.get(OTHER))
    }

    /// All values with their metrics.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &M)> {
        self.0.iter().map(|(value, metric)| (*value, metric))
    }
}

impl ByLabel<Counter> {
    /// Counts something.
    pub(super) fn count(&self, value: &str, count: u64) {
        if let Some(counter) = self.of(value) {
            counter.inc_by(count);
        }
    }
}

impl ByLabel<Gauge> {
    /// Sets the gauge of a value.
    pub(super) fn set(&self, value: &str, level: f64) {
        if let Some(gauge) = self.of(value) {
            gauge.set(level);
        }
    }
}

/// A counter without a label, registered.
pub(super) fn counter(registry: &mut Registry, definition: &Definition) -> Counter {
    let counter = Counter::default();
    registry.register(bare_name(definition), definition.help, counter.clone());
    counter
}

/// A gauge without a label, registered.
pub(super) fn gauge(registry: &mut Registry, definition: &Definition) -> Gauge {
    let gauge = Gauge::default();
    registry.register(bare_name(definition), definition.help, gauge.clone());
    gauge
}

/// The name as the client library wants it, which adds `_total` to counters itself.
pub(super) fn bare_name(definition: &Definition) -> &'static str {
    match definition.kind {
        Kind::Counter => definition.name.strip_suffix("_total").unwrap_or(definition.name),
        Kind::Gauge | Kind::Histogram => definition.name,
    }
}
