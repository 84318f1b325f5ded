//! What needs servers of its own, because it kills them, fills them or slows them down.

use std::time::Duration;

use anyhow::Result;
use flotilla_loads::Figures;
use flotilla_tests::{Cluster, Flavour, Plan};

use crate::{
    Arguments, catch_up, failover, floor, groups, heaviest, one_server, recovery, slow_disk,
};

/// How long each part of `floor` lasts if nothing else is said.
const FLOOR: Duration = Duration::from_secs(5);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    Failover,
    Groups,
    Recovery,
    CatchUp,
    Floor,
    Heaviest,
    OneServer,
    SlowDisk,
}

impl Scene {
    pub(crate) const ALL: [Self; 8] = [
        Self::Failover,
        Self::Groups,
        Self::Recovery,
        Self::CatchUp,
        Self::Floor,
        Self::Heaviest,
        Self::OneServer,
        Self::SlowDisk,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failover => failover::NAME,
            Self::Groups => groups::NAME,
            Self::Recovery => recovery::NAME,
            Self::CatchUp => catch_up::NAME,
            Self::Floor => floor::NAME,
            Self::Heaviest => heaviest::NAME,
            Self::OneServer => one_server::NAME,
            Self::SlowDisk => slow_disk::NAME,
        }
    }

    /// Whether it is played if none is named: not those that last for long, or need root.
    pub(crate) fn is_usual(self) -> bool {
        !matches!(self, Self::Heaviest | Self::OneServer | Self::SlowDisk)
    }

    /// Starts servers, and ends them afterwards. What was measured before an error is told, too, where it took long.
    pub(crate) async fn play(
        self,
        arguments: &Arguments,
        flavour: Flavour,
        figures: &mut Figures,
    ) -> Result<()> {
        let mut cluster = start(flavour, if self == Self::OneServer { 1 } else { 3 }).await?;
        let length = arguments.seconds.map(Duration::from_secs);
        *figures = match self {
            Self::Failover => failover::measure(&mut cluster, arguments.kills).await?,
            Self::Groups => groups::measure(&mut cluster, arguments.streams).await?,
            Self::Recovery => recovery::measure(&mut cluster, arguments.messages).await?,
            Self::CatchUp => catch_up::measure(&mut cluster, arguments.messages).await?,
            Self::Floor => floor::measure(cluster.dir(), length.unwrap_or(FLOOR))?,
            Self::Heaviest => {
                heaviest::measure(&cluster, length.unwrap_or(heaviest::LENGTH)).await?
            }
            Self::OneServer => {
                one_server::measure(&mut cluster, arguments.groups, figures).await?;
                std::mem::take(figures)
            }
            Self::SlowDisk => slow_disk::measure(&cluster).await?,
        };
        cluster.kill_all().await
    }
}

/// So many servers, with their defaults.
pub(crate) async fn start(flavour: Flavour, servers: usize) -> Result<Cluster> {
    let mut plan = Plan::new(servers)?;
    plan.flavour = flavour;
    plan.shards.clear();
    Cluster::start(plan).await
}
