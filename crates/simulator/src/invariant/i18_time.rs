//! No group is in the future: what its leaders stamp, no clock has shown before.

use flotilla_host::StateView;

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct Time;

impl Invariant for Time {
    fn name(&self) -> &'static str {
        "I18 no stamp is from the future"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Replica { store, view, latest, .. } = seen else { return Ok(()) };
        let stamped = match view.state {
            StateView::Stream(stream) => stream.applied_time(),
            StateView::Consumer(consumer) => consumer.applied_time(),
            StateView::Meta(_) => return Ok(()),
        };
        if stamped <= *latest {
            return Ok(());
        }
        let (group, ahead) = (view.group, stamped.since(*latest));
        Err(format!("group {group} on {store} is {ahead} ns ahead of every clock"))
    }
}
