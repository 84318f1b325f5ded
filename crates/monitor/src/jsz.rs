//! `/jsz`: JetStream on this server. Field names, their order and units are the reference's.

use flotilla_jsapi::cluster::{ClusterInfo, PeerInfo};
use flotilla_jsapi::consumer::ConsumerInfo;
use flotilla_jsapi::stream::{StreamConfig, StreamState};
use flotilla_jsapi::{ApiStats, Time};
use serde::{Deserialize, Serialize};

use crate::query::{BadQuery, Query};

/// How many accounts are described at once unless the request says otherwise.
const ACCOUNTS: usize = 1024;

/// What `/jsz` was asked for, by a query or by the JSON body of a request to the system account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "JszBody")]
pub struct JszOptions {
    /// Describe this account only.
    pub account: Option<String>,
    /// Describe accounts.
    pub accounts: bool,
    /// Describe the streams in them.
    pub streams: bool,
    /// Describe the consumers of these, but for the direct ones.
    pub consumers: bool,
    /// Describe direct consumers too.
    pub direct_consumers: bool,
    /// Give the configuration of streams and consumers.
    pub config: bool,
    /// Answer only as leader of the meta group.
    pub leader_only: bool,
    /// Describe only streams that are led here.
    pub stream_leader_only: bool,
    /// Name the Raft groups.
    pub raft: bool,
    /// How many accounts to leave out, ordered by name.
    pub offset: usize,
    /// How many accounts to describe at most.
    pub limit: usize,
}

/// The options as a request to the system account writes them, and before it is added what one implies of others.
/// Fields of other requests may stand beside them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JszBody {
    account: String,
    accounts: bool,
    streams: bool,
    #[serde(rename = "consumer")]
    consumers: bool,
    #[serde(rename = "direct_consumer")]
    direct_consumers: bool,
    config: bool,
    leader_only: bool,
    stream_leader_only: bool,
    raft: bool,
    offset: i64,
    limit: i64,
}

impl From<JszBody> for JszOptions {
    fn from(body: JszBody) -> Self {
        let account = Some(body.account).filter(|account| !account.is_empty());
        let streams = body.streams || body.consumers;
        Self {
            accounts: body.accounts || (streams && account.is_none()),
            streams,
            consumers: body.consumers,
            direct_consumers: body.direct_consumers,
            config: body.config,
            leader_only: body.leader_only,
            stream_leader_only: body.stream_leader_only,
            raft: body.raft,
            offset: usize::try_from(body.offset).unwrap_or(0),
            limit: match body.limit {
                0 => ACCOUNTS,
                // A negative limit is none.
                limit => usize::try_from(limit).unwrap_or(usize::MAX),
            },
            account,
        }
    }
}

impl JszOptions {
    /// Reads the query, and adds what one wish implies of others.
    pub(crate) fn read(query: &Query) -> Result<Self, BadQuery> {
        let body = JszBody {
            account: query.text("acc").unwrap_or_default().to_owned(),
            accounts: query.boolean("accounts")?,
            streams: query.boolean("streams")?,
            consumers: query.boolean("consumers")?,
            direct_consumers: query.boolean("direct-consumers")?,
            config: query.boolean("config")?,
            leader_only: query.boolean("leader-only")?,
            stream_leader_only: query.boolean("stream-leader-only")?,
            raft: query.boolean("raft")?,
            offset: query.integer("offset")?,
            limit: query.integer("limit")?,
        };
        Ok(body.into())
    }

    /// Which of the accounts are to be described, in which order. An account that was asked for by name and is not
    /// there is as if it was not asked for.
    pub fn select<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut names: Vec<&str> = names.into_iter().collect();
        if let Some(account) = &self.account
            && let Some(name) = names.iter().find(|name| *name == account)
        {
            return vec![name];
        }
        if !self.accounts {
            return Vec::new();
        }
        names.sort_unstable();
        names.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

/// Another server leads the meta group, and only its leader was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filtered response: not leader")]
pub struct NotMetaLeader;

/// The answer to `/jsz`. The totals count everything on this server, whatever is described.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Jsz {
    /// What this server uses.
    #[serde(flatten)]
    pub stats: JetStreamStats,
    /// The server's id.
    pub server_id: String,
    /// The present time.
    pub now: Time,
    /// The server runs without JetStream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// What JetStream may use, and where.
    pub config: JetStreamConfig,
    /// Limits of the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JetStreamLimits>,
    /// Streams with a replica here.
    pub streams: u64,
    /// Those of them that are led here; given with `raft`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams_leader: Option<u64>,
    /// Consumers with a replica here.
    pub consumers: u64,
    /// Those of them that are led here; given with `raft`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers_leader: Option<u64>,
    /// Messages in these streams.
    pub messages: u64,
    /// Bytes in these streams.
    pub bytes: u64,
    /// The meta group, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_cluster: Option<MetaCluster>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub account_details: Vec<AccountDetail>,
    /// Accounts with JetStream.
    pub total: u64,
}

/// What JetStream may use, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JetStreamConfig {
    /// Bytes in memory.
    pub max_memory: i64,
    /// Bytes on disk.
    pub max_storage: i64,
    /// The directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub store_dir: String,
    /// How often everything is synced, in nanoseconds; left out when every write is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<u64>,
    /// Whether every write is synced before it is acknowledged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sync_always: bool,
    /// The domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The prefix of the tag that differs between the replicas of one asset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_tag: Option<String>,
}

/// Limits of the whole server; none of them is left out of the answer but those that are not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JetStreamLimits {
    /// The most acknowledgements that one consumer may have outstanding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ack_pending: Option<u64>,
    /// The most streams and consumers with more than one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ha_assets: Option<u64>,
    /// The longest duplicate window, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duplicate_window: Option<u64>,
}

/// What JetStream uses, on a server or by an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JetStreamStats {
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk.
    pub storage: u64,
    /// Bytes in memory that streams are sure to get.
    pub reserved_memory: u64,
    /// Bytes on disk that streams are sure to get.
    pub reserved_storage: u64,
    /// Accounts with JetStream.
    pub accounts: u64,
    /// Streams and consumers with more than one replica.
    pub ha_assets: u64,
    /// Requests.
    pub api: ApiStats,
}

/// The meta group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetaCluster {
    /// The cluster's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The server that leads; none during an election.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The leader's id for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// All members but the leader; the leader alone knows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<PeerInfo>,
    /// How many members there are.
    pub cluster_size: u64,
    /// Requests that are not worked on yet.
    pub pending: u64,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AccountDetail {
    /// Its name.
    pub name: String,
    /// Its id; the name, for accounts of the configuration.
    pub id: String,
    /// What it uses here.
    #[serde(flatten)]
    pub stats: JetStreamStats,
    /// Its streams, when they were asked for.
    #[serde(rename = "stream_detail", skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamDetail>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StreamDetail {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Time,
    /// Where its replicas are, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    /// Its configuration, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<StreamConfig>,
    /// What the replica here holds.
    pub state: StreamState,
    /// Its consumers, when they were asked for.
    #[serde(rename = "consumer_detail", skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<ConsumerInfo>,
    /// Its Raft group, when it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_raft_group: Option<String>,
    /// The Raft groups of its consumers, when they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub consumer_raft_groups: Vec<RaftGroupName>,
}

/// Which Raft group a consumer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RaftGroupName {
    /// The consumer.
    pub name: String,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raft_group: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> JszOptions {
        JszOptions::read(&Query::of(pairs)).unwrap()
    }

    #[test]
    fn consumers_imply_streams_and_streams_imply_accounts_unless_one_is_named() {
        let all = read(&[("consumers", "true")]);
        assert!(all.consumers && all.streams && all.accounts);
        let one = read(&[("streams", "1"), ("acc", "A")]);
        assert!(one.streams && !one.accounts);
        assert_eq!(one.account.as_deref(), Some("A"));
    }

    #[test]
    fn a_body_says_the_same_as_a_query_and_may_say_more() {
        let body =
            r#"{"consumer":true,"leader_only":true,"raft":true,"limit":-1,"server_name":"n1"}"#;
        let asked: JszOptions = serde_json::from_str(body).unwrap();
        let query = [("consumers", "1"), ("leader-only", "1"), ("raft", "1"), ("limit", "-1")];
        assert_eq!(asked, read(&query));
        assert_eq!(serde_json::from_str::<JszOptions>("{}").unwrap(), read(&[]));
        assert!(serde_json::from_str::<JszOptions>(r#"{"raft":"yes"}"#).is_err());
    }

    #[test]
    fn the_limit_is_a_page_by_default_and_none_when_negative() {
        assert_eq!(read(&[]).limit, 1024);
        assert_eq!(read(&[("limit", "-1")]).limit, usize::MAX);
        assert_eq!(read(&[("offset", "-3")]).offset, 0);
    }

    #[test]
    fn accounts_are_paged_by_name_and_one_that_is_named_comes_alone() {
        let names = ["C", "A", "B"];
        assert!(read(&[]).select(names).is_empty());
        assert_eq!(read(&[("accounts", "true")]).select(names), ["A", "B", "C"]);
        let page = read(&[("accounts", "true"), ("offset", "1"), ("limit", "1")]);
        assert_eq!(page.select(names), ["B"]);
        assert_eq!(read(&[("acc", "C")]).select(names), ["C"]);
        assert!(read(&[("acc", "D")]).select(names).is_empty());
    }
}
