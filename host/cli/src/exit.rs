//! Exit codes: a contract, documented in `docs/exit-codes.md`.

use std::process::ExitCode;

use fetchhost_pipeline::Category;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done.
    Success,
    /// The fetch failed: not found, denied upstream, network.
    FetchFailed,
    /// Usage or configuration; also a credential that cannot be had, and an invalid module.
    Usage,
    /// Denied by grants.
    Denied,
    /// The bytes are not what was declared.
    HashMismatch,
    /// The module misbehaved, or a limit was overrun.
    Module,
    /// A destination failed, or what is remembered cannot be read or written.
    Sink,
    /// Stopped by this signal.
    Signal(u8),
}

impl ExitStatus {
    /// The number that the operating system is told.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::FetchFailed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::HashMismatch => 4,
            Self::Module => 5,
            Self::Sink => 6,
            Self::Signal(number) => 128 + number,
        }
    }

    /// Which of several results decides how the program ends: that with the smallest number.
    pub(crate) fn gravity(self) -> u8 {
        match self {
            Self::Signal(_) => 0,
            Self::Module => 1,
            Self::HashMismatch => 2,
            Self::Denied => 3,
            Self::Sink => 4,
            Self::Usage => 5,
            Self::FetchFailed => 6,
            Self::Success => 7,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

impl From<Category> for ExitStatus {
    fn from(category: Category) -> Self {
        match category {
            Category::Fetch | Category::Internal => Self::FetchFailed,
            Category::Usage => Self::Usage,
            Category::Denied => Self::Denied,
            Category::HashMismatch => Self::HashMismatch,
            Category::Module => Self::Module,
            Category::Sink | Category::Memo => Self::Sink,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ExitStatus::{
        Denied, FetchFailed, HashMismatch, Module, Signal, Sink, Success, Usage,
    };

    #[test]
    fn of_several_results_the_documented_one_is_told() {
        let mut all = [
            Success,
            FetchFailed,
            Usage,
            Denied,
            HashMismatch,
            Module,
            Sink,
            Signal(2),
        ];
        all.sort_by_key(|status| status.gravity());
        let codes = all.map(|status| status.code());
        assert_eq!(codes, [130, 5, 4, 3, 6, 2, 1, 0]);
    }
}
