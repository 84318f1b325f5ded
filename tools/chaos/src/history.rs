//! A history: written while a run goes on, read back by the checker.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::event::{Answer, Call, Delivery, Event, Micros, Phase};

/// Writes a history down.
#[derive(Debug)]
pub struct Recorder {
    begun: Instant,
    next: AtomicU64,
    acknowledged: AtomicU64,
    file: Mutex<Sink>,
}

#[derive(Debug)]
struct Sink {
    file: BufWriter<File>,
    /// The first failure: a history with a hole proves nothing.
    failed: Option<std::io::Error>,
}

impl Recorder {
    /// Begins a history in this file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let sink = Sink { file: BufWriter::new(file), failed: None };
        Ok(Self {
            begun: Instant::now(),
            next: AtomicU64::new(1),
            acknowledged: AtomicU64::new(0),
            file: Mutex::new(sink),
        })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Micros {
        Micros::try_from(self.begun.elapsed().as_micros()).unwrap_or(Micros::MAX)
    }

    /// How many publishes were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Writes one event.
    pub fn note(&self, event: &Event) {
        let mut sink = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.failed.is_none() {
            let line = serde_json::to_string(event).map_err(std::io::Error::from);
            let written = line.and_then(|line| writeln!(sink.file, "{line}"));
            sink.failed = written.err();
        }
    }

    /// An operation begins now; its number.
    pub fn invoke(&self, call: Call) -> u64 {
        let op = self.next.fetch_add(1, Ordering::Relaxed);
        self.note(&Event::Invoke { op, at: self.now(), call });
        op
    }

    /// It is answered now.
    pub fn ok(&self, op: u64, answer: Answer) {
        if matches!(answer, Answer::Stored { .. }) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.note(&Event::Ok { op, at: self.now(), answer });
    }

    /// It is refused now.
    pub fn fail(&self, op: u64, error: String, last: Option<u64>) {
        self.note(&Event::Fail { op, at: self.now(), error, last });
    }

    /// Nothing is known of it.
    pub fn unknown(&self, op: u64, error: impl std::fmt::Display) {
        self.note(&Event::Unknown { op, at: self.now(), error: error.to_string() });
    }

    /// Everything is in the file.
    ///
    /// # Errors
    /// Something could not be written.
    pub fn finish(&self) -> Result<()> {
        let mut sink = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = sink.failed.take() {
            return Err(error).context("the history could not be written");
        }
        sink.file.flush().context("the history could not be written")
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With success.
    Ok(Answer),
    /// Refused; with the last sequence that the refusal named.
    Refused(Option<u64>),
    /// Nobody knows.
    Unknown,
}

/// An operation from its begin to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub call: Call,
    /// When it began.
    pub begun: Micros,
    /// When it ended; never, if nobody knows how.
    pub ended: Option<Micros>,
    /// How it ended.
    pub outcome: Outcome,
}

/// A message of the final reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// Whether its bytes are those that were sent.
    pub intact: bool,
}

/// A stream as it was read in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// Sequence and message.
    pub held: BTreeMap<u64, Held>,
    /// Sequences nobody could read, and what was said.
    pub unreadable: BTreeMap<u64, String>,
    /// The last sequence and the number of messages, if the reading came to its end.
    pub end: Option<(u64, u64)>,
}

/// One step of one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultStep {
    /// When.
    pub at: Micros,
    /// The fault's number.
    pub number: usize,
    /// What happened.
    pub phase: Phase,
    /// More, for people.
    pub text: String,
}

/// A whole history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// All operations, in the order they began.
    pub operations: Vec<Operation>,
    /// All deliveries, in the order they arrived.
    pub deliveries: Vec<Delivery>,
    /// The streams in the end.
    pub dumps: BTreeMap<String, Dump>,
    /// The streams as a server gave them whose files were damaged, while it led.
    pub damaged: BTreeMap<String, Dump>,
    /// Consumers in the end: whether nothing was left, and what.
    pub drained: BTreeMap<String, (bool, String)>,
    /// What was done to the servers.
    pub faults: Vec<FaultStep>,
}

impl History {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no history.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let mut events = Vec::new();
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let event = serde_json::from_str(&line?);
            events.push(event.with_context(|| format!("{}:{}", path.display(), index + 1))?);
        }
        Self::from_events(events)
    }

    /// Puts events together.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn from_events(events: impl IntoIterator<Item = Event>) -> Result<Self> {
        let mut history = Self::default();
        let (mut places, mut by_damaged) = (BTreeMap::new(), false);
        for event in events {
            match event {
                Event::Run { .. } => {}
                Event::Invoke { op, at, call } => {
                    places.insert(op, history.operations.len());
                    let outcome = Outcome::Unknown;
                    history.operations.push(Operation { call, begun: at, ended: None, outcome });
                }
                Event::Ok { op, at, answer } => {
                    history.end(&places, op, Some(at), Outcome::Ok(answer))?;
                }
                Event::Fail { op, at, last, .. } => {
                    history.end(&places, op, Some(at), Outcome::Refused(last))?;
                }
                Event::Unknown { op, .. } => history.end(&places, op, None, Outcome::Unknown)?,
                Event::Delivery(delivery) => history.deliveries.push(delivery),
                Event::Fault { at, number, phase, text } => {
                    history.faults.push(FaultStep { at, number, phase, text });
                }
                Event::Reading { damaged, .. } => by_damaged = damaged,
                Event::Held { stream, sequence, name, intact } => {
                    let dump = history.dump(stream, by_damaged);
                    dump.held.insert(sequence, Held { name, intact });
                }
                Event::Unreadable { stream, sequence, error } => {
                    history.dump(stream, by_damaged).unreadable.insert(sequence, error);
                }
                Event::Dumped { stream, last, messages } => {
                    history.dump(stream, by_damaged).end = Some((last, messages));
                }
                Event::Drained { consumer, complete, text } => {
                    history.drained.insert(consumer, (complete, text));
                }
            }
        }
        Ok(history)
    }

    fn dump(&mut self, stream: String, damaged: bool) -> &mut Dump {
        let dumps = if damaged { &mut self.damaged } else { &mut self.dumps };
        dumps.entry(stream).or_default()
    }

    fn end(
        &mut self,
        places: &BTreeMap<u64, usize>,
        op: u64,
        at: Option<Micros>,
        outcome: Outcome,
    ) -> Result<()> {
        let place = places.get(&op).and_then(|place| self.operations.get_mut(*place));
        let operation = place.with_context(|| format!("operation {op} ends and never began"))?;
        if operation.ended.is_some() {
            bail!("operation {op} ends twice");
        }
        operation.ended = at;
        operation.outcome = outcome;
        Ok(())
    }

    /// When publishes to this stream were acknowledged, in order.
    #[must_use]
    pub fn acknowledgments(&self, stream: &str) -> Vec<Micros> {
        let mut times: Vec<Micros> = self
            .operations
            .iter()
            .filter(|op| matches!(&op.call, Call::Publish { stream: of, .. } if of == stream))
            .filter(|op| matches!(op.outcome, Outcome::Ok(_)))
            .filter_map(|op| op.ended)
            .collect();
        times.sort_unstable();
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("history");
        let recorder = Recorder::create(&path)?;
        recorder.note(&Event::Run { seed: 1, servers: 3, seconds: 60 });
        let call = |name: &str| Call::Publish {
            stream: "S".into(),
            name: name.into(),
            id: true,
            expect: None,
        };
        let ops = ["a", "b", "c", "d"].map(|name| recorder.invoke(call(name)));
        recorder.ok(ops[0], Answer::Stored { sequence: 1, duplicate: false });
        recorder.fail(ops[1], "no".into(), Some(7));
        recorder.unknown(ops[2], "timeout");
        recorder.note(&Event::Held {
            stream: "S".into(),
            sequence: 1,
            name: "a".into(),
            intact: true,
        });
        recorder.finish()?;
        assert_eq!(recorder.acknowledged(), 1);

        let history = History::read(&path)?;
        let outcomes: Vec<&Outcome> = history.operations.iter().map(|op| &op.outcome).collect();
        let stored = Outcome::Ok(Answer::Stored { sequence: 1, duplicate: false });
        let refused = Outcome::Refused(Some(7));
        assert_eq!(outcomes, [&stored, &refused, &Outcome::Unknown, &Outcome::Unknown]);
        assert_eq!(history.operations[0].call, call("a"));
        assert_eq!(history.acknowledgments("S").len(), 1);
        assert_eq!(history.dumps["S"].held[&1], Held { name: "a".into(), intact: true });
        Ok(())
    }

    #[test]
    fn an_end_without_a_begin_is_an_error() {
        let event = Event::Unknown { op: 1, at: 0, error: String::new() };
        assert!(History::from_events([event]).is_err());
    }
}
