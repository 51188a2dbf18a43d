//! From the `OpenMetrics` text of the client library to Prometheus' text format 0.0.4, which every
//! scraper and `promtool` read. Absent: any change of a value.
//!
//! The two differ in the names of counters (only `OpenMetrics` leaves `_total` out of the lines that
//! describe them), in whole numbers written as fractions, and in the mark of the end.

/// The media type of what `classic` makes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The same metrics in the older format.
pub(super) fn classic(open: &str) -> String {
    let counters: Vec<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| *line != "# EOF") {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|head| {
            let (name, rest) = line.strip_prefix(head)?.split_once(' ')?;
            counters.contains(&name).then_some((head, name, rest))
        });
        match described {
            Some((head, name, rest)) => text.extend([head, name, "_total ", rest]),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_under_their_full_name() {
        let open = "# HELP a_b Help.\n# TYPE a_b counter\na_b_total{x=\"# TYPE q counter\"} 1\n\
                    # HELP c C.\n# TYPE c gauge\nc 2\n# EOF\n";
        let classic = classic(open);
        assert_eq!(
            classic,
            "# HELP a_b_total Help.\n# TYPE a_b_total counter\n\
             a_b_total{x=\"# TYPE q counter\"} 1\n# HELP c C.\n# TYPE c gauge\nc 2\n"
        );
    }
}
