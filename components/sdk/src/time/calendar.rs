//! Days since 1970-01-01 and dates of the Gregorian calendar, before and after it was introduced.
//!
//! Years begin in March here, so that the leap day is the last of its year, and every 400 years are alike: see Howard
//! Hinnant, "chrono-compatible low-level date algorithms".

/// Days in 400 years.
const ERA: i64 = 146_097;

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Returns year, month and day.
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let years = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let months = (5 * of_year + 2) / 153;
    let day = of_year - (153 * months + 2) / 5 + 1;
    let month = if months < 10 { months + 3 } else { months - 9 };
    (era * 400 + years + i64::from(month <= 2), month, day)
}

/// Returns the days of a date.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, years) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA + years * 365 + years / 4 - years / 100 + of_year - EPOCH
}

/// Returns how many days a month has.
pub(super) fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (-400, 1, 1);
        for number in days(-400, 1, 1)..=days(2400, 12, 31) {
            assert_eq!((date(number), days(year, month, day)), ((year, month, day), number));
            day += 1;
            if day > month_length(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (2401, 1, 1));
    }

    #[test]
    fn days_count_from_1970() {
        assert_eq!((date(0), date(-1)), ((1970, 1, 1), (1969, 12, 31)));
        assert_eq!(days(2026, 11, 23), 20_780);
    }
}
