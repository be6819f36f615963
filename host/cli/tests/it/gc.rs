//! `nix-fetchhost gc`, by its front door.

use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use crate::home::Home;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn what_was_not_used_for_long_goes_and_the_rest_stays() {
    let home = Home::new();
    let folder = home.path(".cache/nix-fetchhost/compiled");
    assert_eq!(home.run(&["gc"]).succeeds(), "", "no folder is no error");
    fs::create_dir_all(&folder).unwrap();
    for (name, days) in [("old", 40), ("recent", 2), ("new", 0)] {
        let file = File::create(folder.join(name)).unwrap();
        let used = SystemTime::now() - DAY * days;
        file.set_times(FileTimes::new().set_accessed(used).set_modified(used))
            .unwrap();
    }
    let old = format!("{}\n", folder.join("old").display());
    let would = home.run(&["gc", "--unused-days", "30", "--dry-run"]);
    assert_eq!(would.succeeds(), old);
    assert!(folder.join("old").exists());
    assert_eq!(home.run(&["gc", "--unused-days", "30"]).succeeds(), old);
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["new", "recent"]);
}
