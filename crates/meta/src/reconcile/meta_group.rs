//! Who belongs to the meta group itself.

use crate::asset::Member;
use crate::machine::Meta;
use crate::server::Server;

/// The members that the meta group should have: every registered server with JetStream, as in the reference
/// server. Given to [`next_step`](super::next_step) as the desired members; newcomers so become learners, and
/// voters once they caught up, one by one. The meta group's configuration needs no report: pass `recorded: true`,
/// and `meta_current: true`, since its leader's machine is the latest there is once it applied an entry of its term.
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
