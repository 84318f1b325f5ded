//! Where the numbers come from.

use crate::healthz::{HealthCheck, HealthFault};
use crate::jsz::{Jsz, JszOptions, NotMetaLeader};
use crate::metrics::JetStreamMetrics;
use crate::varz::Varz;

/// A server, as far as monitoring looks into it.
///
/// Every method is called on a thread that may block, by several requests at a time. It should read what is at
/// hand, and must not wait for a quorum: a server is asked how it is above all when it is not well.
pub trait Source: Send + Sync + 'static {
    /// General state. What concerns monitoring itself (`http_host`, `http_port`, `http_req_stats`) is filled in by the
    /// caller.
    fn varz(&self) -> Varz;

    /// JetStream's state; `disabled` when the server runs without it.
    ///
    /// # Errors
    /// [`NotMetaLeader`] when `options.leader_only` is set and another server leads.
    fn jsz(&self, options: &JszOptions) -> Result<Jsz, NotMetaLeader>;

    /// What operators watch of JetStream; `None` when the server runs without it.
    fn jetstream_metrics(&self) -> Option<JetStreamMetrics>;

    /// Whether what `check` asks for is well. All that is wrong is told, the worst first.
    ///
    /// # Errors
    /// What is wrong; at least one fault.
    fn healthz(&self, check: &HealthCheck) -> Result<(), Vec<HealthFault>>;
}
