//! Publishing into a stream of three replicas, at its leader.

use std::time::Duration;

use anyhow::{Context, Result};
use flotilla_tests::cluster::{ELECTION, create_stream, request, stream_group};
use flotilla_tests::{Cluster, eventually};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::load::Load;
use crate::processes::Processes;
use crate::report::Figures;

/// Before counting begins.
const WARM: Duration = Duration::from_secs(2);
/// After a load, for what the servers still have to write.
const SETTLE: Duration = Duration::from_secs(2);

/// A load on one or several streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publish {
    pub(crate) name: &'static str,
    /// Each has a publisher of its own.
    pub(crate) streams: usize,
    pub(crate) replicas: usize,
    pub(crate) size: usize,
    pub(crate) in_flight: usize,
}

/// All loads.
pub(crate) const LOADS: [Publish; 6] = [
    Publish { name: "R3 128 B, one in flight", streams: 1, replicas: 3, size: 128, in_flight: 1 },
    Publish {
        name: "R3 128 B, 1024 in flight",
        streams: 1,
        replicas: 3,
        size: 128,
        in_flight: 1_024,
    },
    Publish {
        name: "R3 1 KiB, 1024 in flight",
        streams: 1,
        replicas: 3,
        size: 1_024,
        in_flight: 1_024,
    },
    Publish {
        name: "R3 16 KiB, 256 in flight",
        streams: 1,
        replicas: 3,
        size: 16_384,
        in_flight: 256,
    },
    Publish { name: "R3 128 B, 8 streams", streams: 8, replicas: 3, size: 128, in_flight: 256 },
    Publish {
        name: "R1 128 B, 1024 in flight",
        streams: 1,
        replicas: 1,
        size: 128,
        in_flight: 1_024,
    },
];

impl Publish {
    pub(crate) async fn measure(&self, cluster: &Cluster, length: Duration) -> Result<Figures> {
        let client = cluster.client().await?;
        let mut publishers = Vec::new();
        let streams: Vec<String> =
            (0..self.streams).map(|stream| format!("BENCH{stream}")).collect();
        for stream in &streams {
            let subject = format!("bench.{stream}");
            create_stream(&client, stream, &[&subject], self.replicas).await?;
            let leader = eventually(ELECTION, "a leader", async || {
                let group = stream_group(&client, stream).await?;
                Ok(Some(group.leader).filter(|leader| !leader.is_empty()))
            })
            .await?;
            let leader = cluster.servers().iter().find(|server| server.name() == leader);
            let url = leader.context("the leader is none of the cluster's servers")?.url();
            let load = Load { subject, size: self.size, in_flight: self.in_flight };
            publishers.push((load, url.trim_start_matches("nats://").to_owned()));
        }
        let from = Instant::now() + WARM;
        let until = from + length;
        let loads = publishers.iter().map(|(load, address)| load.run(address, from, until));
        let processes = async {
            sleep_until(from).await;
            let before = Processes::read(cluster)?;
            sleep_until(until).await;
            Ok::<_, anyhow::Error>(Processes::read(cluster)?.since(&before))
        };
        let (seen, used) = tokio::join!(futures::future::try_join_all(loads), processes);
        let figures = Figures::of_publishing(&seen?, used?, length)?;
        for stream in &streams {
            request(&client, &format!("STREAM.DELETE.{stream}"), &json!({})).await?;
        }
        sleep(SETTLE).await;
        Ok(figures)
    }
}
