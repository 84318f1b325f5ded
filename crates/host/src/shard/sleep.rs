//! Sleep and wake: what is heard about groups and servers.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_raft::{Body, GroupId, Message, ReplicaId, Role, Slot, StepError, StoreId};

use super::Shard;
use crate::bundle::{Digest, Digests, Say, Unknown};
use crate::notice::Notice;
use crate::peers::PeerChange;
use crate::replica::{Asleep, has_quorum};
use crate::time::SECOND;

/// Ticks over which the members of a group spread their campaigns when their leader's server died.
const JITTER: u64 = 5;
/// How often two servers compare what they believe to be asleep.
const DIGEST_EVERY: u64 = 3 * SECOND;

/// What is asleep, by slot: the peer may have another number of shards.
type BySlot = BTreeMap<Slot, Digest>;

fn add(digests: &mut BySlot, group: GroupId, asleep: Asleep) {
    let digest = digests.entry(group.slot()).or_default();
    digest.groups += 1;
    digest.hash = digest.hash.wrapping_add(asleep.digest);
}

impl Shard {
    /// One thing that a peer's shard says.
    pub(super) fn hear(&mut self, from: StoreId, group: GroupId, say: Say) {
        match say {
            // A state comes by an offer; what it is made of would be missing here.
            Say::Raft(Message { body: Body::Snapshot { .. }, .. }) => {
                let reason = "a snapshot came without its offer".to_owned();
                self.cx.notice(Notice::Refused { group, reason });
            }
            // A server whose disk hangs does not beat, while its shards go on speaking. Who is taken for dead is not
            // listened to, or its groups would stay with it.
            Say::Raft(_) if self.cx.peers.is_dead(from) => {}
            Say::Raft(message) if self.has_no_place_for(group, &message) => {}
            Say::Raft(message) => {
                let to = message.to;
                let Some(replica) = self.replicas.get_mut(group) else {
                    self.keep_early(from, group, message);
                    return self.unknown(from, group, to);
                };
                let stepped = replica.step(from, message, &mut self.cx);
                self.dirty.insert(group);
                self.check_step(from, group, stepped);
            }
            Say::Unknown(Unknown { replica }) => {
                self.mend_elsewhere(from, group);
                self.take_unknown(group, replica);
            }
            Say::Sleep(sleep) => {
                let Some(replica) = self.replicas.get_mut(group) else { return };
                replica.sleep(sleep, &mut self.cx);
                self.dirty.insert(group);
                if replica.is_awake() {
                    self.cx.say(from, group, &Say::Wake);
                }
            }
            Say::Wake => self.wake(group),
            Say::Digests(digests) => self.take_digests(from, &digests),
            Say::WakeShared(slots) => self.wake_shared(from, &slots),
            Say::Offer(offer) => self.take_offer(from, group, *offer),
            Say::Fetch(fetch) => self.take_fetch(from, group, fetch),
            Say::Piece(piece) => self.take_piece(from, group, &piece),
            Say::Taken(taken) => self.take_taken(group, taken),
            Say::Lack(lack) => match self.replicas.get_mut(group) {
                Some(replica) => {
                    let given = replica.give(&lack, &mut self.cx);
                    given.iter().for_each(|say| self.cx.say(from, group, say));
                    // It may have to make what is asked for.
                    self.dirty.insert(group);
                }
                None => self.unknown(from, group, lack.replica),
            },
            Say::State(state) => self.take_state(from, group, state),
            Say::Entries(entries) => self.take_entries(from, group, entries),
            Say::Segment(segment) => self.take_segment(from, group, segment),
            Say::Compare(compare) => {
                if let Some(stream) = self.replicas.streams.get_mut(&group) {
                    stream.ask_to_compare(compare);
                    self.dirty.insert(group);
                }
            }
        }
    }

    fn unknown(&mut self, to: StoreId, group: GroupId, replica: ReplicaId) {
        self.cx.say(to, group, &Say::Unknown(Unknown { replica }));
    }

    /// A member does not know its replica: it has not applied the meta command yet that makes it, so it is worth
    /// asking again soon.
    fn take_unknown(&mut self, group: GroupId, member: ReplicaId) {
        let Some(replica) = self.replicas.get_mut(group) else { return };
        match replica.raft().role() {
            Role::Leader => {
                let raft = replica.raft_mut();
                raft.report_unreachable(member);
                if raft.progress(member).is_some_and(|p| p.snapshot) {
                    raft.report_snapshot(member, false);
                }
            }
            _ if replica.raft().leader().is_none() => replica.be_eager(2, &mut self.cx),
            _ => {}
        }
        self.wake(group);
    }

    pub(super) fn check_step(
        &mut self,
        from: StoreId,
        group: GroupId,
        stepped: Result<(), StepError>,
    ) {
        match stepped {
            Ok(()) => {}
            Err(StepError::WrongReplica(replica)) => self.unknown(from, group, replica),
            Err(error @ StepError::Impossible { .. }) => {
                self.cx.notice(Notice::Refused { group, reason: error.to_string() });
            }
            // It has forgotten what it acknowledged, perhaps votes with it: another takes its seat.
            Err(error @ StepError::LogLost { .. }) => self.end_lost(group, &error.to_string()),
            // Damage: a replica that cannot trust its log does not vote.
            Err(error) => self.end(group, &error.to_string()),
        }
    }

    pub(super) fn wake(&mut self, group: GroupId) {
        if let Some(replica) = self.replicas.get_mut(group) {
            replica.wake();
            self.dirty.insert(group);
        }
    }

    /// All that this shard believes to be asleep and to be led from `leader`.
    fn asleep_under(
        &self,
        leader: StoreId,
    ) -> impl Iterator<Item = (GroupId, &dyn super::replicas::Driven, Asleep)> {
        let asleep =
            self.replicas.iter().filter_map(|(g, r)| r.asleep().map(|asleep| (g, r, asleep)));
        asleep.filter(move |(_, _, asleep)| asleep.leader == Some(leader))
    }

    /// What this shard believes to be asleep between it and each peer of the groups that it leads.
    fn led_asleep(&self) -> BTreeMap<StoreId, BySlot> {
        let mut digests: BTreeMap<StoreId, BySlot> = BTreeMap::new();
        for (group, replica, asleep) in self.asleep_under(self.cx.store) {
            let members = &replica.raft().membership().stores;
            for (member, store) in members {
                // Two of its replicas may be on one store: a lost one, and the one that takes its seat.
                let earlier = members.range(..member).any(|(_, earlier)| earlier == store);
                if !earlier {
                    add(digests.entry(*store).or_default(), group, asleep);
                }
            }
        }
        digests
    }

    /// What this shard believes to be asleep of the groups that `peer` leads.
    fn followed_asleep(&self, peer: StoreId) -> BySlot {
        let mut digests = BySlot::new();
        self.asleep_under(peer).for_each(|(group, _, asleep)| add(&mut digests, group, asleep));
        digests
    }

    /// The peer leads groups that it believes to be asleep; where this server believes otherwise, both wake theirs.
    fn take_digests(&mut self, from: StoreId, there: &Digests) {
        let here = self.followed_asleep(from);
        let named: BTreeSet<Slot> = here.keys().chain(there.slots.keys()).copied().collect();
        let spoken_of = |s: &Slot| self.share.holds_slot(*s) && there.share.holds_slot(*s);
        let differs = |slot: &Slot| here.get(slot) != there.slots.get(slot);
        let slots: Vec<Slot> = named.into_iter().filter(spoken_of).filter(differs).collect();
        if !slots.is_empty() {
            self.wake_shared(from, &slots);
            self.cx.say(from, GroupId(0), &Say::WakeShared(slots));
        }
    }

    pub(super) fn exchange_digests(&mut self) {
        if self.cx.now.mono < self.next_digest {
            return;
        }
        self.next_digest = self.cx.now.mono + DIGEST_EVERY;
        let alive: Vec<StoreId> = self.cx.peers.alive().filter(|s| *s != self.cx.store).collect();
        let mut led = self.led_asleep();
        for peer in alive {
            // Also when there are none: the peer may believe that there are.
            let slots = led.remove(&peer).unwrap_or_default();
            let digests = Digests { share: self.share, slots };
            self.cx.say(peer, GroupId(0), &Say::Digests(digests));
        }
    }

    /// Wakes every group of these slots that `peer` has a part in.
    fn wake_shared(&mut self, peer: StoreId, slots: &[Slot]) {
        for group in self.groups_with(peer) {
            if slots.contains(&group.slot()) {
                self.wake(group);
            }
        }
    }

    fn groups_with(&self, peer: StoreId) -> Vec<GroupId> {
        let has = |r: &dyn super::replicas::Driven| {
            r.raft().membership().stores.values().any(|s| *s == peer)
        };
        self.replicas.iter().filter(|(_, r)| has(*r)).map(|(g, _)| g).collect()
    }

    pub(super) fn take_heard(&mut self, store: StoreId, boot: u64) {
        let now = self.cx.now.mono;
        if let Some(PeerChange::Returned) = self.cx.peers.heard(store, boot, now) {
            self.lose_leader(store, true);
        }
    }

    pub(super) fn take_died(&mut self, store: StoreId) {
        if let Some(PeerChange::Died) = self.cx.peers.died(store) {
            self.lose_leader(store, false);
        }
    }

    /// A server died, or came back as another life of itself. Whoever followed it campaigns at once, with jitter,
    /// instead of waiting out the timeout; whoever leads a group with it finds out whether a quorum is left.
    ///
    /// A group that sleeps, under a leader that lives, sleeps on when a member died and a quorum is left: that is all that
    /// there is to find out. When the member returns, it is woken.
    fn lose_leader(&mut self, store: StoreId, has_returned: bool) {
        if let Some(meta) = &mut self.replicas.meta {
            meta.machine.steward.begin();
        }
        for group in self.groups_with(store) {
            let Some(replica) = self.replicas.get(group) else { continue };
            let raft = replica.raft();
            let may_sleep_on =
                raft.role() != Role::Leader || has_quorum(raft.membership(), &self.cx);
            let led_elsewhere = replica.asleep().is_some_and(|asleep| asleep.leader != Some(store));
            if !has_returned && led_elsewhere && may_sleep_on {
                continue;
            }
            self.wake(group);
            let Some(replica) = self.replicas.get_mut(group) else { continue };
            let raft = replica.raft_mut();
            let leads_there = raft.leader().and_then(|r| raft.membership().store_of(r));
            if raft.role() == Role::Leader {
                let member = raft.membership().stores.iter().find(|(_, s)| **s == store);
                if let Some((member, _)) = member.map(|(r, s)| (*r, *s)) {
                    raft.report_unreachable(member);
                    // A state on its way there is lost with it; the library waits for an end of it.
                    if raft.progress(member).is_some_and(|p| p.snapshot) {
                        raft.report_snapshot(member, false);
                    }
                }
            } else if leads_there == Some(store) {
                raft.forget_leader();
                replica.be_eager(JITTER, &mut self.cx);
            }
        }
    }

    /// What was on its way to a store is lost. Nothing is on its way between the members of a group that sleeps, or they are
    /// not of one mind whether it does, which their digests tell.
    pub(super) fn take_link_reset(&mut self, store: StoreId) {
        for group in self.groups_with(store) {
            let Some(replica) = self.replicas.get_mut(group).filter(|r| r.is_awake()) else {
                continue;
            };
            replica.wake();
            self.dirty.insert(group);
            let members: BTreeMap<ReplicaId, StoreId> = replica.raft().membership().stores.clone();
            for (member, _) in members.into_iter().filter(|(_, s)| *s == store) {
                let raft = replica.raft_mut();
                raft.report_unreachable(member);
                if raft.progress(member).is_some_and(|p| p.snapshot) {
                    raft.report_snapshot(member, false);
                }
            }
        }
    }

    /// Leaves on purpose: every group that is led here gets another leader first.
    pub(super) fn hand_over(&mut self) {
        let cx = &mut self.cx;
        let serving = |r: &dyn super::replicas::Driven| r.is_serving();
        let led: Vec<GroupId> =
            self.replicas.iter().filter(|(_, r)| serving(*r)).map(|(g, _)| g).collect();
        for group in led {
            // It wakes for that, if it sleeps.
            self.dirty.insert(group);
            if group == GroupId::META
                && let Some(meta) = &mut self.replicas.meta
            {
                drop(meta.step_down(None, cx));
            } else if let Some(stream) = self.replicas.streams.get_mut(&group) {
                drop(stream.step_down(None, cx));
            } else if let Some(consumer) = self.replicas.consumers.get_mut(&group) {
                drop(consumer.step_down(None, cx));
            }
        }
    }
}
