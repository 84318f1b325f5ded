//! Consumers on the wire, and the rules by which a request becomes a consumer.

mod action;
mod config;
mod conversion;
mod feature;
mod filter;
mod info;
mod naming;
mod update;
mod validation;

pub use action::{Change, ConsumerAction, resolve_change};
pub use config::{
    AckPolicy, ConsumerConfig, CreateRequest, DeliverPolicy, PriorityPolicy, ReplayPolicy,
};
pub use info::{ConsumerInfo, ConsumerList, ConsumerNames, SequenceInfo};
pub use naming::resolve_name;
pub use update::check_update;
pub use validation::{ConsumerBounds, effective_replicas, validate};
