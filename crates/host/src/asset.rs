//! What the WAL keeps beside a group's log: which asset it is, and the configuration that every replica of it
//! starts from.

use bytes::Bytes;
use flotilla_meta::{AssetConfig, AssetName, LiveAsset};
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{GroupId, Membership, StoreId};
use flotilla_stream::{ConsumerConfig, StreamConfig, Timestamp};
use serde::{Deserialize, Serialize};

const ASSET_VERSION: u8 = 1;

/// One asset, as it was created. Its configuration moves on in the machine's state; this one is what the log
/// starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AssetRecord {
    /// The configuration at index 0. A replica that joins later starts from it too, and applies every change
    /// since, or is given a state.
    pub(crate) founding: Membership,
    /// What it is.
    pub(crate) kind: AssetKind,
}

/// What an asset is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AssetKind {
    /// The meta group.
    Meta { cluster: u64, founder: StoreId },
    /// A stream.
    Stream { account: String, created: Timestamp, config: Box<StreamConfig> },
    /// A consumer.
    Consumer {
        account: String,
        stream: String,
        stream_group: GroupId,
        created: Timestamp,
        config: Box<ConsumerConfig>,
    },
}

impl AssetKind {
    /// What meta says that it is. `None` if its name and its configuration are of different kinds.
    pub(crate) fn of(asset: &LiveAsset) -> Option<Self> {
        let today = is_on(Mutation::BegunWithTodaysConfig);
        let config = if today { &asset.config } else { asset.founding_config() };
        Some(match (&asset.name, config) {
            (AssetName::Stream { account, .. }, AssetConfig::Stream(config)) => Self::Stream {
                account: account.clone(),
                created: asset.created,
                config: Box::new(config.clone()),
            },
            (AssetName::Consumer { account, stream, .. }, AssetConfig::Consumer(config)) => {
                Self::Consumer {
                    account: account.clone(),
                    stream: stream.clone(),
                    stream_group: asset.stream,
                    created: asset.created,
                    config: Box::new(config.clone()),
                }
            }
            _ => return None,
        })
    }
}

/// Why a record does not say which asset it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssetRecordError {
    /// The version is not one of ours.
    #[error("the asset record has version {0:?}, this server reads version {ASSET_VERSION}")]
    Version(Option<u8>),
    /// The rest cannot be read.
    #[error("the asset record cannot be read: {0}")]
    Body(#[from] rmp_serde::decode::Error),
}

impl AssetRecord {
    /// What it is, in words.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            AssetKind::Meta { .. } => "the meta group".to_owned(),
            AssetKind::Stream { account, config, .. } => {
                format!("stream '{account} > {}'", config.name)
            }
            AssetKind::Consumer { account, stream, config, .. } => {
                format!("consumer '{account} > {stream} > {}'", config.name)
            }
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = vec![ASSET_VERSION];
        // Plain data into memory: it cannot fail.
        let written = rmp_serde::encode::write_named(&mut bytes, self);
        debug_assert!(written.is_ok());
        // It is kept as long as the replica, without what the writer took beforehand.
        bytes.into_boxed_slice().into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, AssetRecordError> {
        match bytes.split_first() {
            Some((&ASSET_VERSION, body)) => Ok(rmp_serde::from_slice(body)?),
            other => Err(AssetRecordError::Version(other.map(|(v, _)| *v))),
        }
    }
}
