//! What an account has and uses.

use std::time::Duration;

use flotilla_host::Answer;
use flotilla_jsapi::{AccountInfo, AccountLimits, ApiError, Tier};
use flotilla_raft::GroupId;
use flotilla_stream::StorageKind;

use super::context::Context;
use super::request::ApiRequest;
use super::stream;

/// How long streams are waited for. Who does not answer by then counts with nothing.
const GATHER_PATIENCE: Duration = Duration::from_secs(1);

/// A stream of the account.
struct Counted {
    group: GroupId,
    storage: StorageKind,
    replicas: u64,
    reserved: u64,
}

/// `INFO`. Bytes are counted once per replica, as the reference server counts them; those in use are what the streams'
/// leaders say.
pub(super) async fn info(context: &Context, request: &ApiRequest) -> Result<AccountInfo, ApiError> {
    context.current().await?;
    let account = request.account.name();
    let (streams, consumers) = context.with(|meta| {
        let consumers: usize = meta.streams_of(account).map(|(_, s)| s.consumers.len()).sum();
        let streams = meta.streams_of(account).map(|(_, asset)| Counted {
            group: asset.group.id,
            storage: asset.config.storage,
            replicas: asset.config.replicas.into(),
            reserved: asset.config.max_bytes.unwrap_or(0),
        });
        (streams.collect::<Vec<_>>(), consumers as u64)
    })?;
    let questions = streams.iter().map(|s| (s.group, stream::plain_info())).collect();
    let answers = context.gather(questions, request.within(GATHER_PATIENCE)).await;
    let limits = AccountLimits::clone(&request.limits);
    let mut usage = Tier { streams: streams.len() as u64, consumers, limits, ..Tier::default() };
    for (counted, answer) in streams.iter().zip(answers) {
        let used = match answer {
            Some(Answer::Stream(stream)) => stream.bytes,
            _ => 0,
        };
        let (total, reserved) = match counted.storage {
            StorageKind::File => (&mut usage.storage, &mut usage.reserved_storage),
            StorageKind::Memory => (&mut usage.memory, &mut usage.reserved_memory),
        };
        *total = total.saturating_add(used.saturating_mul(counted.replicas));
        *reserved = reserved.saturating_add(counted.reserved.saturating_mul(counted.replicas));
    }
    let domain = context.options.domain.clone();
    Ok(AccountInfo { usage, domain, api: request.counters.stats(), ..AccountInfo::default() })
}
