//! What monitoring shows from the first moment on: how far the start is, and then the server.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use flotilla_config::Options;
use flotilla_jetstream::Opening;
use flotilla_jsapi::Time;
use flotilla_monitor::{
    FaultKind, HealthCheck, HealthFault, JetStreamMetrics, Jsz, JszOptions, NotMetaLeader, Source,
    Uptime, Varz,
};

use super::identity::{NATS_VERSION, server_name};
use super::{monitoring, process};

/// A server that starts, and the server that it becomes.
pub(super) struct Starting<S> {
    name: String,
    id: String,
    has_jetstream: bool,
    opening: Arc<Opening>,
    started: Instant,
    started_at: Time,
    server: OnceLock<Arc<S>>,
}

impl<S: Source> Starting<S> {
    pub(super) fn new(options: &Options, id: &str) -> Self {
        Self {
            name: server_name(options, id),
            id: id.to_owned(),
            has_jetstream: options.jetstream.is_some(),
            opening: Arc::default(),
            started: Instant::now(),
            started_at: monitoring::now(),
            server: OnceLock::new(),
        }
    }

    /// Where the opening of the store is written down.
    pub(super) fn opening(&self) -> Arc<Opening> {
        Arc::clone(&self.opening)
    }

    /// From now on the server answers for itself.
    pub(super) fn done(&self, server: Arc<S>) {
        drop(self.server.set(server));
    }
}

impl<S: Source> Source for Starting<S> {
    fn varz(&self) -> Varz {
        if let Some(server) = self.server.get() {
            return server.varz();
        }
        Varz {
            server_id: self.id.clone(),
            server_name: self.name.clone(),
            version: NATS_VERSION.to_owned(),
            start: self.started_at,
            now: monitoring::now(),
            uptime: Uptime(self.started.elapsed()),
            mem: process::resident_bytes(),
            ..Varz::default()
        }
    }

    fn jsz(&self, options: &JszOptions) -> Result<Jsz, NotMetaLeader> {
        match self.server.get() {
            Some(server) => server.jsz(options),
            None if options.leader_only => Err(NotMetaLeader),
            None => Ok(Jsz {
                server_id: self.id.clone(),
                now: monitoring::now(),
                disabled: !self.has_jetstream,
                ..Jsz::default()
            }),
        }
    }

    fn jetstream_metrics(&self) -> Option<JetStreamMetrics> {
        self.server.get().and_then(|server| server.jetstream_metrics())
    }

    fn healthz(&self, check: &HealthCheck) -> Result<(), Vec<HealthFault>> {
        if let Some(server) = self.server.get() {
            return server.healthz(check);
        }
        if check.js_server_only {
            return Ok(());
        }
        let why = if self.has_jetstream {
            format!("JetStream is starting: {}", self.opening.stage())
        } else {
            "the server is starting".to_owned()
        };
        Err(vec![HealthFault::new(FaultKind::JetStream, why)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that is well.
    struct Well;

    impl Source for Well {
        fn varz(&self) -> Varz {
            Varz { server_name: "well".to_owned(), ..Varz::default() }
        }

        fn jsz(&self, _: &JszOptions) -> Result<Jsz, NotMetaLeader> {
            Ok(Jsz::default())
        }

        fn jetstream_metrics(&self) -> Option<JetStreamMetrics> {
            None
        }

        fn healthz(&self, _: &HealthCheck) -> Result<(), Vec<HealthFault>> {
            Ok(())
        }
    }

    #[test]
    fn a_server_that_starts_says_how_far_it_is_and_is_well_when_it_has() {
        let (server_name, jetstream) = (Some("S".to_owned()), Some(Default::default()));
        let options = Options { server_name, jetstream, ..Options::default() };
        let starting = Starting::new(&options, "NID");
        let said = |check: &HealthCheck| starting.healthz(check).map_err(|f| f[0].error.clone());
        let reading = "JetStream is starting: its log is being read";
        for check in [
            HealthCheck::default(),
            HealthCheck { js_enabled_only: true, ..HealthCheck::default() },
            HealthCheck { js_meta_only: true, ..HealthCheck::default() },
        ] {
            assert_eq!(said(&check), Err(reading.to_owned()));
        }
        let process_only = HealthCheck { js_server_only: true, ..HealthCheck::default() };
        assert_eq!(said(&process_only), Ok(()));
        assert_eq!(starting.varz().server_name, "S");
        starting.done(Arc::new(Well));
        assert_eq!(said(&HealthCheck::default()), Ok(()));
        assert_eq!(starting.varz().server_name, "well");
    }
}
