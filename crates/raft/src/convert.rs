//! Our types to the library's and back. Only here are its protobuf structs taken apart; they are filled in
//! memory and never decoded from bytes of a peer or a disk.

use bytes::Bytes;
use flotilla_mutation::{Mutation, is_on};
use raft::eraftpb::{
    self, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState,
    EntryType, MessageType,
};

use crate::message::{Body, Message};
use crate::types::{Change, Entry, EntryKind, HardState, Membership, ReplicaId};

/// What the library sets as the context of a vote that the leader asked for.
const TRANSFER: &[u8] = b"CampaignTransfer";

/// A change stands in the library's `context`, in our encoding; its `data` is for the library's own checks.
pub(crate) fn entry_to_lib(entry: &Entry) -> eraftpb::Entry {
    let mut e = eraftpb::Entry { term: entry.term, index: entry.index, ..Default::default() };
    match entry.kind {
        EntryKind::Command => e.data = entry.data.clone(),
        EntryKind::Change => {
            e.set_entry_type(EntryType::EntryConfChangeV2);
            e.context = entry.data.clone();
        }
    }
    e
}

pub(crate) fn entry_from_lib(entry: &eraftpb::Entry) -> Entry {
    let (kind, data) = match entry.get_entry_type() {
        EntryType::EntryNormal => (EntryKind::Command, entry.data.clone()),
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
            (EntryKind::Change, entry.context.clone())
        }
    };
    Entry { term: entry.term, index: entry.index, kind, data }
}

pub(crate) fn hard_state_from_lib(hs: &eraftpb::HardState) -> HardState {
    HardState { term: hs.term, vote: ReplicaId(hs.vote), commit: hs.commit }
}

pub(crate) fn hard_state_to_lib(hs: &HardState) -> eraftpb::HardState {
    eraftpb::HardState { term: hs.term, vote: hs.vote.0, commit: hs.commit, ..Default::default() }
}

fn numbers(replicas: &[ReplicaId]) -> Vec<u64> {
    replicas.iter().map(|r| r.0).collect()
}

fn replicas(mut numbers: Vec<u64>) -> Vec<ReplicaId> {
    numbers.sort_unstable();
    numbers.into_iter().map(ReplicaId).collect()
}

pub(crate) fn membership_to_lib(membership: &Membership) -> ConfState {
    ConfState {
        voters: numbers(&membership.voters),
        learners: numbers(&membership.learners),
        voters_outgoing: numbers(&membership.voters_outgoing),
        learners_next: numbers(&membership.learners_next),
        auto_leave: false,
        ..Default::default()
    }
}

/// The configuration in the library's words, with the stores that `known` tells; whoever left is dropped.
pub(crate) fn membership_from_lib(conf: &ConfState, known: &Membership) -> Membership {
    let mut membership = Membership {
        voters: replicas(conf.voters.clone()),
        learners: replicas(conf.learners.clone()),
        voters_outgoing: replicas(conf.voters_outgoing.clone()),
        learners_next: replicas(conf.learners_next.clone()),
        stores: known.stores.clone(),
    };
    let members: Vec<ReplicaId> = membership.all().collect();
    membership.stores.retain(|replica, _| members.contains(replica));
    membership
}

fn single(replica: ReplicaId, kind: ConfChangeType) -> ConfChangeSingle {
    let mut change = ConfChangeSingle { node_id: replica.0, ..Default::default() };
    change.set_change_type(kind);
    change
}

/// The steps that the library takes for a change: one, but for learners that leave one by one.
pub(crate) fn change_to_lib(change: &Change) -> Vec<ConfChangeV2> {
    let step = |changes: Vec<ConfChangeSingle>, transition| {
        let mut cc = ConfChangeV2::default();
        cc.set_changes(changes.into());
        cc.set_transition(transition);
        cc
    };
    match change {
        Change::AddLearner { replica, .. } => vec![step(
            vec![single(*replica, ConfChangeType::AddLearnerNode)],
            ConfChangeTransition::Auto,
        )],
        Change::Enter { promote, remove } => {
            let promote = promote.iter().map(|r| single(*r, ConfChangeType::AddNode));
            let remove = remove.iter().map(|r| single(*r, ConfChangeType::RemoveNode));
            if is_on(Mutation::NotJoint) {
                let at_once = |change| step(vec![change], ConfChangeTransition::Auto);
                return promote.chain(remove).map(at_once).collect();
            }
            vec![step(promote.chain(remove).collect(), ConfChangeTransition::Explicit)]
        }
        Change::Leave => vec![ConfChangeV2::default()],
        Change::RemoveLearners { remove } => remove
            .iter()
            .map(|r| step(vec![single(*r, ConfChangeType::RemoveNode)], ConfChangeTransition::Auto))
            .collect(),
    }
}

fn context(read: Option<u64>) -> Bytes {
    read.map_or_else(Bytes::new, |token| Bytes::copy_from_slice(&token.to_be_bytes()))
}

pub(crate) fn read_token(context: &[u8]) -> Option<u64> {
    context.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn message_to_lib(message: Message) -> eraftpb::Message {
    let mut m = eraftpb::Message {
        from: message.from.0,
        to: message.to.0,
        term: message.term,
        ..Default::default()
    };
    match message.body {
        Body::Append { prev_index, prev_term, commit, entries } => {
            m.set_msg_type(MessageType::MsgAppend);
            (m.index, m.log_term, m.commit) = (prev_index, prev_term, commit);
            m.set_entries(entries.iter().map(entry_to_lib).collect::<Vec<_>>().into());
        }
        Body::Appended { index, commit } => {
            m.set_msg_type(MessageType::MsgAppendResponse);
            (m.index, m.commit) = (index, commit);
        }
        Body::Refused { index, commit, hint_index, hint_term } => {
            m.set_msg_type(MessageType::MsgAppendResponse);
            m.reject = true;
            (m.index, m.commit, m.reject_hint, m.log_term) = (index, commit, hint_index, hint_term);
        }
        Body::Vote { pre, last_index, last_term, commit, commit_term, transfer } => {
            m.set_msg_type(if pre {
                MessageType::MsgRequestPreVote
            } else {
                MessageType::MsgRequestVote
            });
            (m.index, m.log_term) = (last_index, last_term);
            (m.commit, m.commit_term) = (commit, commit_term);
            if transfer {
                m.context = Bytes::from_static(TRANSFER);
            }
        }
        Body::VoteReply { pre, granted, commit, commit_term } => {
            m.set_msg_type(if pre {
                MessageType::MsgRequestPreVoteResponse
            } else {
                MessageType::MsgRequestVoteResponse
            });
            m.reject = !granted;
            (m.commit, m.commit_term) = (commit, commit_term);
        }
        Body::Heartbeat { commit, read } => {
            m.set_msg_type(MessageType::MsgHeartbeat);
            (m.commit, m.context) = (commit, context(read));
        }
        Body::HeartbeatReply { commit, read } => {
            m.set_msg_type(MessageType::MsgHeartbeatResponse);
            (m.commit, m.context) = (commit, context(read));
        }
        Body::Snapshot { index, term, membership } => {
            m.set_msg_type(MessageType::MsgSnapshot);
            let metadata = m.mut_snapshot().mut_metadata();
            (metadata.index, metadata.term) = (index, term);
            metadata.set_conf_state(membership_to_lib(&membership));
        }
        Body::TimeoutNow => m.set_msg_type(MessageType::MsgTimeoutNow),
    }
    m
}

/// A message of the library, or nothing for those that have no meaning between our servers: proposals and reads
/// are routed to the leader by the host, not by Raft. `known` tells the stores for a snapshot's configuration.
pub(crate) fn message_from_lib(mut m: eraftpb::Message, known: &Membership) -> Option<Message> {
    let body = match m.get_msg_type() {
        MessageType::MsgAppend => Body::Append {
            prev_index: m.index,
            prev_term: m.log_term,
            commit: m.commit,
            entries: m.get_entries().iter().map(entry_from_lib).collect(),
        },
        MessageType::MsgAppendResponse if m.reject => Body::Refused {
            index: m.index,
            commit: m.commit,
            hint_index: m.reject_hint,
            hint_term: m.log_term,
        },
        MessageType::MsgAppendResponse => Body::Appended { index: m.index, commit: m.commit },
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => Body::Vote {
            pre: m.get_msg_type() == MessageType::MsgRequestPreVote,
            last_index: m.index,
            last_term: m.log_term,
            commit: m.commit,
            commit_term: m.commit_term,
            transfer: m.context == TRANSFER,
        },
        MessageType::MsgRequestVoteResponse | MessageType::MsgRequestPreVoteResponse => {
            Body::VoteReply {
                pre: m.get_msg_type() == MessageType::MsgRequestPreVoteResponse,
                granted: !m.reject,
                commit: m.commit,
                commit_term: m.commit_term,
            }
        }
        MessageType::MsgHeartbeat => {
            Body::Heartbeat { commit: m.commit, read: read_token(&m.context) }
        }
        MessageType::MsgHeartbeatResponse => {
            Body::HeartbeatReply { commit: m.commit, read: read_token(&m.context) }
        }
        MessageType::MsgSnapshot => {
            let mut metadata = m.take_snapshot().take_metadata();
            let conf = metadata.take_conf_state();
            Body::Snapshot {
                index: metadata.index,
                term: metadata.term,
                membership: membership_from_lib(&conf, known),
            }
        }
        MessageType::MsgTimeoutNow => Body::TimeoutNow,
        _ => return None,
    };
    Some(Message { from: ReplicaId(m.from), to: ReplicaId(m.to), term: m.term, body })
}
