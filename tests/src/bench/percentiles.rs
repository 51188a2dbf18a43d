//! Of many times, those that tell: the middle, and how bad the worst are.

use serde_json::{Value, json};

/// Shares of all, by name.
const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("longest", 1.0)];

/// The times at which half, nine tenths, ... are over, each rounded to a thousandth.
pub(super) fn percentiles(mut times: Vec<f64>) -> Value {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = (times.len() as f64 * share).ceil() as usize;
        let time = times.get(place.saturating_sub(1)).copied();
        time.map(|time| (time * 1_000.0).round() / 1_000.0)
    };
    SHARES.iter().map(|(name, share)| ((*name).to_owned(), json!(at(*share)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_all_is_over_by_its_time() {
        let times = (1..=200).rev().map(f64::from).collect();
        let expected = json!({"p50": 100.0, "p90": 180.0, "p99": 198.0, "longest": 200.0});
        assert_eq!(percentiles(times), expected);
        assert_eq!(percentiles(vec![7.0]).get("p50"), Some(&json!(7.0)));
        assert_eq!(percentiles(Vec::new()).get("p99"), Some(&Value::Null));
    }
}
