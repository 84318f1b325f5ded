//! Monitoring over HTTP: `/varz`, `/jsz` and `/healthz`, with the field names that nats-server gives them, so that
//! probes, exporters and dashboards made for it work here; and `/metrics`, for Prometheus.
//!
//! The crate knows nothing of a server but its [`Source`]: whoever has the numbers implements it, [`Monitor`] asks
//! it once per request and writes the answer. It keeps no numbers of its own but one count of requests per endpoint.
//!
//! What is reachable is readable, and nothing can be changed through it. There is no authorization, as in the
//! reference: the address to listen on is the operator's to choose.

mod connection;
mod endpoint;
mod healthz;
mod index;
mod jsz;
mod metrics;
mod monitor;
mod query;
mod source;
mod uptime;
mod varz;

pub use healthz::{FaultKind, Health, HealthCheck, HealthFault};
pub use jsz::{
    AccountDetail, JetStreamConfig, JetStreamLimits, JetStreamStats, Jsz, JszOptions, MetaCluster,
    NotMetaLeader, RaftGroupName, StreamDetail,
};
pub use metrics::{JetStreamMetrics, LATENCY_BOUNDS, Latency};
pub use monitor::{BindError, Monitor, MonitorOptions};
pub use source::Source;
pub use uptime::Uptime;
pub use varz::{ClusterVarz, JetStreamVarz, NotConfigured, SlowConsumerStats, Varz};
