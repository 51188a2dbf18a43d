//! What is read and refused, with field and position, and the edges of evaluation. The bulk of
//! evaluation is tested against Quartz's own answers and a brute-force oracle in `tests/`.

use super::*;

fn ts(text: &str) -> Timestamp {
    text.parse().expect(text)
}

/// The next firings in UTC, cut to what matters.
fn next(expression: &str, after: &str, n: usize) -> Vec<String> {
    next_in(expression, "UTC", after, n)
}

fn next_in(expression: &str, zone: &str, after: &str, n: usize) -> Vec<String> {
    let cron = Cron::parse(expression).expect(expression);
    let zone = Zone::parse(zone).expect(zone);
    std::iter::successors(cron.next_after(&zone, ts(after)), |at| cron.next_after(&zone, *at))
        .take(n)
        .map(|at| at.to_string())
        .collect()
}

#[test]
fn errors_say_field_position_and_remedy() {
    let check = |expression: &str, field: &str, position: usize, remedy: &str| {
        let error = Cron::parse(expression).expect_err(expression);
        assert_eq!(
            (error.field.as_str(), error.position),
            (field, position),
            "{expression}: {error}"
        );
        assert!(error.message().contains(remedy), "{expression}: {error}");
        assert_eq!(
            error.to_string(),
            format!("{field}, character {position}: {}", error.message())
        );
    };
    check("", "expression", 0, "write six fields");
    check(" \t\n", "expression", 0, "write six fields");
    check("@daily", "expression", 0, "@daily is not Quartz");
    check("0 2 * * *", "expression", 9, "put 0 in front");
    check("0 0 2 * * ? 2027 x", "expression", 17, "remove what follows the year");
    check(&"*".repeat(5_000), "expression", 4_096, "at most 4096");

    check("60 * * * * ?", "seconds", 0, "write 0 to 59");
    check("-1 * * * * ?", "seconds", 0, "'-' is not expected here; allowed are numbers 0 to 59");
    check("99 * * * * ?", "seconds", 0, "99 is out of range");
    check("? * * * * ?", "seconds", 0, "write * for every value");
    check("L * * * * ?", "seconds", 0, "'L' is not expected");
    check("0/61 * * * * ?", "seconds", 2, "write 59 at most");
    check("1.5 * * * * ?", "seconds", 1, "'.' is not expected");
    check("0 5-70 * * * ?", "minutes", 4, "70 is out of range");
    check("0 */0 * * * ?", "minutes", 4, "a step of 0 leads nowhere");
    check("0 3-9/0 * * * ?", "minutes", 6, "a step of 0 leads nowhere");
    check("0 0/ * * * ?", "minutes", 4, "a step is missing after '/'");
    check("0 0/x * * * ?", "minutes", 4, "'x' is not expected");
    check("0 1,,2 * * * ?", "minutes", 4, "remove the comma");
    check("0 ,1 * * * ?", "minutes", 2, "remove the comma");
    check("0 1, * * * ?", "minutes", 4, "remove the comma");
    check("0 *5 * * * ?", "minutes", 3, "'5' is not expected");
    check("0 99999999999 * * * ?", "minutes", 2, "99999999999 is out of range");
    check("0 0/99999999999 * * * ?", "minutes", 4, "step 99999999999 is larger");
    check("0 0 24 * * ?", "hours", 4, "write 0 to 23");
    check("0 0 0/25 * * ?", "hours", 6, "write 23 at most");
    check("0 0 MON * * ?", "hours", 4, "'M' is not expected");
    check("0 0 1-2-3 * * ?", "hours", 7, "'-' is not expected");
    check("0 0\n1 * * ?", "expression", 11, "5 field(s) found");
    check("0 0 1\n * * ?", "hours", 5, "'\\n' is not expected");

    check("0 0 0 32 * ?", "day-of-month", 6, "write 1 to 31");
    check("0 0 0 0 * ?", "day-of-month", 6, "write 1 to 31");
    check("0 0 0 32W * ?", "day-of-month", 6, "write 1 to 31");
    check("0 0 0 W * ?", "day-of-month", 6, "'W' is not expected");
    check("0 0 0 1-5W * ?", "day-of-month", 9, "a day with W must stand alone");
    check("0 0 0 1,15W * ?", "day-of-month", 10, "a day with W must stand alone");
    check("0 0 0 15W/2 * ?", "day-of-month", 9, "'/' is not expected");
    check("0 0 0 1,L * ?", "day-of-month", 8, "L must stand alone");
    check("0 0 0 L,LW * ?", "day-of-month", 6, "L must stand alone");
    check("0 0 0 L-31 * ?", "day-of-month", 8, "write 0 to 30");
    check("0 0 0 L- * ?", "day-of-month", 8, "missing after '-'");
    check("0 0 0 LX * ?", "day-of-month", 7, "'X' is not expected");
    check("0 0 0 15L * ?", "day-of-month", 8, "'L' is not expected");
    check("0 0 0 1#2 * ?", "day-of-month", 7, "'#' is not expected");
    check("0 0 0 1,? * *", "day-of-month", 8, "? must stand alone");
    check("0 0 0 ?5 * *", "day-of-month", 7, "'5' is not expected");

    check("0 0 0 1 13 ?", "month", 8, "write 1 to 12");
    check("0 0 0 1 FOO ?", "month", 8, "\"FOO\" is not a name");
    check("0 0 0 1 JANUARY ?", "month", 11, "'U' is not expected");
    check("0 0 0 1 JAN-3 ?", "month", 12, "write both ends the same way");
    check("0 0 0 1 ? ?", "month", 8, "write * for every value");
    check("0 0 0 ? 1/13 MON", "month", 10, "write 12 at most");

    check("0 0 0 ? * 8", "day-of-week", 10, "write 1 to 7");
    check("0 0 0 ? * 0", "day-of-week", 10, "write 1 to 7");
    check("0 0 0 ? * MON-", "day-of-week", 14, "a value is missing after '-'");
    check("0 0 0 ? * 2-FRI", "day-of-week", 12, "write both ends the same way");
    check("0 0 0 ? * MON/2", "day-of-week", 13, "as in 2-6/2");
    check("0 0 0 ? * MON-FRI/2", "day-of-week", 17, "as in 2-6/2");
    check("0 0 0 ? * 2,6L", "day-of-week", 13, "a weekday with L or # must stand alone");
    check("0 0 0 ? * MON-FRIL", "day-of-week", 17, "a weekday with L or # must stand alone");
    check("0 0 0 ? * *L", "day-of-week", 11, "a weekday with L or # must stand alone");
    check("0 0 0 ? * 2,L", "day-of-week", 12, "L must stand alone");
    check("0 0 0 ? * LW", "day-of-week", 11, "'W' is not expected");
    check("0 0 0 ? * 6LL", "day-of-week", 12, "'L' is not expected");
    check("0 0 0 ? * 2#1,4#2", "day-of-week", 11, "a weekday with L or # must stand alone");
    check("0 0 0 ? * MON#6", "day-of-week", 14, "write 1 to 5");
    check("0 0 0 ? * MON#0", "day-of-week", 14, "write 1 to 5");
    check("0 0 0 ? * MON#", "day-of-week", 14, "missing after '#'");
    check("0 0 0 ? * MON#2x", "day-of-week", 15, "'x' is not expected");
    check("0 0 0 ? * 8#1", "day-of-week", 10, "write 1 to 7");
    check("0 0 0 ? * ?", "day-of-week", 10, "write * in one of them");
    check("0 0 0 * * *", "day-of-week", 10, "write ? in the one");
    check("0 0 0 1 * MON", "day-of-week", 10, "write ? in the one");

    check("0 0 0 1 * ? 2030-2026", "year", 17, "write the earlier year first");
    check("0 0 0 1 * ? 20266", "year", 12, "write 0 to 9999");
    check("0 0 0 1 * ? ?", "year", 12, "write * for every value");
    check("0 0 0 1 * ? MON", "year", 12, "'M' is not expected");
}

#[test]
fn positions_count_characters_not_bytes() {
    let error = Cron::parse("0 0 0 ? * MÖN").expect_err("an umlaut");
    assert_eq!((error.field, error.position), (CronField::DayOfWeek, 10));
    let error = Cron::parse("  0\t0   0 ? * MON,Ö").expect_err("an umlaut");
    assert_eq!((error.field, error.position), (CronField::DayOfWeek, 18));
}

#[test]
fn case_and_white_space_do_not_matter() {
    let plain = next("0 0 0 ? NOV-FEB MON,FRI 2026", "2026-11-20T09:00:00Z", 20);
    assert_eq!(plain.len(), 11);
    let other = next("\n 0  0\t0 ? nov-Feb mon,fRi 2026 \n", "2026-11-20T09:00:00Z", 20);
    assert_eq!(other, plain);
    assert_eq!(Cron::parse(" 0 0 0 ? * fril").expect("valid").expression(), " 0 0 0 ? * fril");
}

#[test]
fn a_step_beyond_its_range_leaves_the_first_value() {
    let firings = next("0 3-40/70 9 * * ?", "2026-11-20T09:00:00Z", 2);
    assert_eq!(firings, ["2026-11-20T09:03:00Z", "2026-11-21T09:03:00Z"]);
}

#[test]
fn wrapped_ranges_keep_their_step_over_the_end() {
    let firings = next("0 0 22-4/3 * * ?", "2026-11-20T09:00:00Z", 4);
    let hours: Vec<&str> = firings.iter().map(|at| &at[8..13]).collect();
    assert_eq!(hours, ["20T22", "21T01", "21T04", "21T22"]);
    let firings = next("0 0 0 30-2 * ?", "2027-02-10T00:00:00Z", 5);
    let days: Vec<&str> = firings.iter().map(|at| &at[5..10]).collect();
    assert_eq!(days, ["03-01", "03-02", "03-30", "03-31", "04-01"]);
}

/// Quartz's own vectors show the case for 31W; the same holds at the end of February.
#[test]
fn a_nearest_weekday_past_the_end_of_the_month_follows_quartz() {
    // The 1st of March is a Saturday in 2031, so the 28th of February is nearest to "29th".
    let firings = next("0 0 0 29W 2 ?", "2026-11-20T09:00:00Z", 3);
    let days: Vec<&str> = firings.iter().map(|at| &at[..10]).collect();
    assert_eq!(days, ["2028-02-29", "2031-02-28", "2032-02-27"]);
}

#[test]
fn months_too_short_for_the_offset_are_skipped() {
    let firings = next("0 0 0 L-30W * ?", "2026-12-20T09:00:00Z", 4);
    let days: Vec<&str> = firings.iter().map(|at| &at[..10]).collect();
    assert_eq!(days, ["2027-01-01", "2027-03-01", "2027-05-03", "2027-07-01"]);
}

#[test]
fn milliseconds_count_as_after_the_second_they_are_in() {
    let after = |after: &str| next("0 * * * * ?", after, 1);
    assert_eq!(after("2026-11-20T09:00:00Z"), ["2026-11-20T09:01:00Z"]);
    assert_eq!(after("2026-11-20T08:59:59.999Z"), ["2026-11-20T09:00:00Z"]);
    assert_eq!(after("2026-11-20T09:00:00.001Z"), ["2026-11-20T09:01:00Z"]);
}

#[test]
fn years_end_with_2099_and_begin_with_1970() {
    let last = next_in("* * * * * ?", "Europe/Berlin", "2099-12-31T22:59:58Z", 5);
    assert_eq!(last, ["2099-12-31T22:59:59Z"]);
    assert!(next("0 0 0 30 2 ?", "2026-01-01T00:00:00Z", 1).is_empty());
    assert!(next("0 0 0 1 1 ? 2150/2", "2026-01-01T00:00:00Z", 1).is_empty());
    assert!(next("0 0 0 1 1 ? 1960-1969", "2026-01-01T00:00:00Z", 1).is_empty());
    let cron = Cron::parse("0 0 0 * * ?").expect("valid");
    let zone = Zone::parse("Asia/Tokyo").expect("Tokyo");
    assert_eq!(cron.next_after(&zone, Timestamp::MIN), Some(ts("1969-12-31T15:00:00Z")));
    assert_eq!(cron.next_after(&zone, Timestamp::MAX), None);
}

/// Half an hour is repeated at 02:00 on 2026-04-05 and skipped at 02:00 on 2026-10-04.
#[test]
fn half_an_hour_of_dst_is_handled_like_an_hour() {
    let lord_howe = |expression, after, n| next_in(expression, "Australia/Lord_Howe", after, n);
    assert_eq!(
        lord_howe("0 45 1 * * ?", "2026-04-04T00:00:00Z", 2),
        ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
    );
    assert_eq!(
        lord_howe("0 15 * * * ?", "2026-10-03T14:00:00Z", 3),
        ["2026-10-03T14:45:00Z", "2026-10-03T16:15:00Z", "2026-10-03T17:15:00Z"]
    );
    assert_eq!(
        lord_howe("0 0/15 2 * * ?", "2026-10-03T14:00:00Z", 3),
        ["2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z", "2026-10-04T15:00:00Z"]
    );
}

/// Samoa had no 2011-12-30.
#[test]
fn a_skipped_day_fires_its_fixed_time_at_once() {
    let apia = |expression| next_in(expression, "Pacific/Apia", "2011-12-30T00:00:00Z", 2);
    assert_eq!(apia("0 30 2 * * ?"), ["2011-12-30T10:00:00Z", "2011-12-30T12:30:00Z"]);
    assert_eq!(apia("0 30 2 30 12 ?"), ["2011-12-30T10:00:00Z", "2012-12-29T12:30:00Z"]);
    assert_eq!(apia("0 0 2,14 * * ?"), ["2011-12-30T12:00:00Z", "2011-12-31T00:00:00Z"]);
}

#[test]
fn many_minutes_of_a_skipped_hour_fire_once() {
    assert_eq!(
        next_in("0 * 2 * * ?", "Europe/Berlin", "2027-03-28T00:00:00Z", 2),
        ["2027-03-28T01:00:00Z", "2027-03-29T00:00:00Z"]
    );
}

#[test]
fn the_repeated_hour_fires_in_true_order() {
    assert_eq!(
        next_in("0 0/30 * * * ?", "America/New_York", "2026-11-01T04:45:00Z", 5),
        [
            "2026-11-01T05:00:00Z",
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:00:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-01T07:00:00Z"
        ]
    );
    // Also when nothing fits any more after the first pass.
    assert_eq!(
        next_in("0 30 0-1 31 10 ? 2027", "Europe/London", "2027-10-31T00:31:00Z", 5),
        ["2027-10-31T01:30:00Z"]
    );
}

#[test]
fn order_and_equality_are_those_of_the_text() {
    let [one, same, two] =
        ["0 0 2 * * ?", "0 0 2 * * ?", "0 0 3 * * ?"].map(|text| text.parse::<Cron>().expect(text));
    assert!(one < two && one == same);
    assert_eq!(format!("{one:?} {two}"), "Cron(\"0 0 2 * * ?\") 0 0 3 * * ?");
}
