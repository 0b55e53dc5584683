//! Moments as they are read and shown.

use super::*;

#[test]
fn times_are_shown_as_in_bogota_and_read_back() {
    let shown = "2026-11-23T21:38:17.524255-05:00";
    let moment = Timestamp::parse(shown).expect("a moment");
    assert_eq!(moment, Timestamp(1_795_487_897_524_255));
    assert_eq!(moment.to_string(), shown);
    assert_eq!(serde_json::to_string(&moment).expect("JSON"), format!("\"{shown}\""));
    assert_eq!(Timestamp::parse("2026-11-24T02:38:17.524255Z"), Some(moment));
    assert_eq!(Timestamp::parse("2026-11-23T21:38:17.524255"), Some(moment));
    assert_eq!(Timestamp::parse("2026-11-24t08:08:17.524255999+05:30"), Some(moment));
    let midnight = Timestamp::parse("2026-11-23").expect("a date");
    assert_eq!(midnight.to_string(), "2026-11-23T00:00:00.000000-05:00");
}

#[test]
fn the_ends_of_what_can_be_shown_are_read_back() {
    for shown in [
        "0000-01-01T00:00:00.000000-05:00",
        "1969-12-31T18:59:59.999999-05:00",
        "1969-12-31T19:00:00.000000-05:00",
        "2000-02-29T23:59:59.000001-05:00",
        "9999-12-31T23:59:59.999999-05:00",
    ] {
        assert_eq!(Timestamp::parse(shown).expect(shown).to_string(), shown);
    }
    for far in [i64::MIN, i64::MAX] {
        assert_eq!(Timestamp(far).to_string(), "");
    }
    assert_eq!(Timestamp::parse("2026-12-31T23:59:60Z"), Timestamp::parse("2027-01-01T00:00:00Z"));
}

#[test]
fn what_is_no_moment_is_refused() {
    for bad in [
        "",
        "ayer",
        "26-11-23",
        "2026-13-01",
        "2026-02-29",
        "2026-00-01",
        "2026-11-00",
        "2026-11-23T",
        "2026-11-23T25:00:00",
        "2026-11-23T21:60:00",
        "2026-11-23T21:38:61",
        "2026-11-23T21:38",
        "2026-11-23T21:38:17.",
        "2026-11-23T21:38:17+5",
        "2026-11-23T21:38:17+24:00",
        "2026-11-23T21:38:17-05:60",
        "2026-11-23T21:38:17Z ",
        "2026-11-23Z",
        "+026-11-23",
        "２０２６-11-23",
    ] {
        assert_eq!(Timestamp::parse(bad), None, "{bad}");
    }
}
