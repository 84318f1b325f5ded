use std::collections::BTreeMap;

use flotilla_raft::StoreId;
use proptest::prelude::*;

use super::*;

fn id(n: u64) -> ReplicaId {
    ReplicaId(n)
}

fn ids(numbers: &[u64]) -> Vec<ReplicaId> {
    numbers.iter().map(|n| ReplicaId(*n)).collect()
}

fn seat(n: u64) -> Member {
    Member { replica: ReplicaId(n), store: StoreId(n) }
}

/// A group, played by applying each step at once.
#[derive(Clone, Debug)]
struct Group {
    leader: ReplicaId,
    membership: Membership,
    desired: Vec<Member>,
    live: BTreeSet<ReplicaId>,
    caught_up: BTreeSet<ReplicaId>,
    recorded: Option<Membership>,
}

impl Group {
    fn new(voters: &[u64], desired: &[u64], live: &[u64]) -> Self {
        let everybody = 1..=9;
        Self {
            leader: id(voters[0]),
            membership: Membership {
                voters: ids(voters),
                stores: everybody.map(|n| (id(n), StoreId(n))).collect::<BTreeMap<_, _>>(),
                ..Membership::default()
            },
            desired: desired.iter().map(|n| seat(*n)).collect(),
            live: ids(live).into_iter().collect(),
            caught_up: ids(live).into_iter().collect(),
            recorded: None,
        }
    }

    fn step(&self) -> Step {
        next_step(&GroupView {
            leader: self.leader,
            membership: &self.membership,
            desired: &self.desired,
            live: &self.live,
            caught_up: &self.caught_up,
            recorded: self.recorded.as_ref() == Some(&self.membership),
            meta_current: true,
            in_flight: false,
        })
    }

    fn has_live_majority(&self, voters: &[ReplicaId]) -> bool {
        voters.iter().filter(|r| self.live.contains(r)).count() >= quorum(voters.len())
    }

    /// Whether entries can be committed.
    fn is_available(&self) -> bool {
        let Membership { voters, voters_outgoing, .. } = &self.membership;
        self.has_live_majority(voters)
            && (voters_outgoing.is_empty() || self.has_live_majority(voters_outgoing))
    }

    /// Applies one step as Raft would, and checks that it is one that Raft allows.
    fn apply(&mut self, step: &Step) {
        let m = &mut self.membership;
        match step {
            Step::Propose(change) => {
                match change {
                    Change::AddLearner { replica, .. } => {
                        assert!(!m.is_joint() && !m.contains(*replica));
                        m.learners.push(*replica);
                    }
                    Change::RemoveLearners { remove } => {
                        assert!(!m.is_joint() && remove.iter().all(|r| m.learners.contains(r)));
                        m.learners.retain(|r| !remove.contains(r));
                    }
                    Change::Enter { promote, remove } => {
                        assert!(!m.is_joint() && !remove.contains(&self.leader));
                        assert!(
                            promote
                                .iter()
                                .all(|r| m.learners.contains(r) && self.caught_up.contains(r))
                        );
                        assert!(remove.iter().all(|r| m.voters.contains(r)));
                        m.voters_outgoing.clone_from(&m.voters);
                        m.learners.retain(|r| !promote.contains(r));
                        m.voters.extend(promote);
                        m.voters.retain(|r| !remove.contains(r));
                        m.voters.sort_unstable();
                    }
                    Change::Leave => {
                        assert!(m.is_joint() && m.voters.contains(&self.leader));
                        m.voters_outgoing.clear();
                        let demoted = std::mem::take(&mut m.learners_next);
                        m.learners.extend(demoted);
                    }
                }
                self.recorded = None;
            }
            Step::TransferTo(to) => {
                assert!(
                    m.voters.contains(to) && self.live.contains(to) && self.caught_up.contains(to)
                );
                self.leader = *to;
            }
            Step::Report => self.recorded = Some(m.clone()),
            Step::Nothing(_) => {}
        }
    }

    /// Steps until there is nothing to do; the steps taken.
    fn run(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let step = self.step();
            if let Step::Nothing(_) = step {
                return steps;
            }
            self.apply(&step);
            steps.push(step);
            assert!(steps.len() < 100, "no end: {steps:?}");
        }
    }

    fn voters(&self) -> Vec<u64> {
        self.membership.voters.iter().map(|r| r.0).collect()
    }
}

fn enter(promote: &[u64], remove: &[u64]) -> Step {
    Step::Propose(Change::Enter { promote: ids(promote), remove: ids(remove) })
}

fn learner(n: u64) -> Step {
    Step::Propose(Change::AddLearner { replica: id(n), store: StoreId(n) })
}

const LEAVE: Step = Step::Propose(Change::Leave);

#[test]
fn a_dead_voter_is_exchanged_in_one_joint_change() {
    let mut group = Group::new(&[1, 2, 3], &[1, 2, 4], &[1, 2, 4]);
    assert_eq!(group.run(), [learner(4), enter(&[4], &[3]), LEAVE, Step::Report]);
    assert_eq!(group.voters(), [1, 2, 4]);
    assert_eq!(group.step(), Step::Nothing(Wait::Settled));
}

#[test]
fn a_newcomer_votes_only_after_it_caught_up() {
    let mut group = Group::new(&[1, 2, 3], &[1, 2, 4], &[1, 2, 3, 4]);
    group.caught_up.remove(&id(4));
    group.apply(&learner(4));
    group.apply(&Step::Report);
    assert_eq!(group.step(), Step::Nothing(Wait::CatchUp(ids(&[4]))));
    group.caught_up.insert(id(4));
    assert_eq!(group.step(), enter(&[4], &[3]));
}

#[test]
fn a_leader_hands_over_before_its_seat_goes() {
    let mut group = Group::new(&[1, 2, 3], &[2, 3, 4], &[1, 2, 3, 4]);
    assert_eq!(
        group.run(),
        [learner(4), Step::TransferTo(id(2)), enter(&[4], &[1]), LEAVE, Step::Report]
    );
}

#[test]
fn a_single_replica_moves_with_its_data() {
    let mut group = Group::new(&[1], &[4], &[1, 4]);
    let handed_over =
        [learner(4), enter(&[4], &[]), LEAVE, Step::TransferTo(id(4)), enter(&[], &[1]), LEAVE];
    assert_eq!(group.run(), [&handed_over[..], &[Step::Report]].concat());
    assert_eq!(group.voters(), [4]);
}

#[test]
fn scaling_down_keeps_a_live_majority() {
    let mut group = Group::new(&[1, 2, 3, 4, 5], &[1], &[1, 2, 3, 4, 5]);
    group.run();
    assert_eq!(group.voters(), [1]);

    // The only one to stay is dead: better too many than none.
    let mut group = Group::new(&[1, 2, 3], &[3], &[1, 2]);
    group.run();
    assert!(group.is_available());
    assert_eq!(group.step(), Step::Nothing(Wait::Quorum));
}

#[test]
fn a_joint_configuration_left_by_another_leader_is_finished_first() {
    let mut group = Group::new(&[2, 3, 4], &[2, 3, 4], &[1, 2, 3, 4]);
    group.membership.voters_outgoing = ids(&[1, 2, 3]);
    group.leader = id(1);
    assert_eq!(group.run(), [Step::TransferTo(id(2)), LEAVE, Step::Report]);
}

#[test]
fn nothing_is_proposed_on_top_of_a_change_or_on_old_knowledge() {
    let group = Group::new(&[1], &[1, 2, 3], &[1, 2, 3]);
    let view = GroupView {
        leader: group.leader,
        membership: &group.membership,
        desired: &group.desired,
        live: &group.live,
        caught_up: &group.caught_up,
        recorded: false,
        meta_current: true,
        in_flight: true,
    };
    assert_eq!(next_step(&view), Step::Nothing(Wait::InFlight));
    let lagging = GroupView { in_flight: false, meta_current: false, ..view };
    assert_eq!(next_step(&lagging), Step::Nothing(Wait::Meta));
}

prop_compose! {
    /// Any configuration that Raft allows, any wish, any servers alive as long as entries can be
    /// committed.
    fn any_group()(
        voters in proptest::collection::btree_set(1_u64..9, 1..6),
        learners in proptest::collection::btree_set(1_u64..9, 0..3),
        outgoing in proptest::option::of(proptest::collection::btree_set(1_u64..9, 1..5)),
        desired in proptest::collection::btree_set(1_u64..9, 1..6),
        live in proptest::collection::btree_set(1_u64..9, 1..9),
        demoted in any::<bool>(),
        leads in 0_usize..9,
    ) -> Option<Group> {
        let all = |set: &BTreeSet<u64>| set.iter().map(|n| ReplicaId(*n)).collect::<Vec<_>>();
        let voters: Vec<_> = voters.into_iter().collect();
        let desired: Vec<_> = desired.into_iter().collect();
        let mut group = Group::new(&voters, &desired, &live.iter().copied().collect::<Vec<_>>());
        let m = &mut group.membership;
        m.voters_outgoing = outgoing.as_ref().map(all).unwrap_or_default();
        m.learners = all(&learners).into_iter().filter(|r| !m.is_voter(*r)).collect();
        if demoted {
            let leaving = m.voters_outgoing.iter().filter(|r| !m.voters.contains(r));
            m.learners_next = leaving.copied().collect();
        }
        let live = |r: &ReplicaId| group.live.contains(r);
        let leaders: Vec<_> = m.all().filter(|r| m.is_voter(*r) && live(r)).collect();
        group.leader = *leaders.get(leads % leaders.len().max(1))?;
        group.is_available().then_some(group)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// While servers come and go, no step costs the group its majority or its leader; once all
    /// desired members are there, the steps reach them and say so.
    #[test]
    fn steps_reach_the_desired_members_without_losing_the_majority(
        group in any_group(),
        weather in proptest::collection::vec((1_u64..9, any::<bool>()), 0..30),
    ) {
        let Some(mut group) = group else { return Ok(()) };
        for (server, up) in weather {
            let before = group.clone();
            if up {
                group.live.insert(id(server));
            } else if group.leader != id(server) {
                group.live.remove(&id(server));
                group.caught_up.remove(&id(server));
            }
            if !group.is_available() {
                // Not what this is about: a failure took the majority, not a step.
                group = before.clone();
            }
            let step = group.step();
            group.apply(&step);
            prop_assert!(group.is_available(), "{step:?} from {before:?}");
            prop_assert!(group.membership.is_voter(group.leader), "{step:?} from {before:?}");
        }
        group.live = ids(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).into_iter().collect();
        group.caught_up.clone_from(&group.live);
        group.run();
        let desired: Vec<_> = group.desired.iter().map(|m| m.replica.0).collect();
        let mut voters = group.voters();
        voters.sort_unstable();
        prop_assert_eq!(voters, desired);
        prop_assert!(group.membership.learners.is_empty() && !group.membership.is_joint());
        prop_assert_eq!(group.recorded.as_ref(), Some(&group.membership));
    }
}

/// Elected in a joint configuration, a leader may commit the end of it that another one proposed, and be out.
#[test]
fn a_leader_that_is_no_voter_hands_over() {
    let mut group = Group::new(&[1, 2, 3], &[1, 2, 3], &[1, 2, 3, 4]);
    group.leader = id(4);
    assert_eq!(group.step(), Step::TransferTo(id(1)));
    group.live = ids(&[4]).into_iter().collect();
    assert_eq!(group.step(), Step::Nothing(Wait::CatchUp(ids(&[1, 2, 3]))));
}
