//! Faults that need each other: each alone does no harm, and by chance they seldom meet.

use flotilla_disk::Seeded;
use flotilla_host::{MILLISECOND, SECOND};
use flotilla_raft::StoreId;

use super::{Ambush, FaultKind, FaultPlan, Moment, Strike, Who, all};
use crate::plan::index;

/// For three plans in five, more faults beside those that were drawn one by one.
pub(crate) fn draw_together(random: &mut Seeded, servers: u64, lasts: u64) -> Vec<FaultPlan> {
    match random.below(10) {
        0 => failed_sync_and_power_loss(random, servers, lasts),
        1..=3 => vec![ambush(random, Moment::Elected, lasts)],
        4 => vec![ambush(random, Moment::Destroyed, lasts)],
        5 => vec![ambush(random, Moment::Reconfigured, lasts)],
        _ => Vec::new(),
    }
}

/// What a sync that failed should have written is in the page cache, and looks as if it were on the disk, until the power
/// goes.
fn failed_sync_and_power_loss(random: &mut Seeded, servers: u64, lasts: u64) -> Vec<FaultPlan> {
    let mut faults = Vec::new();
    let mut at = 2 * SECOND;
    while at < lasts {
        let store = StoreId(1 + random.below(servers));
        let who = || Who::These(vec![store]);
        let down = (20 + random.below(500)) * MILLISECOND;
        let calls = 1 + random.below(4);
        faults.push(FaultPlan { at, kind: FaultKind::SyncError { who: who(), calls, down } });
        at += down + random.below(1_500) * MILLISECOND;
        let who = if random.one_in(3) { all(servers) } else { who() };
        faults.push(FaultPlan { at, kind: FaultKind::PowerLoss { who, down } });
        at += SECOND + random.below(4_000) * MILLISECOND;
    }
    faults
}

/// Who was just elected has much that nobody else has, and so has who just knows of a change; a replica that is gone may
/// have left something.
fn ambush(random: &mut Seeded, moment: Moment, lasts: u64) -> FaultPlan {
    let strikes = match moment {
        Moment::Elected => {
            &[Strike::Kill, Strike::Kill, Strike::PowerLoss, Strike::Cut, Strike::HungDisk][..]
        }
        Moment::Reconfigured => {
            &[Strike::Kill, Strike::PowerLoss, Strike::Cut, Strike::HungDisk, Strike::HungDisk]
        }
        Moment::Destroyed => &[Strike::Kill, Strike::PowerLoss, Strike::SlowDisk, Strike::HungDisk],
    };
    let ambush = Ambush {
        moment,
        times: 2 + random.below(30),
        within: [1, 3, 20][index(random.below(3))] * MILLISECOND,
        strike: strikes[index(random.below(strikes.len() as u64))],
        lasting: (50 + random.below(1_000)) * MILLISECOND,
    };
    FaultPlan { at: 2 * SECOND + random.below(lasts / 4), kind: FaultKind::Ambush(ambush) }
}
