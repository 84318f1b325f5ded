//! As much as the servers take, for a long time.

use futures::future::try_join_all;
use tokio::time::Instant;

use crate::api::fit;
use crate::error::LoadError;
use crate::figures::Figures;
use crate::load::{Moment, Window, tell};
use crate::publish::Publish;
use crate::pull::Pull;
use crate::servers::{Address, Servers};
use crate::wire::{Connection, random};

/// How much each stream keeps: without a limit the disk would be full before the end.
const KEPT: i64 = 128 << 20;

/// Publishers, each with a stream of its own, and who takes the messages of the first one.
#[derive(Clone, Debug)]
pub(crate) struct Heaviest {
    pub(crate) publish: Publish,
    pub(crate) pull: Pull,
}

impl Heaviest {
    pub(crate) async fn run(
        &self,
        servers: &Servers,
        window: Window,
        at: &mut dyn FnMut(Moment),
    ) -> Result<Figures, LoadError> {
        let replicas = self.publish.replicas;
        fit(servers, replicas)?;
        let mut client = Connection::open(servers.first()).await?;
        let run = random();
        let stream = |number| format!("BENCH_{run:x}_{number}");
        let mut leaders = Vec::new();
        for number in 0..self.publish.streams {
            let (stream, subject) = (stream(number), format!("bench.{run:x}.{number}"));
            client.create_bounded_stream(&stream, &subject, replicas, KEPT).await?;
            leaders.push((subject, client.stream_leader(&stream, servers).await?));
        }
        let read = stream(0);
        client.create_consumer(&read, "C", self.pull.replicas).await?;
        let reader = client.consumer_leader(&read, "C", servers).await?;
        let from = Instant::now() + window.warm;
        let until = from + window.length;
        let publishers = leaders
            .iter()
            .map(|(subject, leader)| self.publish.publish(subject, leader, from, until));
        let (seen, taken, ()) = tokio::join!(
            try_join_all(publishers),
            self.take(&read, &reader, until),
            tell(from, until, at)
        );
        // On the first one nobody has answered the server's PINGs meanwhile: it may be closed.
        let mut client = Connection::open(servers.first()).await?;
        for number in 0..self.publish.streams {
            client.delete_stream(&stream(number)).await?;
        }
        let mut figures = self.publish.figures(&seen?, window);
        figures.add("taken/s", taken? / (window.warm + window.length).as_secs_f64());
        Ok(figures)
    }

    /// Takes messages until then, however long nothing comes in between. Returns how many.
    async fn take(&self, stream: &str, leader: &Address, until: Instant) -> Result<f64, LoadError> {
        let mut taken = 0.0;
        while Instant::now() < until {
            match self.pull.take(stream, leader, u64::MAX, until).await {
                Ok(figures) => taken += figures.get("messages").unwrap_or_default(),
                // A pull request may be lost with the leader that had it.
                Err(LoadError::Silent { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }
}
