//! The configuration in force while the gateway runs: read again when one of its files has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::context::Context;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::unattended::Unattended;

/// What makes jobs by the configuration as it is now.
pub(super) struct Current {
    environment: Environment,
    printer: Printer,
    known: Mutex<Known>,
}

struct Known {
    stamps: Stamps,
    /// Nothing, and why, while the files cannot be read: what they would forbid is not known then.
    made: Result<Arc<Unattended>, Unreadable>,
}

/// Why the configuration cannot be read.
#[derive(Clone)]
struct Unreadable {
    message: String,
    hint: Option<String>,
}

/// What tells that a file is still the same; none for one that is not there.
type Stamps = Vec<Option<(u64, u64, u64, [i64; 4])>>;

impl Current {
    /// The configuration as it is now, for the files that `context` names.
    pub(super) fn new(context: &Context) -> Result<Self, Failure> {
        let (printer, environment) = (context.printer, context.environment.clone());
        // Looked at before it is read: a change in between is seen by the next look.
        let stamps = stamps(&environment);
        let made = Ok(Arc::new(read(printer, &environment)?));
        Ok(Self {
            environment,
            printer,
            known: Mutex::new(Known { stamps, made }),
        })
    }

    /// What makes jobs now. Blocks for as long as reading two small files takes.
    pub(super) fn get(&self) -> Result<Arc<Unattended>, Failure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.environment);
        if stamps != known.stamps {
            known.stamps = stamps;
            known.made = read(self.printer, &self.environment)
                .map(Arc::new)
                .map_err(|failure| Unreadable {
                    message: failure.message,
                    hint: failure.hint,
                });
            match &known.made {
                Ok(_) => self.printer.note("the configuration changed and was read again"),
                Err(error) => self.printer.warning(&format!(
                    "the configuration changed and cannot be used; nothing is fetched until it is right: {}",
                    error.message
                )),
            }
        }
        known.made.clone().map_err(|error| Failure {
            kind: "configuration",
            hint: error.hint,
            ..Failure::usage(error.message)
        })
    }
}

/// By the files as they are now, with credentials that are read anew: their sources may have changed as well.
fn read(printer: Printer, environment: &Environment) -> Result<Unattended, Failure> {
    let context = Context {
        printer,
        environment: environment.clone(),
        settings: Settings::load(environment)?,
        broken: None,
    };
    Unattended::new(&context, Arc::new(context.keyring()))
}

fn stamps(environment: &Environment) -> Stamps {
    let stamp = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        let times = [
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ];
        Some((found.dev(), found.ino(), found.len(), times))
    };
    let files = [&environment.admin_config]
        .into_iter()
        .chain(&environment.user_config);
    files.map(|path| stamp(path)).collect()
}
