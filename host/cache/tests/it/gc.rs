//! What is taken away, and above all what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use fetchhost_cache::{
    CacheError, Checks, Collected, HashPart, Keep, Key, Plan, collect, plan, verify,
};
use fetchhost_formats::{NarInfo, StorePath};
use proptest::prelude::{any, prop, proptest};

use crate::common::{Made, WORK, made, path};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Nothing but what belongs to no entry, and is older than a day.
fn orphans() -> Keep {
    Keep {
        roots: None,
        since: None,
        young: SystemTime::now() - DAY,
        ignore_damaged: false,
    }
}

fn rooted(roots: &[&StorePath]) -> Keep {
    Keep {
        roots: Some(roots.iter().map(|path| HashPart::of(path)).collect()),
        ..orphans()
    }
}

impl Made {
    fn plan(&self, keep: &Keep) -> Plan {
        plan(&self.cache, keep, &WORK).unwrap().unwrap()
    }

    fn collect(&self, keep: &Keep) -> Collected {
        collect(&self.cache, self.plan(keep), keep, &WORK).unwrap()
    }

    /// Makes everything in the cache as old as that.
    fn age(&self, age: Duration) {
        let then = SystemTime::now() - age;
        let folders = [self.dir.path().to_owned(), self.dir.path().join("nar")];
        for entry in folders
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok())
            .flatten()
        {
            let path = entry.unwrap().path();
            if path.is_file() {
                File::options()
                    .append(true)
                    .open(path)
                    .unwrap()
                    .set_modified(then)
                    .unwrap();
            }
        }
    }

    fn refer(&self, record: &NarInfo, to: &[&StorePath]) {
        let mut record = record.clone();
        record.references = to.iter().map(|path| (*path).clone()).collect();
        self.write(&record.store_path.clone(), &record.to_string());
    }

    /// The records that are there; all of them are sound, and nothing that they refer to is missing.
    fn sound(&self) -> BTreeSet<String> {
        let found = verify(&self.cache, &Checks::default(), &[], &WORK).unwrap();
        assert!(found.damaged.is_empty(), "{:?}", found.damaged);
        assert!(found.dangling.is_empty(), "{:?}", found.dangling);
        let records = found.inventory.records.keys();
        records
            .map(|hash_part| hash_part.as_str()[..1].to_owned())
            .collect()
    }
}

#[test]
fn without_being_asked_for_more_only_what_belongs_to_nothing_goes() {
    let made = made("compression=none");
    let one = path('a', "one");
    made.publish(&one, b"content");
    let loose = [
        "nar/loose.nar",
        "nar/.nix-fetchhost-x1.tmp",
        "nar/2.nar.tmp.7.0",
    ];
    for name in loose {
        fs::write(made.dir.path().join(name), "loose").unwrap();
    }
    let listing = made
        .dir
        .path()
        .join(Key::listing(&path('b', "gone")).as_str());
    fs::write(&listing, "{}").unwrap();
    for name in ["nar/README", "index.html"] {
        fs::write(made.dir.path().join(name), "kept").unwrap();
    }
    // Somebody may be publishing them.
    let young = made.collect(&orphans());
    assert_eq!(
        (young.nars, young.listings, young.temporary, young.bytes),
        (0, 0, 0, 0)
    );
    made.age(2 * DAY);
    let planned = made.plan(&orphans());
    assert_eq!(
        (
            planned.nars.len(),
            planned.listings.len(),
            planned.temporary.len()
        ),
        (1, 1, 2)
    );
    assert!(
        made.dir.path().join(loose[0]).exists(),
        "a plan changes nothing"
    );
    let done = made.collect(&orphans());
    assert_eq!(
        (done.records, done.nars, done.listings, done.temporary),
        (0, 1, 1, 2)
    );
    assert!(
        loose
            .iter()
            .all(|name| !made.dir.path().join(name).exists())
            && !listing.exists()
    );
    assert!(
        made.dir.path().join("nar/README").exists() && made.dir.path().join("index.html").exists()
    );
    assert_eq!(made.sound().len(), 1);
}

#[test]
fn roots_keep_what_they_refer_to_and_the_rest_goes_with_its_nars() {
    let made = made("compression=zstd");
    let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(|letter| path(letter, "x"));
    let published = [&a, &b, &c, &d].map(|path| made.publish(path, path.base_name().as_bytes()));
    made.refer(&published[0], &[&b, &a]);
    made.refer(&published[1], &[&c]);
    made.refer(&published[3], &[&c]);
    let listing = made.dir.path().join(Key::listing(&d).as_str());
    fs::write(&listing, "{}").unwrap();
    made.age(2 * DAY);
    let done = made.collect(&rooted(&[&a]));
    assert_eq!((done.records, done.nars, done.listings), (1, 1, 1));
    assert_eq!(made.sound(), ["a", "b", "c"].map(str::to_owned).into());
    assert!(!made.nar(&published[3]).exists() && !listing.exists());
}

#[test]
fn what_is_young_keeps_what_is_old_and_needed() {
    let made = made("compression=none");
    let [a, b, c] = ['a', 'b', 'c'].map(|letter| path(letter, "x"));
    for path in [&b, &c] {
        made.publish(path, path.base_name().as_bytes());
    }
    made.age(40 * DAY);
    let young = made.publish(&a, b"young");
    made.refer(&young, &[&b]);
    let keep = Keep {
        since: Some(SystemTime::now() - 30 * DAY),
        ..orphans()
    };
    let done = made.collect(&keep);
    assert_eq!((done.records, done.nars), (1, 1));
    assert_eq!(made.sound(), ["a", "b"].map(str::to_owned).into());
}

#[test]
fn roots_do_not_take_what_is_being_published() {
    let made = made("compression=none");
    let (root, young) = (path('a', "root"), path('b', "young"));
    made.publish(&root, b"root");
    made.age(2 * DAY);
    made.publish(&young, b"young");
    assert_eq!(made.collect(&rooted(&[&root])).records, 0);
    assert_eq!(made.sound().len(), 2);
}

#[test]
fn a_nar_of_two_records_goes_with_the_last() {
    let made = made("compression=none");
    let (one, two) = (path('a', "one"), path('b', "two"));
    let record = made.publish(&one, b"content");
    made.publish(&two, b"content");
    let third = path('c', "three");
    made.publish(&third, b"another");
    made.age(2 * DAY);
    let done = made.collect(&rooted(&[&one]));
    assert_eq!((done.records, done.nars), (2, 1));
    assert!(made.nar(&record).exists());
    made.sound();
}

#[test]
fn a_record_that_cannot_be_parsed_holds_up_all_but_leftovers() {
    let made = made("compression=none");
    let (root, other) = (path('a', "root"), path('b', "other"));
    made.publish(&root, b"root");
    let named = made.publish(&other, b"other");
    let damaged = path('c', "damaged");
    made.write(&damaged, &format!("StorePath: x\nURL: {}", named.url));
    fs::write(made.dir.path().join("nar/loose.nar"), "").unwrap();
    fs::write(made.dir.path().join("nar/1.nar.tmp.1.1"), "").unwrap();
    made.age(2 * DAY);
    let keep = rooted(&[&root]);
    let planned = made.plan(&keep);
    assert!(planned.is_held_up && planned.damaged == [Key::record(&damaged)]);
    let done = made.collect(&keep);
    assert_eq!((done.records, done.nars, done.temporary), (0, 0, 1));
    // Even then, what its lines name stays, and so does it: that is for `verify`.
    let keep = Keep {
        ignore_damaged: true,
        ..keep
    };
    let done = made.collect(&keep);
    assert_eq!((done.records, done.nars), (1, 1));
    assert!(made.nar(&named).exists() && made.record(&damaged).exists());
}

#[test]
fn what_was_published_since_the_plan_keeps_what_it_needs() {
    let made = made("compression=none");
    let [root, old, orphan] = ['a', 'b', 'c'].map(|letter| path(letter, "x"));
    made.publish(&root, b"root");
    made.publish(&old, b"old");
    let left = made.publish(&orphan, b"orphan");
    fs::remove_file(made.record(&orphan)).unwrap();
    made.age(2 * DAY);
    let keep = rooted(&[&root]);
    let planned = made.plan(&keep);
    assert_eq!((planned.records.len(), planned.nars.len()), (1, 2));
    // Another publisher finds the old path and the old NAR there.
    made.write(&orphan, &left.to_string());
    made.refer(&left, &[&old]);
    let done = collect(&made.cache, planned, &keep, &WORK).unwrap();
    assert_eq!((done.records, done.nars), (0, 0));
    assert_eq!(made.sound().len(), 3);
}

#[test]
fn a_root_that_is_not_there_is_told_and_when_there_is_no_other_nothing_goes() {
    let made = made("compression=none");
    let (root, gone) = (path('a', "root"), path('b', "gone"));
    made.publish(&root, b"root");
    made.age(2 * DAY);
    assert_eq!(
        made.plan(&rooted(&[&root, &gone])).absent,
        [HashPart::of(&gone)]
    );
    let error = plan(&made.cache, &rooted(&[&gone]), &WORK).unwrap_err();
    assert!(matches!(error, CacheError::NoRoots { .. }), "{error}");
}

#[test]
fn a_hostile_record_names_nothing_that_goes_with_it() {
    let made = made("compression=none");
    let (root, hostile) = (path('a', "root"), path('b', "hostile"));
    let its = made.publish(&root, b"root");
    for url in [
        "nix-cache-info",
        "../../etc/passwd",
        "/etc/passwd",
        Key::record(&root).as_str(),
    ] {
        let mut record = its.clone();
        record.store_path = hostile.clone();
        record.url = url.parse().unwrap();
        made.write(&hostile, &record.to_string());
        made.age(2 * DAY);
        let done = made.collect(&rooted(&[&root]));
        assert_eq!((done.records, done.nars), (1, 0), "{url}");
        assert_eq!(made.sound().len(), 1);
        assert!(made.dir.path().join("nix-cache-info").exists());
    }
}

#[test]
fn a_nar_that_is_named_by_a_detour_stays() {
    for detour in [
        "./nar/",
        "nar//",
        "nar/../nar/",
        "https://elsewhere.test/nar/",
    ] {
        let made = made("compression=none");
        let root = path('a', "root");
        let record = made.publish(&root, b"root");
        let url = record
            .url
            .to_string()
            .replace("nar/", detour)
            .replace(".nar", "%2Enar");
        made.write(
            &root,
            &record.to_string().replace(record.url.as_str(), &url),
        );
        made.age(2 * DAY);
        assert_eq!(made.collect(&orphans()).nars, 0, "{url}");
        assert!(made.nar(&record).exists());
    }
}

#[test]
fn a_nar_with_the_name_of_something_unfinished_stays_where_a_record_names_it() {
    let made = made("compression=none");
    let root = path('a', "root");
    let record = made.publish(&root, b"root");
    let text = record.to_string();
    for name in ["nar/x.nar.tmp.1.2", "nar/.nix-fetchhost-x.tmp"] {
        fs::copy(made.nar(&record), made.dir.path().join(name)).unwrap();
        made.write(&root, &text.replace(record.url.as_str(), name));
        made.age(2 * DAY);
        made.collect(&orphans());
        made.sound();
        fs::copy(made.dir.path().join(name), made.nar(&record)).unwrap();
    }
}

#[test]
fn what_is_stopped_takes_nothing_for_unneeded() {
    let made = made("compression=none");
    let root = path('a', "root");
    let record = made.publish(&root, b"root");
    made.age(2 * DAY);
    let stopped = fetchhost_cache::Work {
        stop: &|| true,
        ..WORK
    };
    assert!(plan(&made.cache, &orphans(), &stopped).unwrap().is_none());
    let planned = made.plan(&orphans());
    collect(&made.cache, planned, &orphans(), &stopped).unwrap();
    assert!(made.nar(&record).exists());
}

proptest! {
    /// Whatever refers to what, and whatever is a root or young: what stays is whole.
    #[test]
    fn what_stays_is_whole(
        edges in prop::collection::vec((0_usize..8, 0_usize..8), 0..20),
        roots in prop::collection::btree_set(0_usize..8, 1..4), young in prop::collection::vec(any::<bool>(), 8),
    ) {
        let made = made("compression=none");
        let paths: Vec<_> = "abcdfghi".chars().map(|letter| path(letter, "x")).collect();
        let mut wanted: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (from, to) in edges {
            wanted.entry(from).or_default().insert(to);
        }
        for (index, path) in paths.iter().enumerate() {
            // Some share a NAR.
            let record = made.publish(path, &[index as u8 / 2]);
            let to: Vec<_> = wanted.get(&index).into_iter().flatten().map(|to| &paths[*to]).collect();
            made.refer(&record, &to);
        }
        made.age(2 * DAY);
        for (path, _) in paths.iter().zip(&young).filter(|(_, young)| **young) {
            File::options().append(true).open(made.record(path)).unwrap().set_modified(SystemTime::now()).unwrap();
        }
        let chosen: Vec<_> = roots.iter().map(|root| &paths[*root]).collect();
        made.collect(&rooted(&chosen));
        let left = made.sound();
        let is_kept = |index: &usize| left.contains(&paths[*index].hash_part()[..1]);
        assert!(roots.iter().all(is_kept));
        assert!((0..8).filter(|index| young[*index]).all(|index| is_kept(&index)));
        // And nothing more than that stays.
        let mut needed: BTreeSet<usize> = roots.into_iter().chain((0..8).filter(|index| young[*index])).collect();
        loop {
            let more: BTreeSet<_> = needed.iter().filter_map(|one| wanted.get(one)).flatten().copied().collect();
            let before = needed.len();
            needed.extend(more);
            if needed.len() == before {
                break;
            }
        }
        assert_eq!(left.len(), needed.len());
    }
}

/// What is remembered is no junk, and the path that it names stays.
#[test]
fn what_is_remembered_stays_with_its_path() {
    let made = made("");
    let (kept, named, loose) = (path('a', "kept"), path('b', "named"), path('c', "loose"));
    for (path, content) in [(&kept, "1"), (&named, "2"), (&loose, "3")] {
        made.publish(path, content.as_bytes());
    }
    let id = "0f".repeat(32);
    let folder = made.dir.path().join("memo");
    fs::create_dir(&folder).unwrap();
    let entry = folder.join(format!("{id}.json"));
    fs::write(&entry, format!(r#"{{"version":1,"storePath":"{named}"}}"#)).unwrap();
    let damaged = folder.join(format!("{}.json", "1f".repeat(32)));
    fs::write(&damaged, "{").unwrap();
    made.age(2 * DAY);
    for old in [&entry, &damaged] {
        let file = File::options().append(true).open(old).unwrap();
        file.set_modified(SystemTime::now() - 3 * DAY).unwrap();
    }
    let collected = made.collect(&rooted(&[&kept]));
    assert_eq!(collected.records, 1);
    assert!(made.record(&kept).exists() && made.record(&named).exists());
    assert!(!made.record(&loose).exists());
    assert!(entry.exists() && damaged.exists());
    // By age as well.
    let aged = Keep {
        since: Some(SystemTime::now() - DAY),
        ..orphans()
    };
    assert_eq!(made.collect(&aged).records, 1);
    assert!(made.record(&named).exists() && !made.record(&kept).exists());
    // A root that only an entry names is no reason to take all away.
    assert!(matches!(
        plan(&made.cache, &rooted(&[&loose]), &WORK),
        Err(CacheError::NoRoots { .. })
    ));
    assert_eq!(made.sound(), BTreeSet::from(["b".to_owned()]));
    // Forgotten, it names nothing.
    fs::write(
        &entry,
        r#"{"version":1,"forgotten":"2026-01-01T00:00:00Z"}"#,
    )
    .unwrap();
    assert_eq!(made.collect(&aged).records, 1);
}
