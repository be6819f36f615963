//! Arrays of a TOML document, with the comments that stand beside and above their elements.
//!
//! What stands between two elements is in the second one's prefix: up to the line end it speaks of
//! the first, behind that of the second.

use toml_edit::{Array, Value};

/// Keeps the elements that `keep` says, with their comments. Of the others nothing stays.
pub(super) fn retain(array: &mut Array, keep: impl Fn(&Value) -> bool) {
    settle_last(array);
    for index in (0..array.len()).rev() {
        if array.get(index).is_some_and(|value| !keep(value)) {
            remove(array, index);
        }
    }
}

/// Adds an element at the end, on a line of its own where the last one has one.
pub(super) fn push(array: &mut Array, text: &str) {
    settle_last(array);
    let after = array.trailing().as_str().unwrap_or_default().to_owned();
    let (beside, below) = split(&after);
    let last = array.iter().last().map(|last| prefix(last).to_owned());
    let before = match last.as_deref().map(split) {
        None => String::new(),
        Some((_, Some(above))) => {
            let indent = above.rsplit('\n').next().unwrap_or_default();
            format!("{beside}\n{indent}")
        }
        Some((_, None)) if beside.contains('#') => format!("{beside}\n"),
        Some((_, None)) => " ".to_owned(),
    };
    array.push_formatted(Value::from(text).decorated(before, ""));
    array.set_trailing(below.map(|below| format!("\n{below}")).unwrap_or_default());
}

/// Without a comma behind it, the last element's suffix is what stands before the bracket.
fn settle_last(array: &mut Array) {
    let is_open = !array.trailing_comma();
    let Some(last) = array.iter_mut().last().filter(|_| is_open) else {
        return;
    };
    let suffix = last.decor().suffix().and_then(|text| text.as_str());
    let suffix = suffix.unwrap_or_default().to_owned();
    last.decor_mut().set_suffix("");
    let trailing = array.trailing().as_str().unwrap_or_default().to_owned();
    array.set_trailing(suffix + &trailing);
}

fn remove(array: &mut Array, index: usize) {
    let own = prefix(&array.remove(index)).to_owned();
    let next = match array.get(index) {
        Some(next) => prefix(next).to_owned(),
        None => array.trailing().as_str().unwrap_or_default().to_owned(),
    };
    let (of_previous, above) = split(&own);
    let of_previous = if of_previous.contains('#') {
        of_previous
    } else {
        ""
    };
    let joined = match (split(&next), above) {
        ((_, Some(below)), _) => format!("{of_previous}\n{below}"),
        // The next one stands on the same line, and takes the place of this one.
        ((_, None), Some(above)) => {
            let indent = above.rsplit('\n').next().unwrap_or_default();
            format!("{of_previous}\n{indent}")
        }
        ((_, None), None) if index < array.len() => own.clone(),
        ((beside, None), None) => beside.to_owned(),
    };
    match array.get_mut(index) {
        Some(next) => next.decor_mut().set_prefix(joined),
        None => array.set_trailing(joined),
    }
    if array.is_empty() {
        array.set_trailing_comma(false);
    }
}

fn prefix(value: &Value) -> &str {
    let prefix = value.decor().prefix();
    prefix.and_then(|text| text.as_str()).unwrap_or_default()
}

/// What stands up to the line end, and what behind it.
fn split(gap: &str) -> (&str, Option<&str>) {
    match gap.split_once('\n') {
        Some((beside, rest)) => (beside, Some(rest)),
        None => (gap, None),
    }
}
