//! What a stream's leader answers.

use flotilla_disk::SegmentRecord;
use flotilla_jsapi::ErrorKind;
use flotilla_stream::{StreamChange, Timestamp};

use super::StreamMachine;
use crate::notice::Notice;
use crate::replica::{Machine, Replica};
use crate::request::{Answer, Call, CallId, Get, StoredMessage, StreamAnswer, StreamRequest};
use crate::turn::Cx;

/// How many subjects one answer counts (as in the reference server).
const SUBJECTS_PER_ANSWER: usize = 100_000;
/// How many deleted sequences one answer lists.
const DELETED_PER_ANSWER: usize = 1_000_000;

impl Replica<StreamMachine> {
    /// Takes a request. Reads wait for leadership to be confirmed; changes become entries.
    pub(crate) fn request(&mut self, id: CallId, request: StreamRequest, cx: &mut Cx) {
        if !self.serves() {
            // During an election whoever is asked says what it has, and names no leader.
            let answer = match request {
                StreamRequest::Info { deleted_details, subjects_filter, offset }
                    if self.raft.leader().is_none() =>
                {
                    self.info(deleted_details, subjects_filter.as_deref(), offset, cx)
                }
                _ => Answer::NotLeader,
            };
            cx.out.answers.push((id, answer));
            return;
        }
        self.wake();
        match request {
            StreamRequest::Delete { seq, erase } => {
                self.propose_change_of_stream(StreamChange::Delete { seq, erase }, Some(id), cx);
            }
            StreamRequest::Purge { filter, up_to, keep } => {
                let purge = StreamChange::Purge { filter, up_to, keep };
                self.propose_change_of_stream(purge, Some(id), cx);
            }
            StreamRequest::StepDown { preferred } => {
                let answer = self.step_down(preferred, cx);
                cx.out.answers.push((id, answer));
            }
            read => self.read(Call { id, request: crate::request::Request::Stream(read) }),
        }
    }

    /// Answers a read that leadership was confirmed for.
    pub(crate) fn answer(&mut self, request: &StreamRequest, cx: &mut Cx) -> Answer {
        match request {
            StreamRequest::Info { deleted_details, subjects_filter, offset } => {
                self.info(*deleted_details, subjects_filter.as_deref(), *offset, cx)
            }
            StreamRequest::Get(get) => self.machine.get(get, cx),
            StreamRequest::Barrier => Answer::Applied(self.raft.applied()),
            // Changes never get here: `request` proposes them.
            _ => Answer::NotLeader,
        }
    }

    fn info(
        &self,
        deleted_details: bool,
        subjects_filter: Option<&str>,
        offset: u64,
        cx: &Cx,
    ) -> Answer {
        let stream = &self.machine.stream;
        let state = stream.state();
        let deleted = deleted_details.then(|| {
            let ranges = stream.deleted().into_iter();
            ranges.flat_map(|r| r.first..=r.last).take(DELETED_PER_ANSWER).collect()
        });
        let subjects = subjects_filter.map(|filter| {
            let total = stream.subjects_matching(filter).count() as u64;
            let skip = usize::try_from(offset).unwrap_or(usize::MAX);
            let page = stream.subjects_matching(filter).skip(skip).take(SUBJECTS_PER_ANSWER);
            (page.map(|(subject, count)| (subject.to_owned(), count)).collect(), total)
        });
        Answer::Stream(Box::new(StreamAnswer {
            config: stream.config().clone(),
            created: stream.created(),
            messages: state.messages,
            bytes: state.bytes,
            first_seq: state.first_seq,
            first_time: state.first_time,
            last_seq: state.last_seq,
            last_time: state.last_time,
            num_subjects: state.num_subjects,
            num_deleted: state.num_deleted,
            deleted,
            subjects,
            cluster: self.cluster(self.machine.led_since, cx),
        }))
    }
}

impl StreamMachine {
    /// Finds and reads one message.
    pub(crate) fn get(&mut self, get: &Get, cx: &mut Cx) -> Answer {
        let seq = match get {
            Get::Seq(seq) => self.stream.contains(*seq).then_some(*seq),
            Get::LastBySubject(subject) => self.stream.last_by_subject(subject),
            Get::NextBySubject { subject, seq } => {
                let mut filter = flotilla_stream::FilterSet::new(vec![subject.clone()]);
                self.stream.next_match(&mut filter, (*seq).max(1))
            }
        };
        let Some(seq) = seq else { return Answer::Error(ErrorKind::NoMessageFound.error()) };
        let Some(record) = self.read_record(seq, cx) else {
            let why = format!("message {seq} cannot be read on this server");
            return Answer::Error(ErrorKind::StreamStoreFailed.because(why));
        };
        let time = Timestamp(record.time);
        let (subject, headers, payload) = record.into_parts();
        let subject = String::from_utf8_lossy(&subject).into_owned();
        let last_seq = self.stream.last_seq();
        Answer::Message(StoredMessage { subject, seq, time, headers, payload, last_seq })
    }

    /// Reads one message that the index says is there. What cannot be read is reported and not served.
    pub(crate) fn read_record(&mut self, seq: u64, cx: &mut Cx) -> Option<SegmentRecord> {
        match self.segments.read(&*cx.disk, seq) {
            Ok(record) => record,
            Err(error) => {
                let text = format!("{}: message {seq} cannot be read: {error}", self.name());
                cx.notice(Notice::Text(text));
                self.unreadable = true;
                None
            }
        }
    }
}
