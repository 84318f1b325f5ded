//! Registering with the meta group: at every start, whether the store is new to it or not.

use std::time::Duration;

use flotilla_host::{Answer, Input, Join, MetaRequest, Request};
use flotilla_raft::{GroupId, StoreId};
use tokio::time::{sleep, timeout};

use crate::entry::Fleet;
use crate::store::JetStreamLink;

/// How long one server may take to answer.
const ASK: Duration = Duration::from_secs(2);

/// Pause after all were asked in vain.
const PAUSE: Duration = Duration::from_millis(200);

/// Registers this server with the meta group of `cluster`, or of whichever it finds, and gives its shard what it needs
/// to take part. Tries until it succeeds: before that, this server does not know who leads the meta group, and may be
/// the first that could.
pub(crate) async fn register(fleet: &dyn Fleet, link: &JetStreamLink, cluster: Option<u64>) {
    // A store that was removed comes back by being started again, and not otherwise.
    let register = MetaRequest::Register { info: link.info.clone(), rejoin: true };
    let mut complaint = None;
    loop {
        for store in candidates(fleet, link) {
            let request = Request::Meta(register.clone());
            let answer = timeout(ASK, link.jetstream.ask(store, GroupId::META, request)).await;
            match answer.ok().flatten() {
                Some(Answer::Registered { cluster: found, replica, founding })
                    if cluster.is_none_or(|cluster| cluster == found) =>
                {
                    link.jetstream.input(Input::Join(Join { cluster: found, replica, founding }));
                    fleet.belongs(found);
                    log::info!("Registered with cluster {found:016x} as replica {replica}");
                    return;
                }
                Some(Answer::Error(error)) if complaint.as_ref() != Some(&error) => {
                    log::error!("The cluster does not take this server: {}", error.description);
                    complaint = Some(error);
                }
                _ => {}
            }
        }
        sleep(PAUSE).await;
    }
}

/// Whom to ask, most promising first: the leader if it is known, this server, everybody else.
fn candidates(fleet: &dyn Fleet, link: &JetStreamLink) -> Vec<StoreId> {
    let mut candidates: Vec<StoreId> = link.leaders.of(GroupId::META).into_iter().collect();
    for store in [link.info.store].into_iter().chain(fleet.stores().into_keys()) {
        if !candidates.contains(&store) {
            candidates.push(store);
        }
    }
    candidates
}
