//! The meta group's replica on this server: the machine, and what its leader does on requests and by itself.
//!
//! `plan` turns a request into a command, with the leader's view of who lives; `steward` keeps the fleet whole
//! without being asked.

mod plan;
mod steward;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flotilla_jsapi::{ApiError, ErrorKind};
use flotilla_meta::{Delta, Meta, MetaError, Reply};
use flotilla_raft::{Entry, GroupId, Membership, ReplicaId};

use crate::notice::Notice;
use crate::replica::{Machine, Replica};
use crate::request::{Answer, Call, CallId, MetaRequest, Request};
use crate::turn::Cx;

pub(crate) use steward::Steward;

/// How often a request is planned anew because the state moved on meanwhile.
const PLANS: u8 = 5;

/// What feeds a copy of the meta machine: the server keeps one for its API, so that reads do not wait for a shard.
#[derive(Clone, Debug)]
pub enum MetaFeed {
    /// The state at an index.
    Base {
        /// The index.
        index: u64,
        /// What [`Meta::restore`] takes.
        state: Bytes,
    },
    /// The command at an index.
    Entry {
        /// The index.
        index: u64,
        /// What [`Meta::apply`] takes.
        command: Bytes,
    },
    /// Everything up to this index is fed; what stands there concerns Raft alone.
    Reached {
        /// The index.
        index: u64,
    },
}

/// The machine of the meta group.
pub(crate) struct MetaMachine {
    pub(crate) meta: Meta,
    /// The configuration that the group began with.
    pub(crate) founding: Membership,
    pending: BTreeMap<u64, (u64, Option<Asked>)>,
    /// Requests whose plan was overtaken.
    stale: Vec<Asked>,
    /// What was applied and not yet handed to the reconcilers.
    pub(crate) deltas: Vec<Delta>,
    /// The state came as a whole: nobody said yet what is new in it.
    pub(crate) replaced: bool,
    /// The index up to which the reconcilers were told.
    pub(crate) said: u64,
    /// What was applied and not yet handed to the copy.
    pub(crate) feed: Vec<MetaFeed>,
    fed: u64,
    pub(crate) steward: Steward,
    /// Replicas that their stores report as lost.
    missing: BTreeSet<(GroupId, ReplicaId)>,
    pub(crate) unique_tag: Option<String>,
}

/// Who asked, for what, and how often it was planned.
struct Asked {
    call: CallId,
    request: MetaRequest,
    plans: u8,
}

impl MetaMachine {
    pub(crate) fn new(meta: Meta, founding: Membership, index: u64) -> Self {
        let feed = vec![MetaFeed::Base { index, state: meta.base().into() }];
        Self {
            meta,
            founding,
            pending: BTreeMap::new(),
            stale: Vec::new(),
            deltas: Vec::new(),
            replaced: true,
            said: index,
            feed,
            fed: index,
            steward: Steward::default(),
            missing: BTreeSet::new(),
            unique_tag: None,
        }
    }

    fn answer(&self, index: u64, reply: Reply) -> Answer {
        match reply {
            Reply::Registered(replica) => Answer::Registered {
                cluster: self.meta.cluster_id().0,
                replica,
                founding: self.founding.clone(),
            },
            Reply::Created(asset) => Answer::Asset { group: asset.group, created: true, index },
            Reply::Exists(asset) | Reply::Updated(asset) => {
                Answer::Asset { group: asset.group, created: false, index }
            }
            Reply::Deleted(_) | Reply::Done => Answer::Done,
            Reply::Error(error) => Answer::Error(api_error(&error)),
        }
    }
}

/// The API's error for one of the meta machine's, with its own text.
pub(crate) fn api_error(error: &MetaError) -> ApiError {
    let kind = ErrorKind::from_number(error.err_code()).unwrap_or(ErrorKind::ClusterNotAvail);
    ApiError { description: error.to_string().into(), ..kind.error() }
}

impl Machine for MetaMachine {
    fn name(&self) -> String {
        "the meta group".to_owned()
    }

    fn apply(&mut self, entry: &Entry, leads: bool, cx: &mut Cx) {
        let outcome = match self.meta.apply(&entry.data) {
            Ok(outcome) => outcome,
            Err(error) => {
                cx.notice(Notice::Text(format!("meta entry {}: {error}", entry.index)));
                return;
            }
        };
        self.feed.push(MetaFeed::Entry { index: entry.index, command: entry.data.clone() });
        self.deltas.extend(outcome.deltas);
        while let Some(first) = self.pending.first_entry().filter(|p| *p.key() <= entry.index) {
            let (index, (term, asked)) = first.remove_entry();
            let Some(asked) = asked else { continue };
            let ours = leads && index == entry.index && term == entry.term;
            let again = matches!(&outcome.reply, Reply::Error(e) if e.is_stale());
            if !ours {
                cx.out.answers.push((asked.call, Answer::NotLeader));
            } else if again && asked.plans < PLANS {
                self.stale.push(asked);
            } else {
                cx.out.answers.push((asked.call, self.answer(index, outcome.reply.clone())));
            }
        }
    }

    fn state_hash(&self) -> u64 {
        self.meta.state_hash()
    }

    fn take_lead(&mut self, _term: u64, _cx: &mut Cx) {
        self.steward.begin();
    }

    fn lose_lead(&mut self, cx: &mut Cx) {
        let pending =
            std::mem::take(&mut self.pending).into_values().filter_map(|(_, asked)| asked);
        let asked = pending.chain(self.stale.drain(..));
        cx.out.answers.extend(asked.map(|a| (a.call, Answer::NotLeader)));
    }

    fn restore(&mut self, state: &Bytes, index: u64, _cx: &mut Cx) -> Result<(), String> {
        self.meta = Meta::restore(state).map_err(|e| e.to_string())?;
        self.feed.push(MetaFeed::Base { index, state: state.clone() });
        self.deltas.clear();
        self.replaced = true;
        Ok(())
    }
}

impl Replica<MetaMachine> {
    /// What was applied since the last call, for the copy. An index that holds nothing for the machine counts too:
    /// who waits for it would wait for ever.
    pub(crate) fn take_feed(&mut self) -> Vec<MetaFeed> {
        let index = self.raft.applied();
        let mut feed = std::mem::take(&mut self.machine.feed);
        if index > self.machine.fed {
            feed.push(MetaFeed::Reached { index });
            self.machine.fed = index;
        }
        feed
    }

    /// Takes a request.
    pub(crate) fn request(&mut self, call: CallId, request: MetaRequest, cx: &mut Cx) {
        if !self.serves() {
            cx.out.answers.push((call, Answer::NotLeader));
            return;
        }
        self.wake();
        match request {
            MetaRequest::Barrier | MetaRequest::Ids | MetaRequest::Info => {
                self.read(Call { id: call, request: Request::Meta(request) });
            }
            MetaRequest::ReportLost { replicas } => {
                self.learn_missing(replicas);
                cx.out.answers.push((call, Answer::Done));
            }
            MetaRequest::StepDown { preferred } => {
                let answer = self.step_down(preferred, cx);
                cx.out.answers.push((call, answer));
            }
            request => self.plan_and_propose(Asked { call, request, plans: 0 }, cx),
        }
    }

    /// The steward gives lost replicas successors. Their stores report them again and again, to whoever leads.
    fn learn_missing(&mut self, replicas: Vec<(GroupId, ReplicaId)>) {
        let MetaMachine { meta, missing, .. } = &mut self.machine;
        missing.extend(replicas);
        missing.retain(|(g, r)| meta.asset(*g).is_some_and(|asset| asset.group().desires(*r)));
        if !missing.is_empty() {
            self.machine.steward.begin();
        }
    }

    /// Answers a read that leadership was confirmed for.
    pub(crate) fn answer_read(&self, request: &MetaRequest, cx: &Cx) -> Answer {
        match request {
            MetaRequest::Info => Answer::Cluster(self.cluster(None, cx)),
            MetaRequest::Ids => Answer::Ids(self.machine.meta.last_replica()),
            _ => Answer::Applied(self.raft.applied()),
        }
    }

    fn plan_and_propose(&mut self, mut asked: Asked, cx: &mut Cx) {
        asked.plans += 1;
        let mut commands = match self.plan(&asked.request, cx) {
            Ok(commands) => commands.into_iter(),
            Err(error) => {
                cx.out.answers.push((asked.call, Answer::Error(api_error(&error))));
                return;
            }
        };
        let Some(first) = commands.next() else {
            cx.out.answers.push((asked.call, Answer::Done));
            return;
        };
        let call = asked.call;
        if !self.propose_command(&first, Some(asked), cx) {
            cx.out.answers.push((call, Answer::NotLeader));
            return;
        }
        for command in commands {
            self.propose_command(&command, None, cx);
        }
    }

    fn propose_command(
        &mut self,
        command: &flotilla_meta::Command,
        asked: Option<Asked>,
        cx: &mut Cx,
    ) -> bool {
        match self.raft.propose(command.encode(cx.now.wall).into()) {
            Ok((index, term)) => {
                self.machine.pending.insert(index, (term, asked));
                true
            }
            Err(_) => false,
        }
    }

    /// Plans anew what was overtaken by another command.
    pub(crate) fn plan_stale(&mut self, cx: &mut Cx) {
        for asked in std::mem::take(&mut self.machine.stale) {
            self.plan_and_propose(asked, cx);
        }
    }

    /// The state at what is applied, as a base for the WAL.
    pub(crate) fn checkpoint(&mut self, forward: bool, cx: &mut Cx) {
        if self.raft.applied() > self.durable_base || forward {
            let base = self.base_at_applied(self.machine.meta.base().into());
            self.write_base(base, forward, cx);
        }
    }
}
