//! How numbers, times and amounts are written for people. Absent: markup but for `<time>`.

use maud::{Markup, html};
use shiftwork_schedule::{Timestamp, Zone};

/// `1,234,567`.
pub(super) fn grouped(number: impl TryInto<i128>) -> String {
    let number: i128 = number.try_into().unwrap_or_default();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 job`, `2,000 jobs`.
pub(super) fn counted(number: usize, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {one}{s}", grouped(number as u64))
}

/// An amount without needless digits: `0.1`, `4`, `1,024`.
pub(super) fn amount(value: f64) -> String {
    if value.fract().abs() < 1e-9 {
        return grouped(value as i64);
    }
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0');
    match text.split_once('.') {
        Some((whole, rest)) => match whole.parse::<i64>() {
            Ok(whole) if whole != 0 => format!("{}.{rest}", grouped(whole)),
            _ => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

/// Megabytes as Mesos counts them: `512 MB`, `15.5 GB`.
pub(super) fn megabytes(value: f64) -> String {
    if value < 1024.0 {
        format!("{} MB", amount(value))
    } else {
        format!("{} GB", amount((value / 1024.0 * 10.0).round() / 10.0))
    }
}

/// Bytes: `512 B`, `1.5 KB`, `3.2 MB`.
pub(super) fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let (mut value, mut unit) = (value as f64 / 1024.0, UNITS[0]);
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{value:.1} {unit}")
}

/// How long something took: `340 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`, `3 d 4 h`.
pub(super) fn duration(millis: i64) -> String {
    let millis = millis.max(0);
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..=59 => format!("{}.{} s", seconds, millis % 1000 / 100),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", grouped(seconds / 86_400), seconds % 86_400 / 3600),
    }
}

/// A share of a whole: `99.3 %`; nothing if there is no whole.
pub(super) fn share(part: u64, whole: u64) -> Option<String> {
    let share = (whole > 0).then(|| part as f64 * 100.0 / whole as f64)?;
    // What is not all is never written as all.
    let share = if part < whole { share.min(99.9) } else { share };
    Some(if share.fract() < 0.05 { format!("{share:.0} %") } else { format!("{share:.1} %") })
}

/// A moment in a zone: `2026-11-20 02:30:05`.
pub(super) fn wall(zone: &Zone, at: Timestamp) -> String {
    let text = zone.format(at);
    text.get(..19).unwrap_or(&text).replace('T', " ")
}

/// The same for programs and people: machines read the instant, and a pointer that rests on it shows
/// UTC.
pub(super) fn time(zone: &Zone, at: Timestamp) -> Markup {
    let instant = at.to_string();
    html! { time datetime=(instant) title=(format!("{instant} (UTC)")) { (wall(zone, at)) } }
}

/// The same, or a dash.
pub(super) fn maybe_time(zone: &Zone, at: Option<Timestamp>) -> Markup {
    html! { @if let Some(at) = at { (time(zone, at)) } @else { span.none { "–" } } }
}

/// Only hours, minutes and seconds, for what is of today or next to a whole date.
pub(super) fn clock(zone: &Zone, at: Timestamp) -> String {
    wall(zone, at).split(' ').nth(1).unwrap_or_default().to_owned()
}

/// How far off a moment is: `in 4 min 05 s`, `12.3 s ago`.
pub(super) fn distance(now: Timestamp, at: Timestamp) -> String {
    let millis = at.since(now);
    if millis >= 0 {
        format!("in {}", duration(millis))
    } else {
        format!("{} ago", duration(-millis))
    }
}

/// A state's name as a word: `timed out`.
pub(super) fn word(state: &str) -> String {
    state.strip_prefix("TASK_").unwrap_or(state).to_ascii_lowercase().replace('_', " ")
}

/// Text cut to a number of characters, with a sign that it was.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A name or id as one segment of an address.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%2E", ".")
        .replace("%5F", "_")
        .replace("%40", "@")
}

/// A query: what is empty is left out.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    let text: Vec<String> = given
        .map(|(name, value)| format!("{name}={}", segment(value).replace('@', "%40")))
        .collect();
    if text.is_empty() { String::new() } else { format!("?{}", text.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(
            (counted(1, "job"), counted(1_200, "job")),
            ("1 job".into(), "1,200 jobs".into())
        );
    }

    #[test]
    fn amounts_and_shares_have_the_digits_they_need() {
        for (value, text) in [(0.1, "0.1"), (4.0, "4"), (2.125, "2.125"), (4096.5, "4,096.5")] {
            assert_eq!(amount(value), text);
        }
        assert_eq!((megabytes(512.0), megabytes(15_872.0)), ("512 MB".into(), "15.5 GB".into()));
        assert_eq!(
            (bytes(17), bytes(1536), bytes(3 << 30)),
            ("17 B".into(), "1.5 KB".into(), "3.0 GB".into())
        );
        assert_eq!(share(0, 0), None);
        assert_eq!(share(1, 1).unwrap(), "100 %");
        assert_eq!(share(99_999, 100_000).unwrap(), "99.9 %");
        assert_eq!(share(1, 3).unwrap(), "33.3 %");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (millis, text) in [
            (-5, "0 ms"),
            (340, "340 ms"),
            (12_340, "12.3 s"),
            (245_000, "4 min 05 s"),
            (7_380_000, "2 h 03 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }

    #[test]
    fn moments_are_those_of_the_zone() {
        let at: Timestamp = "2026-11-20T01:30:05.250Z".parse().unwrap();
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        assert_eq!(wall(&berlin, at), "2026-11-20 02:30:05");
        assert_eq!(clock(&Zone::utc(), at), "01:30:05");
        let later = Timestamp::from_millis(at.as_millis() + 65_000);
        assert_eq!(distance(at, later), "in 1 min 05 s");
        assert_eq!(distance(later, at), "1 min 05 s ago");
    }

    #[test]
    fn addresses_hold_any_text() {
        assert_eq!(segment("a b/c@-@é"), "a%20b%2Fc@-@%C3%A9");
        assert_eq!(query(&[("q", "a&b"), ("state", ""), ("x", "1")]), "?q=a%26b&x=1");
        assert_eq!(query(&[("q", "")]), "");
        assert_eq!(cut("ééé", 2), "éé…");
    }
}
