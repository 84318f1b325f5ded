//! Reading a map as a section: keys against the table, values into types, faults into the findings.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::section::{Lookup, Section};
use crate::address::{Listen, Port};
use crate::duration::parse_duration;
use crate::findings::{Findings, Reason, Remark};
use crate::secret::Secret;
use crate::syntax::{Entry, Map, Position, Value, ValueKind};

/// The options of one map.
///
/// Each getter gives `None` for an option that is absent or wrong; what is wrong is among the findings,
/// and reading goes on, so that one run tells the operator everything.
pub(super) struct Fields<'a, 'f> {
    section: &'static Section,
    entries: BTreeMap<&'static str, &'a Entry>,
    pub(super) findings: &'f mut Findings,
}

impl<'a, 'f> Fields<'a, 'f> {
    /// Sorts the map's keys by the section's table.
    pub(super) fn new(map: &'a Map, section: &'static Section, findings: &'f mut Findings) -> Self {
        let mut entries: BTreeMap<&'static str, &'a Entry> = BTreeMap::new();
        for (name, entry) in map.iter() {
            let at = Some(entry.at.clone());
            match section.lookup(name) {
                Lookup::Known(key) => {
                    if let Some(first) = entries.insert(key.name, entry) {
                        let first = first.at.clone();
                        findings.warn(at, Remark::Repeated { key: key.name.to_owned(), first });
                    }
                    findings.set_origin(section.path_of(key.name), entry.at.clone());
                }
                // A key that exists to be referred to needs no meaning of its own.
                _ if entry.used => {}
                Lookup::Unsupported => {
                    findings.fail(at, Reason::Unsupported(section.path_of(name)));
                }
                Lookup::Unknown(nearest) => {
                    findings.fail(at, Reason::Unknown { name: name.to_owned(), nearest });
                }
            }
        }
        Self { section, entries, findings }
    }

    /// The value of an option as it is.
    pub(super) fn value(&self, name: &'static str) -> Option<&'a Value> {
        debug_assert!(self.section.keys.iter().any(|key| key.name == name), "{name}: not in table");
        self.entries.get(name).map(|entry| &entry.value)
    }

    /// Where an option's key stands.
    pub(super) fn at(&self, name: &str) -> Option<Position> {
        self.entries.get(name).map(|entry| entry.at.clone())
    }

    /// Notes that an option is wrong.
    pub(super) fn fail(&mut self, name: &str, reason: Reason) {
        let at = self.at(name);
        self.findings.fail(at, reason);
    }

    fn wrong_kind(&mut self, name: &'static str, expected: &'static str, value: &Value) {
        let found = value.describe();
        self.findings.fail(Some(value.at.clone()), Reason::Kind { name, expected, found });
    }

    pub(super) fn bool(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?;
        match value.kind {
            ValueKind::Bool(bool) => return Some(bool),
            _ => self.wrong_kind(name, "true or false", value),
        }
        None
    }

    /// A whole number within bounds.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = self.value(name)?;
        let ValueKind::Integer(integer) = &value.kind else {
            self.wrong_kind(name, "an integer", value);
            return None;
        };
        if !range.contains(&integer.number) {
            let (low, high) = range.into_inner();
            self.fail(name, Reason::Range { name, low, high });
            return None;
        }
        Some(integer.number)
    }

    /// A whole number within bounds, in its own type.
    pub(super) fn count<T: TryFrom<i64> + Into<i64>>(
        &mut self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let (low, high) = range.into_inner();
        self.integer(name, low.into()..=high.into()).and_then(|number| T::try_from(number).ok())
    }

    /// A whole number from one up; zero counts as absent, as in NATS.
    pub(super) fn positive<T: TryFrom<i64> + Into<i64>>(
        &mut self,
        name: &'static str,
        high: T,
    ) -> Option<T> {
        if let Some(Value { kind: ValueKind::Integer(integer), .. }) = self.value(name)
            && integer.number == 0
        {
            return None;
        }
        let number = self.integer(name, 1..=high.into())?;
        T::try_from(number).ok()
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        let value = self.value(name)?;
        match &value.kind {
            ValueKind::Text(text) => return Some(text),
            ValueKind::Integer(_) | ValueKind::Float(_) | ValueKind::Bool(_) => {
                self.wrong_kind(name, "a string (quote it)", value);
            }
            _ => self.wrong_kind(name, "a string", value),
        }
        None
    }

    /// A string that is not empty: an empty one counts as absent, as in NATS.
    pub(super) fn some_text(&mut self, name: &'static str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A name, which subjects must be able to carry.
    pub(super) fn name(&mut self, name: &'static str, what: &'static str) -> Option<String> {
        let text = self.some_text(name)?;
        if text.contains(char::is_whitespace) {
            self.fail(name, Reason::Spaces(what));
            return None;
        }
        Some(text)
    }

    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.some_text(name).map(PathBuf::from)
    }

    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.some_text(name).map(Secret::new)
    }

    /// A duration, `"2m"`; a whole number is seconds, with a warning.
    pub(super) fn duration(&mut self, name: &'static str) -> Option<Duration> {
        let value = self.value(name)?;
        match &value.kind {
            ValueKind::Text(text) => match parse_duration(text) {
                Ok(duration) => return Some(duration),
                Err(error) => self.fail(name, Reason::Duration { name, error }),
            },
            ValueKind::Integer(integer) => {
                if let Some(written) = &integer.suffixed {
                    let written = written.to_string();
                    self.fail(name, Reason::UnquotedDuration { name, written });
                    return None;
                }
                let seconds = self.integer(name, 0..=i64::from(u32::MAX))?;
                self.findings.warn(self.at(name), Remark::IntegerDuration { name, seconds });
                return u64::try_from(seconds).ok().map(Duration::from_secs);
            }
            _ => self.wrong_kind(name, "a duration such as \"2m\"", value),
        }
        None
    }

    /// A duration that is not too short to work with; zero counts as absent, as in NATS.
    pub(super) fn duration_of_at_least(
        &mut self,
        name: &'static str,
        low: Duration,
    ) -> Option<Duration> {
        let duration = self.duration(name).filter(|duration| !duration.is_zero())?;
        if duration < low {
            self.fail(name, Reason::TooShort { name, low });
            return None;
        }
        Some(duration)
    }

    /// A timeout: seconds, with a fraction or without, or a duration.
    pub(super) fn timeout(&mut self, name: &'static str) -> Option<Duration> {
        let value = self.value(name)?;
        match &value.kind {
            ValueKind::Text(_) => self.duration(name),
            ValueKind::Integer(_) => {
                let seconds = self.integer(name, 0..=i64::from(u32::MAX))?;
                u64::try_from(seconds).ok().map(Duration::from_secs)
            }
            ValueKind::Float(seconds) => match Duration::try_from_secs_f64(*seconds) {
                Ok(duration) if duration.as_secs() <= u64::from(u32::MAX) => Some(duration),
                _ => {
                    let high = i64::from(u32::MAX);
                    self.fail(name, Reason::Range { name, low: 0, high });
                    None
                }
            },
            _ => {
                self.wrong_kind(name, "seconds or a duration such as \"2s\"", value);
                None
            }
        }
    }

    /// An address: a port alone, or `host:port`.
    pub(super) fn listen(&mut self, name: &'static str) -> Option<Listen> {
        let value = self.value(name)?;
        match &value.kind {
            ValueKind::Integer(_) => self.port(name).map(|port| Listen { host: None, port }),
            ValueKind::Text(text) => match Listen::parse(text) {
                Ok(listen) => Some(listen),
                Err(error) => {
                    self.fail(name, Reason::Address { name, error });
                    None
                }
            },
            _ => {
                self.wrong_kind(name, "a port or `host:port`", value);
                None
            }
        }
    }

    /// A port; zero counts as absent, as in NATS.
    pub(super) fn port(&mut self, name: &'static str) -> Option<Port> {
        let number = self.integer(name, -1..=65_535)?;
        Port::from_number(number)
    }

    /// An array of strings, or one string.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<&'a str>> {
        let value = self.value(name)?;
        match &value.kind {
            ValueKind::Text(text) => return Some(vec![text]),
            ValueKind::Array(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    match &item.kind {
                        ValueKind::Text(text) => texts.push(text.as_str()),
                        _ => self.wrong_kind(name, "strings", item),
                    }
                }
                return Some(texts);
            }
            _ => self.wrong_kind(name, "an array of strings", value),
        }
        None
    }

    pub(super) fn array(&mut self, name: &'static str) -> Option<&'a [Value]> {
        let value = self.value(name)?;
        match &value.kind {
            ValueKind::Array(items) => return Some(items),
            _ => self.wrong_kind(name, "an array", value),
        }
        None
    }

    pub(super) fn map(&mut self, name: &'static str) -> Option<&'a Map> {
        let value = self.value(name)?;
        self.as_map(name, value)
    }

    /// An item of an option as a map.
    pub(super) fn as_map(&mut self, name: &'static str, value: &'a Value) -> Option<&'a Map> {
        match &value.kind {
            ValueKind::Map(map) => return Some(map),
            _ => self.wrong_kind(name, "a map", value),
        }
        None
    }
}
