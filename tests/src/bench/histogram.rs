//! A histogram as a scheduler's metrics tell it, read back. Absent: labels.

/// Upper bounds and how many observations are at or below each, ascending.
#[derive(Debug)]
pub(super) struct Histogram(Vec<(f64, f64)>);

// === impl Histogram ===

impl Histogram {
    /// From the text of `/metrics`.
    pub(super) fn parse(text: &str, name: &str) -> Self {
        let prefix = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, count.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(bucket).collect())
    }

    /// All observations.
    pub(super) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value that a share of all observations does not exceed, between the bounds as if they lay
    /// evenly there; none without observations.
    pub(super) fn at(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count();
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count > 0.0 && *count >= wanted {
                let part = (wanted - below) / (count - below).max(1.0);
                return Some(if bound.is_finite() { low + (bound - low) * part } else { low });
            }
            (low, below) = (*bound, *count);
        }
        None
    }

    /// The share of observations that do not exceed a bound there is.
    pub(super) fn within(&self, value: f64) -> f64 {
        let below = self.0.iter().take_while(|(bound, _)| *bound <= value).last();
        below.map_or(0.0, |(_, count)| count / self.count().max(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_found_between_bounds() {
        let text = "# TYPE d histogram\nd_sum 1\nd_bucket{le=\"0.5\"} 10\nd_bucket{le=\"1.0\"} 90\n\
                    d_bucket{le=\"2.0\"} 100\nd_bucket{le=\"+Inf\"} 100\nd_count 100\nother 3\n";
        let histogram = Histogram::parse(text, "d");
        assert!((histogram.count() - 100.0).abs() < 1e-9);
        assert!((histogram.at(0.5).unwrap() - 0.75).abs() < 1e-9);
        assert!((histogram.at(0.99).unwrap() - 1.9).abs() < 1e-9);
        assert!((histogram.within(1.0) - 0.9).abs() < 1e-9);
        assert!(Histogram::parse("", "d").at(0.5).is_none());
    }
}
