//! How much a run may use, and how an overrun is told.
//!
//! The numbers are defaults; `[limits]` in the configuration overrides each.

use std::fmt;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The limits of a run. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one module instance, in bytes.
    pub memory: u64,
    /// Instructions of one fetch, in the engine's fuel units. Its calls of the
    /// host are bounded by the same number, each counting as some thousands.
    pub fuel: u64,
    /// How long one guest call may go without progress.
    pub call_timeout: Duration,
    /// Requests of one fetch, redirects not counted.
    pub requests: u64,
    /// Bytes of responses and blobs that a module may read, in bytes.
    pub read_bytes: u64,
    /// What a module may log, in bytes.
    pub log_bytes: u64,
    /// Size of the result when unpacked, in bytes.
    pub output_bytes: u64,
    /// Files, folders and symbolic links in a result.
    pub entries: u64,
    /// Nesting of folders in a result; [`Limits::MAX_DEPTH`] at most.
    pub depth: u64,
    /// How many times larger than its archive a result may be.
    pub archive_ratio: u64,
    /// Up to how many bytes the ratio is not looked at.
    pub ratio_floor: u64,
    /// Window of an xz or zstd decoder, in bytes.
    pub decoder_window: u64,
    /// Resource handles that a module may hold at once.
    pub table_entries: u64,
    /// Size of a module's `describe` document, in bytes.
    pub describe_bytes: u64,
    /// Size of a module, in bytes.
    pub module_bytes: u64,
}

impl Limits {
    /// The deepest nesting that NAR reading code of the field accepts; it
    /// cannot be raised by configuration.
    pub const MAX_DEPTH: u64 = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 * MIB,
            fuel: 10_000_000_000,
            call_timeout: Duration::from_secs(60),
            requests: 1_000,
            read_bytes: 64 * MIB,
            log_bytes: MIB,
            output_bytes: 64 * GIB,
            entries: 1_000_000,
            depth: Self::MAX_DEPTH,
            archive_ratio: 200,
            ratio_floor: 64 * MIB,
            decoder_window: 128 * MIB,
            table_entries: 10_000,
            describe_bytes: MIB,
            module_bytes: 64 * MIB,
        }
    }
}

/// What kind of number a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Seconds,
    Count,
}

macro_rules! limits {
    ($($variant:ident $field:ident $key:literal $unit:ident $subject:literal,)*) => {
        /// The name of one of the [`Limits`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Limit {
            $(#[doc = concat!("[`Limits::", stringify!($field), "`]")] $variant,)*
        }

        impl Limit {
            /// Every limit, in the order of [`Limits`].
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its key under `[limits]`.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)* }
            }

            /// What it bounds, as an overrun says it.
            #[must_use]
            pub const fn subject(self) -> &'static str {
                match self { $(Self::$variant => $subject,)* }
            }

            pub(crate) const fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit,)* }
            }
        }
    };
}

limits! {
    Memory memory "memory" Bytes "memory of the module",
    Fuel fuel "fuel" Count "instructions",
    CallTimeout call_timeout "call-timeout" Seconds "time without progress",
    Requests requests "requests" Count "requests",
    ReadBytes read_bytes "read-bytes" Bytes "bytes read by the module",
    LogBytes log_bytes "log-bytes" Bytes "log output",
    OutputBytes output_bytes "output-bytes" Bytes "size of the result",
    Entries entries "entries" Count "entries of the result",
    Depth depth "depth" Count "nesting of the result",
    ArchiveRatio archive_ratio "archive-ratio" Count "expansion of the archive",
    RatioFloor ratio_floor "ratio-floor" Bytes "expansion of the archive",
    DecoderWindow decoder_window "decoder-window" Bytes "window of the decoder",
    TableEntries table_entries "table-entries" Count "resources held by the module",
    DescribeBytes describe_bytes "describe-bytes" Bytes "size of the module's description",
    ModuleBytes module_bytes "module-bytes" Bytes "size of the module",
}

impl Limits {
    /// The value of `limit`: bytes, seconds or a count.
    #[must_use]
    pub const fn get(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Memory => self.memory,
            Limit::Fuel => self.fuel,
            Limit::CallTimeout => self.call_timeout.as_secs(),
            Limit::Requests => self.requests,
            Limit::ReadBytes => self.read_bytes,
            Limit::LogBytes => self.log_bytes,
            Limit::OutputBytes => self.output_bytes,
            Limit::Entries => self.entries,
            Limit::Depth => self.depth,
            Limit::ArchiveRatio => self.archive_ratio,
            Limit::RatioFloor => self.ratio_floor,
            Limit::DecoderWindow => self.decoder_window,
            Limit::TableEntries => self.table_entries,
            Limit::DescribeBytes => self.describe_bytes,
            Limit::ModuleBytes => self.module_bytes,
        }
    }

    pub(crate) const fn set(&mut self, limit: Limit, value: u64) {
        let field = match limit {
            Limit::CallTimeout => {
                self.call_timeout = Duration::from_secs(value);
                return;
            }
            Limit::Memory => &mut self.memory,
            Limit::Fuel => &mut self.fuel,
            Limit::Requests => &mut self.requests,
            Limit::ReadBytes => &mut self.read_bytes,
            Limit::LogBytes => &mut self.log_bytes,
            Limit::OutputBytes => &mut self.output_bytes,
            Limit::Entries => &mut self.entries,
            Limit::Depth => &mut self.depth,
            Limit::ArchiveRatio => &mut self.archive_ratio,
            Limit::RatioFloor => &mut self.ratio_floor,
            Limit::DecoderWindow => &mut self.decoder_window,
            Limit::TableEntries => &mut self.table_entries,
            Limit::DescribeBytes => &mut self.describe_bytes,
            Limit::ModuleBytes => &mut self.module_bytes,
        };
        *field = value;
    }

    /// The error for having gone beyond `limit`.
    #[must_use]
    pub const fn overrun(&self, limit: Limit) -> Overrun {
        Overrun {
            limit,
            value: self.get(limit),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

/// A limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit `{limit}` passed: {} beyond {}", .limit.subject(), Quantity(.limit.unit(), *.value))]
pub struct Overrun {
    /// Which one.
    pub limit: Limit,
    /// Its value in the run: bytes, seconds or a count.
    pub value: u64,
}

impl Overrun {
    /// How to raise the limit, unless it cannot be raised.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let doubled = self.value.checked_mul(2)?;
        if self.limit == Limit::Depth && doubled > Limits::MAX_DEPTH {
            return None;
        }
        let value = match self.limit.unit() {
            Unit::Count => doubled.to_string(),
            unit => format!("\"{}\"", Quantity(unit, doubled)),
        };
        Some(format!(
            "if that is expected, raise it in `config.toml`:\n\n  [limits]\n  {} = {value}",
            self.limit.key()
        ))
    }
}

/// A number with its unit, in the largest unit that shows it exactly. The
/// configuration reads the same spelling.
pub(crate) struct Quantity(pub(crate) Unit, pub(crate) u64);

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(unit, value) = *self;
        match unit {
            Unit::Count => write!(f, "{value}"),
            Unit::Seconds => write!(f, "{value} s"),
            Unit::Bytes => {
                let exact = |size: u64| value >= size && value.is_multiple_of(size);
                match value {
                    _ if exact(GIB) => write!(f, "{} GiB", value / GIB),
                    _ if exact(MIB) => write!(f, "{} MiB", value / MIB),
                    _ if exact(KIB) => write!(f, "{} KiB", value / KIB),
                    _ => write!(f, "{value} B"),
                }
            }
        }
    }
}

impl Unit {
    /// Reads what [`Quantity`] shows; the space may be left out, and minutes,
    /// hours and days may be written. `None` when `text` is no quantity of the unit.
    pub(crate) fn read(self, text: &str) -> Option<u64> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let factor = match (self, unit.trim_start_matches(' ')) {
            (Self::Bytes, "B") | (Self::Seconds, "s") => 1,
            (Self::Bytes, "KiB") => KIB,
            (Self::Bytes, "MiB") => MIB,
            (Self::Bytes, "GiB") => GIB,
            (Self::Seconds, "min") => 60,
            (Self::Seconds, "h") => 3600,
            (Self::Seconds, "d") => 24 * 3600,
            _ => return None,
        };
        number.checked_mul(factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_set_and_read_under_its_own_name() {
        let mut limits = Limits::default();
        for (i, limit) in Limit::ALL.iter().enumerate() {
            limits.set(*limit, 1_000 + i as u64);
        }
        for (i, limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(limits.get(*limit), 1_000 + i as u64, "{limit}");
        }
    }

    #[test]
    fn an_overrun_names_the_limit_its_value_and_the_line_that_raises_it() {
        let overrun = Limits::default().overrun(Limit::Memory);
        assert_eq!(
            overrun.to_string(),
            "limit `memory` passed: memory of the module beyond 256 MiB"
        );
        assert!(
            overrun
                .hint()
                .unwrap()
                .ends_with("[limits]\n  memory = \"512 MiB\"")
        );
        assert_eq!(Limits::default().overrun(Limit::Depth).hint(), None);
    }

    #[test]
    fn quantities_read_back_as_shown() {
        for (unit, value) in [
            (Unit::Bytes, 0),
            (Unit::Bytes, 1),
            (Unit::Bytes, 1023),
            (Unit::Bytes, KIB),
            (Unit::Bytes, 3 * MIB),
            (Unit::Bytes, 64 * GIB),
            (Unit::Seconds, 90),
        ] {
            let shown = Quantity(unit, value).to_string();
            assert_eq!(unit.read(&shown), Some(value), "{shown}");
        }
        for text in [
            "",
            "MiB",
            "-1 B",
            "1 MB",
            "1.5 MiB",
            "1 mib",
            "99999999999999999999 B",
            "17179869184 GiB",
            "1",
        ] {
            assert_eq!(Unit::Bytes.read(text), None, "{text}");
        }
    }
}
