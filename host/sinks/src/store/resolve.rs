//! Which store path is meant by what a user types.
//!
//! | typed | meant |
//! |---|---|
//! | `/nix/store/HASH-NAME` | that |
//! | `/nix/store/HASH-NAME/bin/x` | the same; a link in the store is not followed |
//! | `./result`, a link to one of these, in several steps or through linked folders | what it leads to |
//! | `/ROOT/nix/store/HASH-NAME` of a store whose files lie in `/ROOT` | `/nix/store/HASH-NAME` |
//! | `..` below the store | taken with the name before it, as Nix does |
//! | anything else | an error that says where it ends |

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf, absolute};

use fetchhost_formats::{STORE_DIR, StorePath};

use super::error::StoreError;

/// How many links are followed: as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// The path of a store in its usual place that is meant by what a user types. It need not be there.
///
/// # Errors
///
/// When it leads out of the store, or nowhere.
pub fn resolve_logical(typed: &Path) -> Result<StorePath, StoreError> {
    resolve(typed, Path::new(STORE_DIR))
}

/// Follows `typed` until it is below one of the store's folders. `physical` is where the store's files lie.
pub(super) fn resolve(typed: &Path, physical: &Path) -> Result<StorePath, StoreError> {
    let mut stores = vec![Path::new(STORE_DIR).to_owned(), physical.to_owned()];
    stores.extend(fs::canonicalize(physical));
    let refused = |problem: String| StoreError::NotInStore {
        typed: typed.to_owned(),
        problem,
    };
    let full = absolute(typed).map_err(|error| refused(error.to_string()))?;
    let mut here = PathBuf::new();
    let mut names = components(&full);
    let mut links = 0;
    loop {
        let full: PathBuf = here
            .iter()
            .chain(names.iter().map(OsString::as_os_str))
            .collect();
        if let Some(name) = stores.iter().find_map(|store| first_below(store, &full)) {
            let path = name.to_str().map(StorePath::from_base_name);
            return match path {
                Some(Ok(path)) => Ok(path),
                Some(Err(error)) => Err(refused(error.to_string())),
                None => Err(refused("the name is not UTF-8".to_owned())),
            };
        }
        let Some(name) = names.pop_front() else {
            break;
        };
        if name == ".." {
            here.pop();
            continue;
        }
        here.push(&name);
        // What is no link is passed. So is what is not there: a store's folder need not be.
        if let Ok(target) = fs::read_link(&here) {
            links += 1;
            if links > MAX_LINKS {
                return Err(refused("it leads through too many links".to_owned()));
            }
            here.pop();
            let mut below = components(&target);
            below.append(&mut names);
            names = below;
        }
    }
    Err(refused(match fs::symlink_metadata(&here) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{} does not exist", shown(&here))
        }
        Err(error) => format!("{}: {error}", shown(&here)),
        Ok(_) => format!("it leads to {}", shown(&here)),
    }))
}

/// The names of a path, with `/` first when it is absolute.
fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .map(|component| component.as_os_str().to_owned())
        .filter(|name| name != ".")
        .collect()
}

/// The first name of `full` below `store`.
fn first_below<'a>(store: &Path, full: &'a Path) -> Option<&'a OsStr> {
    let mut names = Vec::new();
    for component in full.strip_prefix(store).ok()?.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => {
                names.pop()?;
            }
            _ => {}
        }
    }
    names.first().copied()
}

fn shown(path: &Path) -> String {
    format!("`{}`", fetchhost_policy::printable(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const NAME: &str = "00000000000000000000000000000000-x";

    #[test]
    fn what_leads_into_the_store_is_a_store_path() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let physical = at("root/nix/store");
        fs::create_dir_all(physical.join(NAME)).unwrap();
        fs::create_dir(at("project")).unwrap();
        let logical = format!("{STORE_DIR}/{NAME}");
        // In a store, where a link leads does not matter.
        symlink("/etc", physical.join(NAME).join("link")).unwrap();
        symlink(&logical, at("result")).unwrap();
        symlink("../result", at("project/result")).unwrap();
        symlink("project", at("linked")).unwrap();
        symlink(format!("{logical}/bin/x"), at("program")).unwrap();
        symlink(physical.join(NAME), at("physical")).unwrap();
        symlink("root", at("other-root")).unwrap();
        for typed in [
            PathBuf::from(&logical),
            format!("{logical}/").into(),
            format!("{logical}/bin/../lib/x").into(),
            format!("{STORE_DIR}/y/../{NAME}").into(),
            format!("/nix/var/../store//{NAME}").into(),
            at("result"),
            at("result/bin/missing"),
            at("project/result"),
            at("project/../result"),
            at("linked/result/."),
            at("linked/../result"),
            at("program"),
            at("physical"),
            physical.join(NAME),
            physical.join(NAME).join("link/passwd"),
            at("other-root/nix/store").join(NAME),
        ] {
            let path = resolve(&typed, &physical).unwrap();
            assert_eq!(path.to_string(), logical, "{}", typed.display());
        }
        let other = at("other-root/nix/store");
        let path = resolve(&physical.join(NAME), &other).unwrap();
        assert_eq!(path.to_string(), logical);
    }

    #[test]
    fn what_does_not_lead_there_is_told_with_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let physical = at("root/nix/store");
        fs::write(at("file"), "").unwrap();
        symlink("file", at("link")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("gone", at("dangling")).unwrap();
        let end = |name: &str| format!("`{}`", at(name).display());
        for (typed, problem) in [
            (at("file"), format!("it leads to {}", end("file"))),
            (at("link"), format!("it leads to {}", end("file"))),
            (at("loop"), "it leads through too many links".to_owned()),
            (at("dangling"), format!("{} does not exist", end("gone"))),
            (
                at("missing/.."),
                format!("it leads to {}", end("").replace("/`", "`")),
            ),
            ("/".into(), "it leads to `/`".to_owned()),
            (
                format!("{STORE_DIR}/../../etc").into(),
                "it leads to `/etc`".to_owned(),
            ),
            (
                format!("{STORE_DIR}/.links/x").into(),
                "`.links` is not a store path".to_owned(),
            ),
        ] {
            let error = resolve(&typed, &physical).unwrap_err();
            let text = error.to_string();
            let shown = format!("`{}` is not in the store: {problem}", typed.display());
            assert!(text.starts_with(&shown), "{text}");
            assert!(error.is_configuration() && error.hint().is_some());
        }
    }
}
