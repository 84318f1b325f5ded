//! The heaviest load for minutes: whether the rate lasts, whether leaders do, and what memory and disk it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::Client;
use flotilla_loads::{Figures, Load, Moment, Servers, Window};
use flotilla_tests::Cluster;
use flotilla_tests::cluster::request;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::processes::Processes;
use crate::stock::jsz;

pub(crate) const NAME: &str = "heaviest";
/// How long it lasts if nothing else is said.
pub(crate) const LENGTH: Duration = Duration::from_secs(300);
/// Before counting begins.
const WARM: Duration = Duration::from_secs(5);
/// Between two looks at leaders and memory.
const LOOK: Duration = Duration::from_secs(1);
/// How long a busy server may take to say who leads.
const ANSWER: Duration = Duration::from_secs(4);

pub(crate) async fn measure(cluster: &Cluster, length: Duration) -> Result<Figures> {
    let urls: Vec<String> = cluster.servers().iter().map(|server| server.url()).collect();
    let servers = Servers::find(&urls).await?;
    let client = cluster.client().await?;
    let load = Load::heaviest();
    let (mut before, mut used) = (None, None);
    let mut at = |moment| match (moment, Processes::read(cluster)) {
        (Moment::Begin, now) => before = now.ok(),
        (Moment::End, now) => used = now.ok().zip(before).map(|(now, before)| now.since(&before)),
    };
    let mut watch = Watch::default();
    let window = Window { warm: WARM, length };
    let mut figures = tokio::select! {
        figures = load.run(&servers, window, &mut at) => figures?,
        never = watch.run(cluster, &client) => never?,
    };
    let used = used.context("the servers cannot be watched")?;
    let messages = figures.get("messages").unwrap_or_default();
    let payload = messages * load.stored_bytes().unwrap_or_default() as f64;
    figures.add("server CPU us/message", used.cpu_seconds * 1e6 / messages);
    figures.add("disk bytes/acknowledged byte, per replica", used.written as f64 / payload);
    watch.tell(&mut figures);
    Ok(figures)
}

/// What is seen from outside meanwhile.
#[derive(Default)]
struct Watch {
    /// Of every group that was ever seen with a leader: which one, and since when.
    leaders: BTreeMap<String, (String, Value)>,
    changes: u64,
    missed: u64,
    looks: u64,
    largest_resident: u64,
}

impl Watch {
    /// Looks again and again, and ends only with an error.
    async fn run(&mut self, cluster: &Cluster, client: &Client) -> Result<Figures> {
        loop {
            let resident = Processes::read(cluster)?.largest_resident;
            self.largest_resident = self.largest_resident.max(resident);
            self.looks += 1;
            if !matches!(timeout(ANSWER, self.look(cluster, client)).await, Ok(Ok(()))) {
                self.missed += 1;
            }
            sleep(LOOK).await;
        }
    }

    async fn look(&mut self, cluster: &Cluster, client: &Client) -> Result<()> {
        let first = cluster.servers().first().context("there is no server")?;
        self.see("meta", &jsz(first).await?["meta_cluster"]);
        let list = request(client, "STREAM.LIST", &json!({})).await?;
        for stream in list["streams"].as_array().into_iter().flatten() {
            let name = stream["config"]["name"].as_str().unwrap_or_default();
            self.see(name, &stream["cluster"]);
            if stream["state"]["consumer_count"].as_u64().unwrap_or_default() == 0 {
                continue;
            }
            let list = request(client, &format!("CONSUMER.LIST.{name}"), &json!({})).await?;
            for consumer in list["consumers"].as_array().into_iter().flatten() {
                let consumer_name = consumer["name"].as_str().unwrap_or_default();
                self.see(&format!("{name} > {consumer_name}"), &consumer["cluster"]);
            }
        }
        Ok(())
    }

    /// Two changes between two looks are one, if it is another leader then; the same one since later is a change, too.
    fn see(&mut self, group: &str, cluster: &Value) {
        let Some(leader) = cluster["leader"].as_str().filter(|leader| !leader.is_empty()) else {
            return;
        };
        let now = (leader.to_owned(), cluster["leader_since"].clone());
        let before = self.leaders.insert(group.to_owned(), now.clone());
        self.changes += u64::from(before.is_some_and(|before| before != now));
    }

    fn tell(&self, figures: &mut Figures) {
        figures.add("groups watched", self.leaders.len() as f64);
        figures.add("leader changes", self.changes as f64);
        figures.add("looks", self.looks as f64);
        figures.add("looks without answer", self.missed as f64);
        figures.add("resident MB, largest", self.largest_resident as f64 / 1e6);
    }
}
