//! When something was remembered or forgotten.

use std::time::{Duration, SystemTime};

use humantime::{format_rfc3339_millis, parse_rfc3339};

/// The last second that is taken: the end of the year 9000. What is written has four digits for the year.
const LAST: Duration = Duration::from_secs(221_876_927_999);

/// A time in whole milliseconds, as entries hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(Duration);

impl Time {
    /// The present one.
    pub(crate) fn now() -> Self {
        Self::at(SystemTime::now())
    }

    /// That one, or the nearest that can be written.
    pub(crate) fn at(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.unwrap_or_default().min(LAST).as_millis();
        Self(Duration::from_millis(
            u64::try_from(millis).unwrap_or_default(),
        ))
    }

    /// A time that an entry holds.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parsed = Self::at(parse_rfc3339(text).ok()?);
        // One spelling for each.
        (parsed.to_string() == text).then_some(parsed)
    }

    /// The next one.
    pub(crate) fn after(self) -> Self {
        Self(self.0 + Duration::from_millis(1))
    }

    pub(crate) fn system(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        format_rfc3339_millis(self.system()).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_has_one_spelling() {
        let text = "2026-11-21T21:30:00.125Z";
        assert_eq!(Time::parse(text).unwrap().to_string(), text);
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21T21:30:00Z",
            "2026-11-21T21:30:00.1250Z",
            "2026-11-21T21:30:00.125+01:00",
            "9999-12-31T23:59:59.999Z",
        ] {
            assert_eq!(Time::parse(wrong), None, "{wrong}");
        }
        let far = Time::at(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX >> 2));
        assert!(Time::parse(&far.to_string()).is_some());
        // Also one after the last is no panic.
        assert!(far.after().to_string().len() > 20);
    }

    proptest! {
        #[test]
        fn times_come_back_in_their_order(one in 0_u64..200_000_000_000_000, other in 0_u64..200_000_000_000_000) {
            let [one, other] = [one, other].map(|millis| Time(Duration::from_millis(millis)));
            prop_assert_eq!(Time::parse(&one.to_string()), Some(one));
            prop_assert_eq!(one.to_string().cmp(&other.to_string()), one.cmp(&other));
        }
    }
}
