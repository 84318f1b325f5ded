//! The grammar's structure: maps, arrays, keys, variables and includes.
//!
//! One pass, recursive, bounded by [`limits`](super::limits). A `$NAME` sees what stands before it, in
//! its own map and the enclosing ones of the same file, then the environment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cursor::{Cursor, is_blank, is_line_end};
use super::error::{Fault, SyntaxError};
use super::limits::{MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_INCLUDE_DEPTH, MAX_TREE_BYTES};
use super::position::Position;
use super::value::{Entry, Map, Value, ValueKind};
use super::{text, variable, word};
use crate::source::Source;

/// What a parse makes besides the tree.
pub(super) struct Parser<'s> {
    pub(super) source: &'s dyn Source,
    /// Keys that were given twice: where the second stands, and its name and first place.
    pub(super) repeated: Vec<(Position, String, Position)>,
    /// The environment variables being read, outermost first.
    pub(super) resolving: Vec<String>,
    /// The files being read, outermost first.
    including: Vec<PathBuf>,
    files: usize,
    weight: usize,
}

impl<'s> Parser<'s> {
    pub(super) fn new(source: &'s dyn Source) -> Self {
        Self {
            source,
            repeated: Vec::new(),
            resolving: Vec::new(),
            including: Vec::new(),
            files: 0,
            weight: 0,
        }
    }

    /// Parses a file and what it includes. `at` is who asks, for the complaint that it is unreadable,
    /// and `depth` how deep in maps that is.
    pub(super) fn file(
        &mut self,
        path: &Path,
        at: &Position,
        depth: usize,
    ) -> Result<Map, SyntaxError> {
        let fault = |fault| SyntaxError { at: at.clone(), fault };
        if self.including.iter().any(|open| open == path) {
            return Err(fault(Fault::IncludeCycle(path.display().to_string())));
        }
        if self.including.len() >= MAX_INCLUDE_DEPTH {
            let what = "includes within each other";
            return Err(fault(Fault::TooMuch { limit: MAX_INCLUDE_DEPTH, what }));
        }
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(fault(Fault::TooMuch { limit: MAX_FILES, what: "files" }));
        }
        let bytes = self.source.read(path, MAX_FILE_BYTES).map_err(|reason| {
            fault(Fault::Unreadable { path: path.display().to_string(), reason })
        })?;
        let name: Arc<str> = path.display().to_string().into();
        let text = utf8(&bytes, &name)?;

        self.including.push(path.to_owned());
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut file = FileParser::new(self, Cursor::new(name, text), directory, depth);
        let map = file.document();
        self.including.pop();
        map
    }

    /// Counts bytes against the bound of the whole tree.
    pub(super) fn weigh(&mut self, bytes: usize, at: &Position) -> Result<(), SyntaxError> {
        self.weight = self.weight.saturating_add(bytes);
        if self.weight > MAX_TREE_BYTES {
            let what = "bytes in the configuration, variables expanded";
            let fault = Fault::TooMuch { limit: MAX_TREE_BYTES, what };
            return Err(SyntaxError { at: at.clone(), fault });
        }
        Ok(())
    }
}

/// The text of a file, or the place of its first byte that is no UTF-8.
fn utf8<'b>(bytes: &'b [u8], name: &Arc<str>) -> Result<&'b str, SyntaxError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let (valid, _) = bytes.split_at(error.valid_up_to());
        let mut cursor = Cursor::new(Arc::clone(name), std::str::from_utf8(valid).unwrap_or(""));
        cursor.take_while(|_| true);
        cursor.fault(Fault::NotUtf8)
    })
}

/// The parse of one text.
pub(super) struct FileParser<'p, 's, 't> {
    parser: &'p mut Parser<'s>,
    cursor: Cursor<'t>,
    directory: &'p Path,
    /// The maps being filled, outermost first: where variables are looked up.
    scopes: Vec<Map>,
    depth: usize,
}

impl<'p, 's, 't> FileParser<'p, 's, 't> {
    fn new(
        parser: &'p mut Parser<'s>,
        cursor: Cursor<'t>,
        directory: &'p Path,
        depth: usize,
    ) -> Self {
        Self { parser, cursor, directory, scopes: Vec::new(), depth }
    }

    /// A parser for an environment variable's value: no scopes, no includes.
    pub(super) fn for_variable(
        parser: &'p mut Parser<'s>,
        cursor: Cursor<'t>,
        depth: usize,
    ) -> Self {
        Self::new(parser, cursor, Path::new(""), depth)
    }

    /// A whole text: entries, or one map in braces as in JSON.
    fn document(&mut self) -> Result<Map, SyntaxError> {
        self.cursor.skip_space();
        if self.cursor.peek() != Some('{') {
            return self.entries(None);
        }
        let map = self.map()?;
        self.cursor.skip_space();
        match self.cursor.peek() {
            None => Ok(map),
            Some(_) => Err(self.cursor.fault(Fault::TrailingText)),
        }
    }

    /// A whole text that is one value.
    pub(super) fn lone_value(&mut self) -> Result<Value, SyntaxError> {
        self.cursor.skip_space();
        let value = self.value()?;
        self.cursor.skip_space();
        match self.cursor.peek() {
            None => Ok(value),
            Some(c) => Err(self.cursor.fault(Fault::ExpectedEnd(c))),
        }
    }

    /// A map; the cursor stands on its brace.
    fn map(&mut self) -> Result<Map, SyntaxError> {
        let begin = self.cursor.position();
        self.deeper(&begin)?;
        self.cursor.next();
        let map = self.entries(Some(&begin))?;
        self.depth -= 1;
        Ok(map)
    }

    /// Keys and values up to the brace that closes what was opened at `begin`, or else the text's end.
    fn entries(&mut self, begin: Option<&Position>) -> Result<Map, SyntaxError> {
        self.scopes.push(Map::default());
        loop {
            self.cursor.skip_space();
            match (self.cursor.peek(), begin) {
                (None, None) => break,
                (None, Some(at)) => {
                    let fault = Fault::Unclosed { what: "a map" };
                    return Err(SyntaxError { at: at.clone(), fault });
                }
                (Some('}'), Some(_)) => {
                    self.cursor.next();
                    break;
                }
                (Some('}'), None) => return Err(self.cursor.fault(Fault::StrayBrace)),
                (Some(c @ (':' | '=')), _) => {
                    return Err(self.cursor.fault(Fault::SeparatorWithoutKey(c)));
                }
                _ => self.entry()?,
            }
        }
        Ok(self.scopes.pop().unwrap_or_default())
    }

    /// One key and its value, or one `include`.
    fn entry(&mut self) -> Result<(), SyntaxError> {
        let at = self.cursor.position();
        let quoted = matches!(self.cursor.peek(), Some('"' | '\''));
        let key = self.key()?;
        if key == "include" && !quoted && self.cursor.peek().is_some_and(is_blank) {
            self.cursor.skip_blanks();
            if !matches!(self.cursor.peek(), Some(':' | '=')) {
                return self.include(&at);
            }
        }
        self.separator(&key)?;
        let value = self.value()?;
        self.parser.weigh(key.len(), &at)?;
        self.insert(key, Entry { at, value, used: false });
        self.end_of_value()
    }

    fn insert(&mut self, key: String, entry: Entry) {
        let at = entry.at.clone();
        let Some(scope) = self.scopes.last_mut() else { return };
        if let Some(first) = scope.insert(key.clone(), entry) {
            self.parser.repeated.push((at, key, first.at));
        }
    }

    fn key(&mut self) -> Result<String, SyntaxError> {
        match self.cursor.peek() {
            Some('"') => return text::double_quoted(&mut self.cursor),
            Some('\'') => return text::single_quoted(&mut self.cursor),
            _ => {}
        }
        let ends = |c: char| {
            is_blank(c)
                || is_line_end(c)
                || matches!(c, ':' | '=' | '{' | '}' | '[' | ']' | ',' | ';')
        };
        let key = self.cursor.take_while(|c| !ends(c));
        match (key, self.cursor.peek()) {
            ("", Some(c)) => Err(self.cursor.fault(Fault::ExpectedKey(c))),
            _ => Ok(key.to_owned()),
        }
    }

    /// What stands between a key and its value: `:`, `=` or blanks. A value on a later line must be one that
    /// nobody takes for the next key.
    fn separator(&mut self, key: &str) -> Result<(), SyntaxError> {
        let behind = self.cursor.position();
        let mut broke = self.cursor.skip_lines();
        let mut quoted = false;
        if matches!(self.cursor.peek(), Some(':' | '=')) {
            self.cursor.next();
            broke = self.cursor.skip_lines();
            quoted = matches!(self.cursor.peek(), Some('"' | '\''));
        }
        let absent = match self.cursor.peek() {
            None | Some('}' | ']' | ',' | ';') => true,
            Some(c) => broke && !quoted && !matches!(c, '{' | '[' | '('),
        };
        if absent {
            let fault = Fault::ExpectedValue(key.to_owned());
            return Err(SyntaxError { at: behind, fault });
        }
        Ok(())
    }

    /// A value; the cursor stands on its first character.
    fn value(&mut self) -> Result<Value, SyntaxError> {
        let at = self.cursor.position();
        let kind = match self.cursor.peek() {
            Some('{') => ValueKind::Map(self.map()?),
            Some('[') => ValueKind::Array(self.array()?),
            Some('"') => ValueKind::Text(text::double_quoted(&mut self.cursor)?),
            Some('\'') => ValueKind::Text(text::single_quoted(&mut self.cursor)?),
            Some('(') => ValueKind::Text(text::block(&mut self.cursor)?),
            _ => return self.bare_value(at),
        };
        let bytes = match &kind {
            ValueKind::Text(text) => text.len(),
            _ => 0,
        };
        self.parser.weigh(size_of::<Entry>() + bytes, &at)?;
        Ok(Value { at, kind })
    }

    fn bare_value(&mut self, at: Position) -> Result<Value, SyntaxError> {
        let bare = text::bare(&mut self.cursor)?;
        self.parser.weigh(size_of::<Entry>() + bare.text.len(), &at)?;
        if bare.escaped {
            return Ok(Value { at, kind: ValueKind::Text(bare.text) });
        }
        if let Some(name) = bare.text.strip_prefix('$') {
            if ["2a$", "2b$", "2y$"].iter().any(|bcrypt| name.starts_with(bcrypt)) {
                return Ok(Value { at, kind: ValueKind::Text(bare.text) });
            }
            return variable::resolve(self.parser, &mut self.scopes, name, self.depth, &at);
        }
        let kind =
            word::classify(&bare.text).map_err(|fault| SyntaxError { at: at.clone(), fault })?;
        Ok(Value { at, kind })
    }

    /// An array; the cursor stands on its bracket. A new line separates items as a comma does.
    fn array(&mut self) -> Result<Vec<Value>, SyntaxError> {
        let begin = self.cursor.position();
        self.deeper(&begin)?;
        self.cursor.next();
        let mut items = Vec::new();
        loop {
            self.cursor.skip_space();
            match self.cursor.peek() {
                None => {
                    let fault = Fault::Unclosed { what: "an array" };
                    return Err(SyntaxError { at: begin, fault });
                }
                Some(']') => {
                    self.cursor.next();
                    self.depth -= 1;
                    return Ok(items);
                }
                Some(c @ (',' | ';' | '}')) => {
                    return Err(self.cursor.fault(Fault::ExpectedItem(c)));
                }
                Some(_) => items.push(self.value()?),
            }
            let broke = self.cursor.skip_space();
            match self.cursor.peek() {
                Some(',') => {
                    self.cursor.next();
                }
                Some(c) if c != ']' && !broke => {
                    return Err(self.cursor.fault(Fault::ExpectedArrayEnd(c)));
                }
                _ => {}
            }
        }
    }

    /// What must stand behind a value in a map.
    fn end_of_value(&mut self) -> Result<(), SyntaxError> {
        let broke = self.cursor.skip_space();
        match self.cursor.peek() {
            Some(',' | ';') => {
                self.cursor.next();
            }
            Some(c) if c != '}' && !broke => {
                return Err(self.cursor.fault(Fault::ExpectedEnd(c)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Another file's entries, into the map being filled. Its path is relative to this file's.
    fn include(&mut self, at: &Position) -> Result<(), SyntaxError> {
        let path = match self.cursor.peek() {
            Some('"') => text::double_quoted(&mut self.cursor)?,
            Some('\'') => text::single_quoted(&mut self.cursor)?,
            _ => text::bare(&mut self.cursor)?.text,
        };
        if path.is_empty() {
            return Err(SyntaxError { at: at.clone(), fault: Fault::IncludePath });
        }
        let included = self.parser.file(&self.directory.join(path), at, self.depth)?;
        for (key, entry) in included.into_entries() {
            self.insert(key, entry);
        }
        self.end_of_value()
    }

    fn deeper(&mut self, at: &Position) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        let fault = Fault::TooMuch { limit: MAX_DEPTH, what: "maps and arrays within each other" };
        Err(SyntaxError { at: at.clone(), fault })
    }
}
