//! Denials: what is refused, why, and what would allow it.

use std::fmt;

use crate::Provenance;

/// A request or redirect that the broker refuses.
///
/// Displayed in one line; [`Denial::hint`] says what would allow it, if
/// anything does.
#[derive(Clone, PartialEq, Eq)]
pub struct Denial(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) kind: DenialKind,
    pub(super) message: String,
    /// Text that says why nothing allows it, or what to know before allowing.
    pub(super) note: Option<String>,
    /// Flags of which each allows it for one run.
    pub(super) flags: Vec<String>,
    pub(super) lines: Option<Lines>,
}

/// Configuration that allows a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lines {
    /// The grant that they replace; none: they are to be added.
    pub(crate) replaces: Option<Provenance>,
    /// Where the administrator locked the configuration, so that only that file
    /// counts.
    pub(crate) locked: Option<Provenance>,
    pub(crate) toml: String,
    /// Commands that write the same, one after the other; none where no command does.
    pub(crate) commands: Vec<String>,
}

/// What a [`Denial`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DenialKind {
    /// A URL that no request may have.
    Url,
    /// `GET` or `HEAD` with a body.
    Body,
    /// The module does not declare it.
    NotDeclared,
    /// The administrator denies the origin or the module.
    Administrator,
    /// Nothing grants the origin.
    Origin,
    /// Nothing grants the method.
    Method,
    /// Nothing grants the path.
    Path,
    /// A redirect to an origin that is not listed.
    Redirect,
    /// A redirect from `https` to `http`.
    Downgrade,
    /// The module names a slot that it does not declare.
    Slot,
    /// A slot that is not optional has no credential.
    Credential,
    /// The origin is an address that may not be connected to.
    Address,
    /// A key that the module may not use in this way.
    Key,
    /// A proxy would connect to an origin that is written as a wildcard only.
    Proxy,
}

impl Lines {
    /// What to do with the lines, and the lines.
    pub(super) fn text(&self) -> String {
        let toml = format!("{}\n\n{}", self.action(), indented(self.toml.lines()));
        if self.commands.is_empty() {
            return toml;
        }
        let commands = indented(self.commands.iter().map(String::as_str));
        format!("{toml}\n\nor let it be written:\n\n{commands}")
    }

    fn action(&self) -> String {
        match (&self.replaces, &self.locked) {
            (Some(place), _) => {
                format!("to allow it for good, put this in place of the grant at {place}:")
            }
            (None, Some(place)) => format!(
                "the administrator locked the configuration at {place}; to allow it for good, this goes into that file:"
            ),
            (None, None) => "to allow it for good, add this to `config.toml`:".to_owned(),
        }
    }
}

fn indented<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<String> = lines
        .map(|line| match line {
            "" => String::new(),
            line => format!("  {line}"),
        })
        .collect();
    lines.join("\n")
}

impl Denial {
    pub(crate) fn new(kind: DenialKind, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            message: message.into(),
            note: None,
            flags: Vec::new(),
            lines: None,
        }))
    }

    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.0.note = Some(note.into());
        self
    }

    pub(super) fn with_optional_note(mut self, note: Option<String>) -> Self {
        self.0.note = note.or(self.0.note);
        self
    }

    pub(super) fn of_kind(mut self, kind: DenialKind) -> Self {
        self.0.kind = kind;
        self
    }

    pub(crate) fn with_flag(mut self, flag: Option<String>) -> Self {
        self.0.flags.extend(flag);
        self
    }

    pub(crate) fn with_lines(mut self, lines: Lines) -> Self {
        self.0.lines = Some(lines);
        self
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> DenialKind {
        self.0.kind
    }

    /// Flags of which each, added to the command line, would allow it.
    #[must_use]
    pub fn flags(&self) -> &[String] {
        &self.0.flags
    }

    /// Lines of `config.toml` that would allow it.
    #[must_use]
    pub fn config_lines(&self) -> Option<&str> {
        self.0.lines.as_ref().map(|lines| lines.toml.as_str())
    }

    /// Commands that, run one after the other, write what [`Denial::config_lines`] say into the
    /// user's configuration. None where they would not: when a grant is to be replaced, or the
    /// administrator locked the configuration.
    #[must_use]
    pub fn commands(&self) -> &[String] {
        let lines = self.0.lines.as_ref();
        lines.map_or(&[], |lines| lines.commands.as_slice())
    }

    /// The grant that [`Denial::config_lines`] are to replace; otherwise they
    /// are to be added.
    #[must_use]
    pub fn replaces(&self) -> Option<&Provenance> {
        self.0.lines.as_ref()?.replaces.as_ref()
    }

    /// What would allow it: the exact flags and the exact lines of
    /// configuration, or why nothing does.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let mut parts = Vec::new();
        parts.extend(self.0.note.clone());
        if let [first, others @ ..] = self.0.flags.as_slice() {
            let mut text = format!("to allow it for this run, add `{first}`");
            for flag in others {
                text.push_str(&format!(" or `{flag}`"));
            }
            parts.push(text);
        }
        parts.extend(self.0.lines.as_ref().map(Lines::text));
        (!parts.is_empty()).then(|| parts.join("\n\n"))
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::printable(&self.0.message))
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Denial")
            .field(&self.0.kind)
            .field(&self.0.message)
            .finish()
    }
}

impl std::error::Error for Denial {}
