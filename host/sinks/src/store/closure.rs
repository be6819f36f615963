//! All that something refers to, and in which order it can be copied.

use std::collections::{BTreeSet, HashMap, btree_set};

use fetchhost_formats::{StoreEntry, StorePath};

use super::error::{Step, StoreError};

/// How many paths, references and signatures one closure may have together: several times what the largest
/// have. What goes on beyond that is not a store.
const MAX_PARTS: usize = 4_000_000;

/// Finds all that is reachable from `wanted`, a wave at a time: `ask` says what is known of each path, in
/// order. Those that others refer to come first.
pub(super) fn closure(
    wanted: &[StorePath],
    ask: impl FnMut(&[StorePath]) -> Result<Vec<Option<StoreEntry>>, StoreError>,
) -> Result<Vec<StoreEntry>, StoreError> {
    bounded(wanted, MAX_PARTS, ask)
}

fn bounded(
    wanted: &[StorePath],
    max_parts: usize,
    mut ask: impl FnMut(&[StorePath]) -> Result<Vec<Option<StoreEntry>>, StoreError>,
) -> Result<Vec<StoreEntry>, StoreError> {
    let mut found = Found::default();
    let mut wave: Vec<StorePath> = Vec::new();
    let mut seen: BTreeSet<StorePath> = BTreeSet::new();
    wave.extend(
        wanted
            .iter()
            .filter(|path| seen.insert((*path).clone()))
            .cloned(),
    );
    let mut parts = 0;
    while !wave.is_empty() {
        let entries = ask(&wave)?;
        let missing = wave
            .iter()
            .zip(&entries)
            .filter(|(_, entry)| entry.is_none());
        let missing: Vec<_> = missing.map(|(path, _)| path.to_string()).collect();
        if !missing.is_empty() {
            return Err(StoreError::NotValid { paths: missing });
        }
        wave.clear();
        for entry in entries.into_iter().flatten() {
            parts += 1 + entry.references.len() + entry.signatures.len();
            if parts > max_parts {
                return Err(malformed("paths without end"));
            }
            let new = entry
                .references
                .iter()
                .filter(|path| seen.insert((*path).clone()));
            wave.extend(new.cloned());
            found.add(entry);
        }
    }
    found.sorted(wanted)
}

fn malformed(what: &'static str) -> StoreError {
    let step = Step::LookingUp;
    StoreError::Malformed { step, what }
}

/// What was found, and where in the list.
#[derive(Default)]
struct Found {
    entries: Vec<StoreEntry>,
    places: HashMap<StorePath, usize>,
}

/// How far something has come on its way into the order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Untouched,
    /// What it refers to is on its way.
    Open,
    Sorted,
}

impl Found {
    fn add(&mut self, entry: StoreEntry) {
        self.places.insert(entry.path.clone(), self.entries.len());
        self.entries.push(entry);
    }

    /// In an order in which nothing comes before what it refers to.
    fn sorted(self, wanted: &[StorePath]) -> Result<Vec<StoreEntry>, StoreError> {
        let order = self.order(wanted)?;
        let mut entries: Vec<_> = self.entries.into_iter().map(Some).collect();
        Ok(order
            .into_iter()
            .filter_map(|place| entries[place].take())
            .collect())
    }

    /// Goes down along the references, each time to the end. A chain of them may be longer than the stack is
    /// deep.
    fn order(&self, wanted: &[StorePath]) -> Result<Vec<usize>, StoreError> {
        let mut ways = vec![Way::Untouched; self.entries.len()];
        let mut order = Vec::with_capacity(self.entries.len());
        let mut open: Vec<(usize, btree_set::Iter<'_, StorePath>)> = Vec::new();
        for path in wanted {
            let mut next = Some(path);
            loop {
                if let Some(place) = next.and_then(|path| self.places.get(path).copied()) {
                    let is_itself = open.last().is_some_and(|(last, _)| *last == place);
                    match ways[place] {
                        Way::Untouched => {
                            ways[place] = Way::Open;
                            open.push((place, self.entries[place].references.iter()));
                        }
                        Way::Open if !is_itself => {
                            return Err(malformed("paths that refer to each other"));
                        }
                        Way::Open | Way::Sorted => {}
                    }
                }
                let Some((place, references)) = open.last_mut() else {
                    break;
                };
                next = references.next();
                if next.is_none() {
                    ways[*place] = Way::Sorted;
                    order.push(*place);
                    open.pop();
                }
            }
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use fetchhost_formats::{HashAlgorithm, Hasher};
    use proptest::prelude::*;

    use super::*;

    fn path(number: usize) -> StorePath {
        StorePath::from_base_name(&format!("{}-{number}", "0".repeat(32))).unwrap()
    }

    fn entry(number: usize, references: &[usize]) -> StoreEntry {
        StoreEntry {
            path: path(number),
            nar_hash: Hasher::digest(HashAlgorithm::Sha256, b""),
            nar_size: 0,
            references: references.iter().copied().map(path).collect(),
            deriver: None,
            signatures: Vec::new(),
            ca: None,
            is_ultimate: false,
        }
    }

    /// The closure of `wanted` in a store of these paths.
    fn closed(store: &[StoreEntry], wanted: &[usize]) -> Result<Vec<StoreEntry>, StoreError> {
        let find = |path: &StorePath| store.iter().find(|entry| entry.path == *path).cloned();
        let wanted: Vec<_> = wanted.iter().copied().map(path).collect();
        closure(&wanted, |wave| Ok(wave.iter().map(find).collect()))
    }

    #[test]
    fn a_chain_as_long_as_any_is_sorted() {
        let length = 3_000;
        let mut store: Vec<_> = (1..length).map(|at| entry(at - 1, &[at])).collect();
        store.push(entry(length - 1, &[]));
        let mut asked = store.clone().into_iter();
        let sorted = closure(&[path(0)], |_| Ok(vec![asked.next()])).unwrap();
        store.reverse();
        assert_eq!(sorted, store);
    }

    #[test]
    fn what_is_not_valid_is_named_wherever_it_is_found() {
        let store = [entry(0, &[1, 7]), entry(1, &[])];
        for (wanted, missing) in [(&[5, 0, 6][..], vec![5, 6]), (&[0], vec![7])] {
            let error = closed(&store, wanted).unwrap_err();
            let StoreError::NotValid { paths } = error else {
                panic!("{error}");
            };
            let missing: Vec<_> = missing.into_iter().map(|at| path(at).to_string()).collect();
            assert_eq!(paths, missing);
        }
    }

    #[test]
    fn paths_in_a_circle_and_paths_without_end_are_no_store() {
        let circle = [entry(0, &[1]), entry(1, &[2]), entry(2, &[0])];
        let error = closed(&circle, &[0]).unwrap_err().to_string();
        assert!(error.contains("paths that refer to each other"), "{error}");

        let mut number = 0;
        let endless = bounded(&[path(0)], 1000, |_| {
            number += 1;
            Ok(vec![Some(entry(number - 1, &[number]))])
        });
        let error = endless.unwrap_err().to_string();
        assert!(error.contains("paths without end"), "{error}");
    }

    proptest! {
        #[test]
        fn each_comes_once_and_after_what_it_refers_to(
            references in prop::collection::vec(prop::collection::vec(0..30_usize, 0..4), 30),
            wanted in prop::collection::vec(0..30_usize, 0..4),
        ) {
            // To itself or to greater numbers: no circle.
            let store: Vec<_> = references
                .iter()
                .enumerate()
                .map(|(at, down)| entry(at, &down.iter().map(|to| at + to % (30 - at)).collect::<Vec<_>>()))
                .collect();
            let sorted = closed(&store, &wanted).unwrap();
            let mut seen = BTreeSet::new();
            for entry in &sorted {
                prop_assert!(entry.references.iter().all(|path| *path == entry.path || seen.contains(path)));
                prop_assert!(seen.insert(entry.path.clone()));
            }
            prop_assert!(wanted.iter().all(|at| seen.contains(&path(*at))));
        }
    }
}
