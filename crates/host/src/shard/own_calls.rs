//! What the shard itself asks others for: the meta leader, and leaders of its streams.

use flotilla_raft::GroupId;

use super::{Join, Shard};
use crate::request::{Answer, CallId, MetaRequest, Request, StreamRequest};
use crate::time::SECOND;

/// How soon meta is told again of what is lost here, if anything still is.
pub(super) const ASK_AGAIN: u64 = SECOND / 2;
/// Calls of the shard itself are told from those of clients by this bit.
const OWN: u64 = 1 << 63;

/// What the shard itself asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnCall {
    /// How far meta was, at that time.
    Barrier { asked_at: u64 },
    /// Confirmed once it is known up to the index.
    Applied { asked_at: u64, index: u64 },
    /// That this is still the leader, and of this term: what it is about to report was asked for in that epoch.
    Lead { group: GroupId, term: u64, epoch: u64 },
    /// A report about a group's members.
    Report(GroupId),
    /// A confirmation that replicas are destroyed.
    Confirm,
    /// How far a stream was, for a consumer that is about to begin.
    Stream { consumer: GroupId },
    /// The end of a consumer that nobody uses.
    Remove,
    /// Up to which one ids of replicas are given away.
    Ids,
    /// Successors for lost replicas.
    ReportLost,
    /// Up to which one ids of replicas are given away, before [`Renew`](Self::Renew).
    RenewAfter,
    /// A successor for the lost replica of the meta group.
    Renew,
}

impl Shard {
    pub(super) fn call_meta(&mut self, own: OwnCall, request: MetaRequest) {
        self.call(own, GroupId::META, Request::Meta(request));
    }

    pub(super) fn call(&mut self, own: OwnCall, group: GroupId, request: Request) {
        let id = OWN | self.next_call;
        self.next_call += 1;
        self.own_calls.insert(id, own);
        self.cx.out.calls.push((CallId(id), group, request));
    }

    /// Asks a stream's leader how far the stream is.
    pub(super) fn ask_stream(&mut self, consumer: GroupId, stream: GroupId) {
        let request = Request::Stream(StreamRequest::Barrier);
        self.call(OwnCall::Stream { consumer }, stream, request);
    }

    /// Has meta delete a consumer that nobody has used for long enough. If that fails, its leader will say so again.
    pub(super) fn remove_inactive(&mut self, group: GroupId) {
        let Some(consumer) = self.replicas.consumers.get(&group) else { return };
        let machine = &consumer.machine;
        let request = MetaRequest::DeleteConsumer {
            account: machine.account.to_string(),
            stream: machine.stream_name.clone(),
            consumer: machine.consumer.config().name.clone(),
            group: Some(group),
        };
        self.call_meta(OwnCall::Remove, request);
    }

    pub(super) fn ask_barrier(&mut self) {
        let asking = |c: &OwnCall| matches!(c, OwnCall::Barrier { .. } | OwnCall::Applied { .. });
        if !self.own_calls.values().any(asking) {
            let asked_at = self.cx.now.mono;
            self.call_meta(OwnCall::Barrier { asked_at }, MetaRequest::Barrier);
        }
    }

    pub(super) fn take_answer(&mut self, id: CallId, answer: Option<Answer>) {
        match (self.own_calls.remove(&id.0), answer) {
            (Some(OwnCall::Barrier { asked_at }), Some(Answer::Applied(index))) => {
                self.own_calls.insert(id.0, OwnCall::Applied { asked_at, index });
            }
            (Some(OwnCall::Barrier { .. }), _) => {}
            // Nobody leads meta, as far as is known; or more was found to be lost while it was asked. Until it hears of that,
            // groups lack members.
            (Some(OwnCall::RenewAfter | OwnCall::Renew | OwnCall::Ids), None)
            | (Some(OwnCall::Renew), Some(Answer::Error(_)))
            | (Some(OwnCall::ReportLost), _) => {
                self.next_sweep = self.next_sweep.min(self.cx.now.mono + ASK_AGAIN);
            }
            (Some(OwnCall::Report(group)), _) => self.wake(group),
            (Some(OwnCall::Lead { group, term, epoch }), Some(Answer::Applied(_))) => {
                let leads = self.replicas.get(group).filter(|r| r.is_serving());
                if leads.is_some_and(|r| r.raft().term() == term) {
                    self.report(group, epoch);
                }
            }
            (Some(OwnCall::Ids), Some(Answer::Ids(given))) => {
                self.given = Some(given);
                self.recall_created();
            }
            (Some(OwnCall::RenewAfter), Some(Answer::Ids(after))) => self.ask_renewal(after),
            (Some(OwnCall::Renew), Some(Answer::Registered { cluster, replica, founding })) => {
                self.renew_meta(&Join { cluster, replica, founding });
            }
            (Some(OwnCall::Stream { consumer }), answer) => {
                let index = answer.and_then(|a| match a {
                    Answer::Applied(index) => Some(index),
                    _ => None,
                });
                if let Some(replica) = self.replicas.consumers.get_mut(&consumer) {
                    replica.take_barrier(index);
                    self.dirty.insert(consumer);
                }
            }
            _ => {}
        }
    }

    /// Meta is current here once what was committed when it was asked is known.
    pub(super) fn confirm_barrier(&mut self) {
        let Some(through) = self.known.through() else { return };
        let done = self.own_calls.iter().find_map(|(id, call)| match call {
            OwnCall::Applied { asked_at, index } if *index <= through => Some((*id, *asked_at)),
            _ => None,
        });
        if let Some((id, asked_at)) = done {
            self.own_calls.remove(&id);
            if self.meta_current_at.is_none() {
                self.reconcile_all = true;
                self.next_sweep = self.cx.now.mono;
            }
            self.meta_current_at = Some(asked_at);
            self.recall_created();
        }
    }
}
