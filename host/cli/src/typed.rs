//! Finding FETCHER on a command line whose flags are not all known yet.
//!
//! The parameters of a fetcher become flags only after its module was loaded, so the command line is
//! looked at twice: here, for the word that names the fetcher, and then by clap with every flag known.

use std::ffi::OsString;

use clap::{ArgAction, Command};

/// The subcommand and the FETCHER that follows it.
pub(crate) struct Typed {
    pub(crate) subcommand: String,
    pub(crate) fetcher: String,
}

/// Finds FETCHER behind one of `subcommands`: the first word that is neither a flag nor a flag's value.
pub(crate) fn find(root: &Command, subcommands: &[&str], argv: &[OsString]) -> Option<Typed> {
    let mut command = root;
    let mut subcommand: Option<&str> = None;
    let mut words = argv.iter().skip(1);
    while let Some(word) = words.next() {
        let word = word.to_str()?;
        if word == "--" {
            return None;
        }
        if word.starts_with('-') && word.len() > 1 {
            if takes_value(root, command, word) {
                words.next();
            }
            continue;
        }
        match subcommand {
            Some(subcommand) => {
                return Some(Typed {
                    subcommand: subcommand.to_owned(),
                    fetcher: word.to_owned(),
                });
            }
            None if subcommands.contains(&word) => {
                command = root.find_subcommand(word)?;
                subcommand = Some(word);
            }
            None => return None,
        }
    }
    None
}

/// The subcommands that were typed, from the outermost to the innermost.
pub(crate) fn subcommands<'a>(root: &'a Command, argv: &[OsString]) -> Vec<&'a Command> {
    let mut path: Vec<&Command> = Vec::new();
    let mut words = argv.iter().skip(1);
    while let Some(word) = words.next().and_then(|word| word.to_str()) {
        let command = path.last().copied().unwrap_or(root);
        if word.starts_with('-') {
            if takes_value(root, command, word) {
                words.next();
            }
            continue;
        }
        match command.find_subcommand(word) {
            Some(found) => path.push(found),
            None => break,
        }
    }
    path
}

fn takes_value(root: &Command, command: &Command, word: &str) -> bool {
    if word.contains('=') {
        return false;
    }
    let arg = root
        .get_arguments()
        .chain(command.get_arguments())
        .find(|arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short() == word.chars().last(),
        });
    arg.is_some_and(|arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn fetcher(line: &str) -> Option<String> {
        let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
        find(&Cli::command(), &["run", "prefetch"], &argv).map(|typed| typed.fetcher)
    }

    #[test]
    fn the_first_word_after_the_subcommand_is_the_fetcher() {
        assert_eq!(
            fetcher("x run gitlab-artifact --project run").as_deref(),
            Some("gitlab-artifact")
        );
    }

    #[test]
    fn values_of_our_own_flags_are_skipped() {
        let line = "x -vv --log-format json run --to out:x --json --hash=h --hash h http-file";
        assert_eq!(fetcher(line).as_deref(), Some("http-file"));
    }

    #[test]
    fn subcommands_are_found_down_to_the_innermost() {
        let root = Cli::command();
        for (line, path) in [
            ("x", ""),
            (
                "x --log-format json grant -q add builtin:run --origin list",
                "grant add",
            ),
            ("x run gc", "run"),
            ("x nonsense gc", ""),
        ] {
            let argv: Vec<OsString> = line.split(' ').map(Into::into).collect();
            let found = subcommands(&root, &argv);
            let names: Vec<&str> = found.iter().map(|command| command.get_name()).collect();
            assert_eq!(names.join(" "), path, "{line}");
        }
    }

    #[test]
    fn other_subcommands_have_no_fetcher() {
        assert_eq!(fetcher("x fetcher list"), None);
        assert_eq!(fetcher("x run --help"), None);
        assert_eq!(fetcher("x"), None);
    }
}
