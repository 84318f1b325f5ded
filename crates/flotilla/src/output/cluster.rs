//! The cluster part of a stream's or consumer's information: who leads, who follows, and how far behind.

use super::block::Block;
use super::duration;
use super::paint::Paint;
use super::quantity;
use crate::reply::Fields;

/// Adds the section `Cluster Information`; a server without a cluster has none to show.
pub(crate) fn describe(block: &mut Block, cluster: Fields<'_>, paint: Paint) {
    if cluster.text("name").is_empty() && cluster.list("replicas").next().is_none() {
        return;
    }
    block.heading("Cluster Information");
    block.field_if("Name", cluster.text("name"));
    block.field_if("Raft Group", cluster.text("raft_group"));
    let leader = match cluster.text("leader") {
        "" => paint.bad("none, an election is due"),
        leader => leader.to_owned(),
    };
    block.field("Leader", leader);
    for replica in cluster.list("replicas") {
        block.field("Replica", follower(replica, paint));
    }
}

/// The number of members a group's information names: its leader and its followers.
pub(crate) fn size(cluster: Fields<'_>) -> usize {
    cluster.list("replicas").count() + usize::from(!cluster.text("leader").is_empty())
}

/// The names of all members, followers first: those are the ones people ask for.
pub(crate) fn members(cluster: Fields<'_>) -> Vec<&str> {
    let followers = cluster.list("replicas").map(|replica| replica.text("name"));
    followers.chain([cluster.text("leader")]).filter(|name| !name.is_empty()).collect()
}

/// `n4-c1, current, seen 0.07s ago`
fn follower(replica: Fields<'_>, paint: Paint) -> String {
    let state =
        if replica.flag("current") { paint.good("current") } else { paint.warning("outdated") };
    let mut text = format!("{}, {state}", replica.text("name"));
    if replica.flag("offline") {
        text.push_str(", ");
        text.push_str(&paint.bad("OFFLINE"));
    }
    match replica.number("active") {
        0 => text.push_str(", not seen"),
        active => text.push_str(&format!(", seen {} ago", duration::ago(active))),
    }
    match replica.number("lag") {
        0 => {}
        1 => text.push_str(", 1 operation behind"),
        lag => text.push_str(&format!(", {} operations behind", quantity::count(lag))),
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;
    use serde_json::json;

    use super::*;

    fn render(cluster: &serde_json::Value) -> String {
        let mut block = Block::default();
        describe(&mut block, Fields(cluster), Paint::new(ColorChoice::Never, false));
        block.render()
    }

    #[test]
    fn leader_and_followers_read_as_on_the_administration_page() {
        let cluster = json!({"name": "C1", "leader": "n1-c1", "replicas": [
            {"name": "n4-c1", "current": true, "active": 70_000_000},
            {"name": "n3-c1", "current": false, "offline": true, "active": 0, "lag": 1234},
        ]});
        let expected = "Cluster Information:\n\n\
            \x20                Name: C1\n               Leader: n1-c1\n\
            \x20             Replica: n4-c1, current, seen 0.07s ago\n\
            \x20             Replica: n3-c1, outdated, OFFLINE, not seen, 1,234 operations behind\n";
        assert_eq!(render(&cluster), expected);
        assert_eq!(size(Fields(&cluster)), 3);
        assert_eq!(members(Fields(&cluster)), ["n4-c1", "n3-c1", "n1-c1"]);
    }

    #[test]
    fn a_group_without_a_leader_says_so() {
        let cluster = json!({"name": "C1", "replicas": [{"name": "n2-c1", "current": true}]});
        assert!(render(&cluster).contains("Leader: none"));
    }

    #[test]
    fn a_server_of_its_own_has_no_cluster_to_show() {
        assert_eq!(render(&json!({"leader": "n1"})), "");
    }
}
