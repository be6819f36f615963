//! Durations as typed: a number and a unit.

use std::time::Duration;

/// Reads `90s`, `15m` or `2h`; a number alone is refused, because its unit would be a guess.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is no duration such as `90s`"))?;
    let seconds = match &text[digits.len()..] {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        "" => {
            return Err(format!(
                "`{text}` has no unit; write `{text}s`, `{text}m` or `{text}h`"
            ));
        }
        unit => {
            return Err(format!(
                "`{unit}` is no unit of time; write `s`, `m` or `h`, as in `90s`"
            ));
        }
    };
    match seconds {
        None | Some(0) => Err(format!("`{text}` is out of range")),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_is_a_duration() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
    }

    #[test]
    fn a_number_alone_is_told_the_units() {
        assert_eq!(
            parse("90").unwrap_err(),
            "`90` has no unit; write `90s`, `90m` or `90h`"
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "s",
            "90",
            "1d",
            "-1s",
            "0s",
            "1.5h",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
