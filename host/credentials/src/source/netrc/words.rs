//! The words of a netrc file, with the lines that they stand on.

use zeroize::Zeroizing;

use crate::NetrcProblem;

/// One word. It may be a password.
pub(super) struct Word {
    pub(super) text: Zeroizing<String>,
    /// Counted from 1.
    pub(super) line: usize,
}

/// Reads word after word.
pub(super) struct Words<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Words<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            line: 1,
        }
    }

    /// The next keyword, past comments.
    pub(super) fn next(&mut self) -> Result<Option<Word>, NetrcProblem> {
        loop {
            self.skip_space();
            if !self.rest.starts_with('#') {
                return self.word();
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
        }
    }

    /// The value of `keyword`, which may begin with a `#`.
    pub(super) fn value(
        &mut self,
        keyword: &'static str,
        line: usize,
    ) -> Result<Zeroizing<String>, NetrcProblem> {
        self.skip_space();
        match self.word()? {
            Some(word) => Ok(word.text),
            None => Err(NetrcProblem::NoValue { line, keyword }),
        }
    }

    /// Skips the lines of a macro, which an empty line ends, as every system writes it.
    pub(super) fn skip_macro(&mut self) {
        let mut end = 0;
        for (index, line) in self.rest.split_inclusive('\n').enumerate() {
            // The first is the rest of the line with its name.
            if index > 0 && line.trim_end_matches(['\r', '\n']).is_empty() {
                break;
            }
            end += line.len();
        }
        self.advance(end);
    }

    fn skip_space(&mut self) {
        let space = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.advance(space);
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    fn word(&mut self) -> Result<Option<Word>, NetrcProblem> {
        let line = self.line;
        if self.rest.is_empty() {
            return Ok(None);
        }
        let text = match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted, line)?,
            None => {
                let end = self.rest.find([' ', '\t', '\r', '\n']);
                let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                Zeroizing::new(word.to_owned())
            }
        };
        Ok(Some(Word { text, line }))
    }

    /// The word that stands before the closing quote, which is on the same line.
    fn quoted(&mut self, quoted: &'a str, line: usize) -> Result<Zeroizing<String>, NetrcProblem> {
        let end_of_line = quoted.find('\n').unwrap_or(quoted.len());
        // Room for all of it at once: a string that grows leaves unwiped copies behind.
        let mut text = Zeroizing::new(String::with_capacity(end_of_line));
        let mut characters = quoted[..end_of_line].char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &quoted[place + 1..];
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    Some((_, other)) if other != '\r' => return Err(NetrcProblem::Escape(line)),
                    _ => break,
                },
                other => text.push(other),
            }
        }
        Err(NetrcProblem::Quote(line))
    }
}
