//! Streams on the wire, and the rules by which a request becomes a stream.

mod config;
mod conversion;
mod feature;
mod info;
mod request;
mod update;
mod validation;

pub use config::{
    Compression, ConsumerLimits, Discard, PersistMode, Retention, Storage, StreamConfig,
};
pub use info::{
    LostMessages, StreamAlternate, StreamCreated, StreamDescription, StreamInfo, StreamList,
    StreamNames, StreamState,
};
pub use request::{InfoRequest, ListRequest, PurgeRequest, Purged};
pub use update::{check_update, validate_update};
pub use validation::{Accepted, StreamLimits, Warning, check_name, validate_create};

pub(crate) use conversion::{or_unlimited, or_zero, positive};
pub(crate) use validation::{MAX_DESCRIPTION, MAX_METADATA, MAX_NAME, is_asset_name};
