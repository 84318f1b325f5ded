//! What all connections of a listener share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use flotilla_proto::Info;

use super::connection::ConnectionInfo;
use super::options::ClientOptions;
use super::registry::Registry;
use crate::auth::Authenticator;
use crate::lock::{read, write};
use crate::router::{CloseReason, RouterHandle};

/// Hears of clients that come and go.
pub trait ConnectionObserver: Send + Sync {
    /// A client has shown who it is. Called once for a connection, on its task: it must not block.
    fn connected(&self, connection: &ConnectionInfo);

    /// A connection has ended; it may never have been [connected](Self::connected), for example for want of
    /// credentials. Called on its task: it must not block.
    fn disconnected(&self, connection: &ConnectionInfo, reason: CloseReason);
}

/// What the configuration says, as one value that is replaced as a whole.
pub(super) struct Settings {
    pub(super) options: ClientOptions,
    pub(super) authenticator: Authenticator,
}

impl Settings {
    fn new(options: ClientOptions) -> Self {
        Self { authenticator: Authenticator::new(&options.auth), options }
    }
}

pub(super) struct Service {
    pub(super) router: RouterHandle,
    pub(super) registry: Arc<Registry>,
    pub(super) observer: OnceLock<Arc<dyn ConnectionObserver>>,
    settings: RwLock<Arc<Settings>>,
    /// Grows with every change of `settings`, so that a session need not take the lock to see that there was none.
    settings_version: AtomicU64,
    /// What clients are told, before it is made out to one of them.
    info: RwLock<Arc<Info>>,
}

impl Service {
    /// `own_address` is where the listener really listens.
    pub(super) fn new(
        options: ClientOptions,
        router: RouterHandle,
        own_address: (String, u16),
    ) -> Self {
        let settings = Settings::new(options);
        let (host, port) = settings.options.advertise.clone().unwrap_or(own_address);
        let mut info =
            Info { proto: 1, headers: true, host, port, ..settings.options.info.clone() };
        settings.tell(&mut info);
        Self {
            router,
            registry: Arc::default(),
            observer: OnceLock::new(),
            settings: RwLock::new(Arc::new(settings)),
            settings_version: AtomicU64::new(0),
            info: RwLock::new(Arc::new(info)),
        }
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&read(&self.settings))
    }

    pub(super) fn settings_version(&self) -> u64 {
        self.settings_version.load(Ordering::Acquire)
    }

    /// Replaces the settings, and what clients are told of them.
    pub(super) fn change_settings(&self, options: ClientOptions) {
        let settings = Arc::new(Settings::new(options));
        *write(&self.settings) = Arc::clone(&settings);
        self.settings_version.fetch_add(1, Ordering::Release);
        self.change_info(|info| settings.tell(info));
    }

    pub(super) fn info(&self) -> Arc<Info> {
        Arc::clone(&read(&self.info))
    }

    /// Changes what clients are told, and tells those who take it, if it differs.
    pub(super) fn change_info(&self, change: impl FnOnce(&mut Info)) {
        let changed = {
            let mut current = write(&self.info);
            let mut changed = Info::clone(&current);
            change(&mut changed);
            if changed == **current {
                return;
            }
            *current = Arc::new(changed);
            Arc::clone(&current)
        };
        for connection in self.registry.all() {
            connection.offer_info(&changed);
        }
    }
}

impl Settings {
    /// Writes into `info` what follows from the settings.
    fn tell(&self, info: &mut Info) {
        info.auth_required = self.authenticator.is_required();
        info.max_payload = self.options.max_payload as u64;
    }
}
