//! The loads by name.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::assets::Assets;
use crate::echo::Echo;
use crate::error::LoadError;
use crate::fanout::Fanout;
use crate::figures::Figures;
use crate::heaviest::Heaviest;
use crate::publish::Publish;
use crate::pull::Pull;
use crate::servers::Servers;

/// How long a load lasts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Before counting begins.
    pub warm: Duration,
    /// While it counts. Loads that have a fixed amount to do may end before.
    pub length: Duration,
}

/// When counting begins and ends: for whoever watches the servers meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It begins now.
    Begin,
    /// It has ended.
    End,
}

/// Tells of both moments when they come.
pub(crate) async fn tell(from: Instant, until: Instant, at: &mut dyn FnMut(Moment)) {
    sleep_until(from).await;
    at(Moment::Begin);
    sleep_until(until).await;
    at(Moment::End);
}

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Its name.
    pub name: &'static str,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Publish(Publish),
    Pull(Pull),
    Fanout(Fanout),
    Echo(Echo),
    Assets(Assets),
    Heaviest(Heaviest),
}

const fn publish(
    name: &'static str,
    (streams, replicas): (usize, usize),
    size: usize,
    in_flight: usize,
) -> Load {
    Load { name, kind: Kind::Publish(Publish { streams, replicas, size, in_flight }) }
}

const fn pull(name: &'static str, batch: usize) -> Load {
    Load { name, kind: Kind::Pull(Pull { replicas: 3, size: 128, batch }) }
}

const fn core(name: &'static str, subscribers: usize, across: bool) -> Load {
    Load { name, kind: Kind::Fanout(Fanout { size: 128, subscribers, across }) }
}

const fn assets(name: &'static str, at_once: usize, consumers: bool) -> Load {
    Load { name, kind: Kind::Assets(Assets { replicas: 3, at_once, consumers }) }
}

const ALL: [Load; 19] = [
    publish("R3 128 B, one in flight", (1, 3), 128, 1),
    publish("R3 128 B, 256 in flight", (1, 3), 128, 256),
    publish("R3 128 B, 1024 in flight", (1, 3), 128, 1024),
    publish("R3 128 B, 4096 in flight", (1, 3), 128, 4096),
    publish("R3 1 KiB, 1024 in flight", (1, 3), 1024, 1024),
    publish("R3 16 KiB, 256 in flight", (1, 3), 16 * 1024, 256),
    publish("R3 128 B, 8 streams", (8, 3), 128, 256),
    publish("R3 128 B, 8 streams, 1024 each", (8, 3), 128, 1024),
    publish("R1 128 B, 1024 in flight", (1, 1), 128, 1024),
    pull("pull R3 128 B, batch 1", 1),
    pull("pull R3 128 B, batch 256", 256),
    core("core 128 B, one subscriber", 1, false),
    core("core 128 B, eight subscribers", 8, false),
    core("core 128 B, across two servers", 1, true),
    Load { name: "core 128 B, request and reply", kind: Kind::Echo(Echo { size: 128 }) },
    assets("create R3 streams, one at a time", 1, false),
    assets("create R3 streams, eight at a time", 8, false),
    assets("create R3 consumers, one at a time", 1, true),
    assets("create R3 consumers, eight at a time", 8, true),
];

impl Load {
    /// All there are, but the heaviest.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.into_iter()
    }

    /// What keeps three servers busy for as long as one likes: eight R3 streams with 1,024 messages of 128 B in flight each,
    /// which keep their newest only, and a consumer of one of them.
    #[must_use]
    pub fn heaviest() -> Self {
        let publish = Publish { streams: 8, replicas: 3, size: 128, in_flight: 1024 };
        let pull = Pull { replicas: 3, size: 128, batch: 256 };
        Self { name: "heaviest", kind: Kind::Heaviest(Heaviest { publish, pull }) }
    }

    /// How many bytes of payload the servers together store for one message, if it is stored.
    #[must_use]
    pub fn stored_bytes(&self) -> Option<usize> {
        match &self.kind {
            Kind::Publish(publish) | Kind::Heaviest(Heaviest { publish, .. }) => {
                Some(publish.size * publish.replicas)
            }
            Kind::Pull(_) | Kind::Fanout(_) | Kind::Echo(_) | Kind::Assets(_) => None,
        }
    }

    /// Puts it on the servers. What it creates there is gone afterwards. `at` hears when counting begins and ends.
    ///
    /// # Errors
    /// The servers do not stand it, or are not fit for it.
    pub async fn run(
        &self,
        servers: &Servers,
        window: Window,
        at: &mut dyn FnMut(Moment),
    ) -> Result<Figures, LoadError> {
        match &self.kind {
            Kind::Publish(publish) => publish.run(servers, window, at).await,
            Kind::Pull(pull) => pull.run(servers, window, at).await,
            Kind::Fanout(fanout) => fanout.run(servers, window, at).await,
            Kind::Echo(echo) => echo.run(servers, window, at).await,
            Kind::Heaviest(heaviest) => heaviest.run(servers, window, at).await,
            Kind::Assets(assets) => assets.run(servers, window, at).await,
        }
    }
}
