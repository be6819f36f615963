//! "Did you mean": the nearest known word to a mistyped one.

/// The word of `known` that is nearest to `typed`, when it is near enough to
/// be a slip: at most a third of its letters changed, added, removed or
/// swapped with the next.
#[must_use]
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (distance(typed, word), word))
        .filter(|(steps, word)| *steps <= word.chars().count().max(3) / 3)
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, word)| word)
}

/// Steps from `a` to `b`, where `_` and `-` and upper and lower case are one.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        text.chars()
            .map(|c| {
                if c == '_' {
                    '-'
                } else {
                    c.to_ascii_lowercase()
                }
            })
            .collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word() {
        let known = [
            "origins",
            "methods",
            "paths",
            "redirects",
            "credentials",
            "allow-metadata",
        ];
        for (typed, meant) in [
            ("origin", "origins"),
            ("orgiins", "origins"),
            ("Paths", "paths"),
            ("allow_metadata", "allow-metadata"),
            ("credential", "credentials"),
        ] {
            assert_eq!(nearest(typed, known), Some(meant), "{typed}");
        }
    }

    #[test]
    fn other_words_find_nothing() {
        assert_eq!(nearest("banana", ["origins", "paths"]), None);
        assert_eq!(nearest("", ["env", "file"]), None);
    }
}
