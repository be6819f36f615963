//! RFC 3339 timestamps, as credential helpers write when their headers expire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `2030-01-02T03:04:05Z`, with a fraction and with an offset such as `+01:00` if there is
/// one. `None` for what is no timestamp, and for what lies before 1970: no secret expires then.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    // Every part but the fraction and the offset has its place.
    let separators = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if bytes.len() < 20
        || !separators
            .iter()
            .all(|(place, allowed)| allowed.as_bytes().contains(&bytes[*place]))
    {
        return None;
    }
    let part = |from: usize, to: usize, least: i64, most: i64| {
        number(bytes.get(from..to)?).filter(|value| (least..=most).contains(value))
    };
    let (year, month) = (part(0, 4, 1, 9999)?, part(5, 7, 1, 12)?);
    let day = part(8, 10, 1, days_in(year, month))?;
    // 60 is a leap second.
    let (hour, minute, second) = (
        part(11, 13, 0, 23)?,
        part(14, 16, 0, 59)?,
        part(17, 19, 0, 60)?,
    );
    let mut zone = &bytes[19..];
    if let Some(fraction) = zone.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit());
        let digits = digits.count();
        if digits == 0 {
            return None;
        }
        zone = &fraction[digits..];
    }
    let offset = match zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = number(&[*h1, *h2]).filter(|hours| *hours <= 23)?;
            let minutes = number(&[*m1, *m2]).filter(|minutes| *minutes <= 59)?;
            let seconds = (hours * 60 + minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let seconds = u64::try_from(seconds - offset).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn number(digits: &[u8]) -> Option<i64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400;
    let in_months: i64 = (1..month).map(|month| days_in(year, month)).sum();
    // 719,162 days lie between 0001-01-01 and 1970-01-01.
    before * 365 + leap_days + in_months + day - 1 - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        let time = parse(text)?;
        Some(time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn timestamps_are_seconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:30:45Z", 951_827_445),
            ("2026-11-20T13:16:34z", 1_795_180_594),
            ("2026-11-20t14:16:34.123456+01:00", 1_795_180_594),
            ("2026-11-20 06:46:34-06:30", 1_795_180_594),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_refused() {
        for text in [
            "",
            "tomorrow",
            "2026-11-20",
            "2026-11-20T13:16:34",
            "2026-11-20T13:16Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00Zx",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:0é",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
