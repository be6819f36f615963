//! `[limits]`.

use std::collections::BTreeMap;

use super::ConfigError;
use super::reader::Table;
use crate::limits::{Limit, Limits, Unit};

pub(super) fn read(table: &Table<'_>) -> Result<BTreeMap<Limit, u64>, ConfigError> {
    let known: Vec<&str> = Limit::ALL.iter().map(|limit| limit.key()).collect();
    table.refuse_unknown(&known, &[])?;
    let mut limits = BTreeMap::new();
    for limit in Limit::ALL {
        let key = limit.key();
        let unit = limit.unit();
        let expected = match unit {
            Unit::Bytes => "a size such as `\"512 MiB\"`, or a number of bytes",
            Unit::Seconds => "a duration such as `\"60 s\"`, or a number of seconds",
            Unit::Count => "a number",
        };
        let Some(value) = table.quantity(key, expected, |text| unit.read(text))? else {
            continue;
        };
        let refuse = |message: String| ConfigError::at(table.place_of(key), message);
        if value == 0 {
            return Err(refuse(format!(
                "limit `{key}` is 0, which nothing can keep"
            )));
        }
        if *limit == Limit::Depth && value > Limits::MAX_DEPTH {
            return Err(refuse(format!(
                "limit `depth` is at most {}, which is all that readers of NAR accept",
                Limits::MAX_DEPTH
            )));
        }
        limits.insert(*limit, value);
    }
    Ok(limits)
}
