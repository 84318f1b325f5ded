//! Who belongs to the meta group itself.

use crate::asset::Member;
use crate::machine::Meta;
use crate::server::Server;

/// The members that the meta group should have: every registered server with JetStream, as in the
/// reference server. Given to [`next_step`](super::next_step) as the desired members; newcomers so
/// become learners, and voters once they caught up, one by one. The meta group's configuration
/// needs no report: pass `recorded: true`, and `meta_current: true`, since its leader's machine is
/// the latest there is once it applied an entry of its term.
#[must_use]
pub fn meta_members(meta: &Meta) -> Vec<Member> {
    let mut members: Vec<_> = meta
        .servers()
        .filter(|s| Server::takes_assets(s))
        .map(|s| Member { replica: s.replica, store: s.store })
        .collect();
    members.sort_unstable();
    members
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use flotilla_raft::{Change, Membership, ReplicaId, StoreId};

    use super::*;
    use crate::command::Command;
    use crate::fixture::{Log, server};
    use crate::reconcile::{GroupView, Step, next_step};

    #[test]
    fn registered_servers_become_learners_and_then_voters() {
        let mut log = Log::new(3);
        let mut plain = server(4, "n4");
        plain.limits.jetstream = false;
        log.ok(Command::RegisterServer { info: plain, rejoin: false });
        log.ok(Command::RemoveServer { store: StoreId(3) });
        let desired = meta_members(&log.meta);
        assert_eq!(desired.iter().map(|m| m.store).collect::<Vec<_>>(), [StoreId(1), StoreId(2)]);
        assert_eq!(desired[0].replica, Meta::FOUNDER);

        let newcomer = desired[1];
        let mut membership = Membership { voters: vec![Meta::FOUNDER], ..Membership::default() };
        let live: BTreeSet<ReplicaId> = desired.iter().map(|m| m.replica).collect();
        let step = |membership: &Membership| {
            next_step(&GroupView {
                leader: Meta::FOUNDER,
                membership,
                desired: &desired,
                live: &live,
                caught_up: &live,
                recorded: true,
                meta_current: true,
                in_flight: false,
            })
        };
        let Member { replica, store } = newcomer;
        assert_eq!(step(&membership), Step::Propose(Change::AddLearner { replica, store }));
        membership.learners.push(replica);
        let enter = Change::Enter { promote: vec![replica], remove: vec![] };
        assert_eq!(step(&membership), Step::Propose(enter));
    }
}
