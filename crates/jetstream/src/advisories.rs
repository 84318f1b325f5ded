//! Advisories: told to whoever listens, in the system account, and in the account of the asset that they are about.

use std::sync::Arc;

use flotilla_host::Notice;
use flotilla_jsapi::Time;
use flotilla_jsapi::advisory::{ADVISORY_ID_LEN, Advisory, AdvisoryEvent, AssetReplica};
use flotilla_meta::AssetName;
use flotilla_raft::{GroupId, ReplicaId};
use flotilla_server_core::RouterHandle;
use rand::RngExt as _;
use rand::distr::Alphanumeric;
use tokio::runtime::Handle;

use crate::clock::wall;
use crate::directory::Directory;

/// Who this server is, in what it tells.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) server: String,
    pub(crate) server_id: String,
    pub(crate) cluster: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) system_account: String,
}

/// The way of advisories to their listeners.
pub(crate) struct Advisories {
    sender: Sender,
    router: RouterHandle,
    directory: Arc<Directory>,
    runtime: Handle,
}

impl Advisories {
    pub(crate) fn new(
        sender: Sender,
        router: RouterHandle,
        directory: Arc<Directory>,
        runtime: Handle,
    ) -> Self {
        Self { sender, router, directory, runtime }
    }

    /// Tells of a notice, if it is one to tell of.
    pub(crate) fn notice(&self, notice: &Notice) {
        match notice {
            Notice::Damaged { group, replica, what, .. } => {
                let (at, reason) = (self.replica(*group, *replica), what.clone());
                self.tell(at.account.clone(), AdvisoryEvent::Damaged { at, reason });
            }
            Notice::Repaired { group, replica, what, .. } => {
                let (at, reason) = (self.replica(*group, *replica), what.clone());
                self.tell(at.account.clone(), AdvisoryEvent::Repaired { at, reason });
            }
            _ => {}
        }
    }

    /// The names of a replica's asset, as far as this server knows it.
    fn replica(&self, group: GroupId, replica: ReplicaId) -> AssetReplica {
        let (group_text, replica) = (group.to_string(), replica.0);
        let unnamed = || AssetReplica { group: group_text, replica, ..AssetReplica::default() };
        let name = self.directory.with(|meta| meta.name_of(group).cloned()).flatten();
        let (account, stream, consumer) = match name {
            Some(AssetName::Stream { account, stream }) => (account, stream, None),
            Some(AssetName::Consumer { account, stream, consumer }) => {
                (account, stream, Some(consumer))
            }
            None => return unnamed(),
        };
        AssetReplica { account: Some(account), stream: Some(stream), consumer, ..unnamed() }
    }

    /// Tells the system account, and `account`. Whoever calls does not wait for the listeners.
    pub(crate) fn tell(&self, account: Option<String>, event: AdvisoryEvent) {
        let Sender { server, server_id, cluster, domain, system_account } = self.sender.clone();
        let subject = event.subject();
        let advisory = Advisory {
            kind: event.kind(),
            id: id(),
            timestamp: Time::from(wall()),
            server,
            server_id,
            cluster,
            domain,
            event,
        };
        let Ok(body) = serde_json::to_vec(&advisory) else { return };
        let (router, body) = (self.router.clone(), body.into());
        self.runtime.spawn(async move {
            for account in [Some(system_account), account].into_iter().flatten() {
                router.publish_internal(&router.account(&account), &subject, None, None, &body);
            }
        });
    }
}

fn id() -> String {
    rand::rng().sample_iter(Alphanumeric).take(ADVISORY_ID_LEN).map(char::from).collect()
}
