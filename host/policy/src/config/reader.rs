//! TOML with places: every value is read with where it stands.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use crate::Provenance;
use crate::suggest::nearest;

/// A file's text and name.
pub(super) struct Source<'a> {
    text: &'a str,
    file: &'a Path,
}

impl<'a> Source<'a> {
    pub(super) const fn new(text: &'a str, file: &'a Path) -> Self {
        Self { text, file }
    }

    pub(super) fn document(&self) -> Result<Spanned<DeTable<'a>>, ConfigError> {
        DeTable::parse(self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            // The parser's message is one subject a line.
            let message = error.message().trim().replace('\n', "; ");
            ConfigError::at(self.place(&span), format!("this is not TOML: {message}"))
        })
    }

    fn place(&self, span: &Range<usize>) -> Provenance {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Provenance::File {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// `path`, taken from the folder of the file when it is relative.
    fn resolve(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// A table of the file, with what it is called in messages.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    /// Such as `[[grant]]`; empty for the top of the file.
    title: Cow<'static, str>,
}

/// A string of the file.
pub(super) struct Text<'a> {
    source: &'a Source<'a>,
    pub(super) value: &'a str,
    span: Range<usize>,
}

impl<'a> Text<'a> {
    /// The string as a `T`, or its error at the string's place.
    pub(super) fn parse<T>(&self) -> Result<T, ConfigError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.value
            .parse()
            .map_err(|error: T::Err| self.refuse(error.to_string()))
    }

    pub(super) fn refuse(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.source.place(&self.span), message)
    }

    /// The string as a path, relative ones from the file's folder.
    pub(super) fn path(&self) -> PathBuf {
        self.source.resolve(self.value)
    }
}

impl<'a> Table<'a> {
    pub(super) fn root(source: &'a Source<'a>, document: &'a Spanned<DeTable<'a>>) -> Self {
        Self {
            source,
            table: document.get_ref(),
            span: document.span(),
            title: Cow::Borrowed(""),
        }
    }

    pub(super) fn place(&self) -> Provenance {
        self.source.place(&self.span)
    }

    /// An error about the whole table.
    pub(super) fn refuse(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(self.place(), message)
    }

    fn entry(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table
            .iter()
            .find(|(known, _)| known.get_ref() == key)
            .map(|(_, value)| value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    pub(super) fn is_text(&self, key: &str) -> bool {
        self.entry(key)
            .is_some_and(|value| value.get_ref().as_str().is_some())
    }

    pub(super) fn is_boolean(&self, key: &str) -> bool {
        self.entry(key)
            .is_some_and(|value| value.get_ref().as_bool().is_some())
    }

    /// Refuses every key but the `known` ones; those of `later` versions as
    /// such.
    pub(super) fn refuse_unknown(&self, known: &[&str], later: &[&str]) -> Result<(), ConfigError> {
        // In the order of the file: the first error is the first one to see.
        let mut keys: Vec<_> = self.table.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        for key in keys {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let within = if self.title.is_empty() {
                String::new()
            } else {
                format!(" in `{}`", self.title)
            };
            let at = |message: String| ConfigError::at(self.source.place(&key.span()), message);
            if later.contains(&name) {
                return Err(at(format!("`{name}`{within} is not available in this version"))
                    .with_hint("remove it; it is refused because leaving it without effect could be unsafe"));
            }
            let error = at(format!("unknown key `{name}`{within}"));
            return Err(match nearest(name, known.iter().copied()) {
                Some(meant) => error.with_hint(format!("did you mean `{meant}`?")),
                None => error.with_hint(format!("known are {}", listed(known))),
            });
        }
        Ok(())
    }

    /// The error for a value of the wrong kind. The value is not shown: it may
    /// be a secret in a wrong place.
    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> ConfigError {
        ConfigError::at(
            self.source.place(&value.span()),
            format!("`{key}` is {}, not {expected}", kind(value.get_ref())),
        )
    }

    fn text_of(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        expected: &str,
    ) -> Result<Text<'a>, ConfigError> {
        let text = value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.wrong(key, value, expected))?;
        Ok(Text {
            source: self.source,
            value: text,
            span: value.span(),
        })
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<Text<'a>>, ConfigError> {
        self.entry(key)
            .map(|value| self.text_of(key, value, "a string"))
            .transpose()
    }

    /// A string that must be there.
    pub(super) fn needed_text(&self, key: &str) -> Result<Text<'a>, ConfigError> {
        self.text(key)?
            .ok_or_else(|| self.refuse(format!("`{}` needs `{key}`", self.title)))
    }

    /// An array of strings.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<Text<'a>>>, ConfigError> {
        let Some(value) = self.entry(key) else {
            return Ok(None);
        };
        let items = value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong(key, value, "an array of strings"))?;
        items
            .iter()
            .map(|item| self.text_of(key, item, "an array of strings"))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// An array of strings that must be there and not empty.
    pub(super) fn needed_texts(&self, key: &str) -> Result<Vec<Text<'a>>, ConfigError> {
        match self.texts(key)? {
            Some(texts) if !texts.is_empty() => Ok(texts),
            Some(_) => Err(self.refuse(format!("`{key}` in `{}` is empty", self.title))),
            None => Err(self.refuse(format!("`{}` needs `{key}`", self.title))),
        }
    }

    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.entry(key)
            .map(|value| {
                value
                    .get_ref()
                    .as_bool()
                    .ok_or_else(|| self.wrong(key, value, "`true` or `false`"))
            })
            .transpose()
    }

    /// A number, or a string that `read` understands.
    pub(super) fn quantity(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.entry(key) else {
            return Ok(None);
        };
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                u64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            DeValue::String(text) => read(text),
            _ => return Err(self.wrong(key, value, expected)),
        };
        number.map(Some).ok_or_else(|| {
            ConfigError::at(
                self.source.place(&value.span()),
                format!("`{key}` in `{}` is not {expected}", self.title),
            )
        })
    }

    /// Where the value of `key` stands.
    pub(super) fn place_of(&self, key: &str) -> Provenance {
        self.entry(key)
            .map_or_else(|| self.place(), |value| self.source.place(&value.span()))
    }

    pub(super) fn table(&self, key: &str) -> Result<Option<Self>, ConfigError> {
        self.entry(key)
            .map(|value| {
                let title = if self.title.is_empty() {
                    format!("[{key}]")
                } else {
                    key.to_owned()
                };
                self.table_of(key, value, "a table", title)
            })
            .transpose()
    }

    fn table_of(
        &self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        expected: &str,
        title: String,
    ) -> Result<Self, ConfigError> {
        let table = value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong(key, value, expected))?;
        Ok(Self {
            source: self.source,
            table,
            span: value.span(),
            title: Cow::Owned(title),
        })
    }

    /// The tables below `[KEY.NAME]`, each with its name, in the order of the
    /// file.
    pub(super) fn tables(&self, key: &str) -> Result<Vec<(Text<'a>, Self)>, ConfigError> {
        let Some(parent) = self.table(key)? else {
            return Ok(Vec::new());
        };
        let mut tables = parent
            .table
            .iter()
            .map(|(name, value)| {
                let title = format!("[{key}.{}]", name.get_ref());
                let table = parent.table_of(name.get_ref(), value, "a table", title)?;
                let name = Text {
                    source: self.source,
                    value: name.get_ref(),
                    span: name.span(),
                };
                Ok((name, table))
            })
            .collect::<Result<Vec<_>, _>>()?;
        tables.sort_by_key(|(name, _)| name.span.start);
        Ok(tables)
    }

    /// The keys of the table, as names that the user chose.
    pub(super) fn names(&self) -> Vec<Text<'a>> {
        let name = |name: &'a Spanned<std::borrow::Cow<'a, str>>| Text {
            source: self.source,
            value: name.get_ref(),
            span: name.span(),
        };
        self.table.keys().map(name).collect()
    }

    /// The tables of `[[KEY]]`.
    pub(super) fn array_of_tables(&self, key: &str) -> Result<Vec<Self>, ConfigError> {
        let Some(value) = self.entry(key) else {
            return Ok(Vec::new());
        };
        let expected = format!("an array of tables, written `[[{key}]]`");
        let items = value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong(key, value, &expected))?;
        items
            .iter()
            .map(|item| self.table_of(key, item, &expected, format!("[[{key}]]")))
            .collect()
    }

    /// Names and strings of a table such as `{ token = "work" }`.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<(Text<'a>, Text<'a>)>, ConfigError> {
        let Some(table) = self.table(key)? else {
            return Ok(Vec::new());
        };
        table
            .table
            .iter()
            .map(|(name, value)| {
                let text = table.text_of(name.get_ref(), value, "a string")?;
                let name = Text {
                    source: self.source,
                    value: name.get_ref(),
                    span: name.span(),
                };
                Ok((name, text))
            })
            .collect()
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// `a`, `b` and `c`, each in backticks.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
