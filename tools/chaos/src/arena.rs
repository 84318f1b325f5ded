//! Where it happens: the servers, the bad network between them, the disks below them, and clients of them.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::{Client, ConnectOptions};
use flotilla_relay::{Relay, Server as Front};
use flotilla_tests::cluster::{Group, free_ports, request};
use flotilla_tests::power::PowerSupply;
use flotilla_tests::{Cluster, Flavour, Plan, eventually};
use serde_json::Value;

use crate::chance::Chance;
use crate::load::{LOG, READER, REGISTER};
use crate::plan::Whom;

/// How long a question about a group is worth asking.
const PATIENCE: Duration = Duration::from_secs(20);
/// Under load a follower is always a little behind. This much is more than a little.
const MOST_LAG: u64 = 500;
/// How soon a client notices that its server's time stands still.
const PING: Duration = Duration::from_secs(1);

/// Servers behind a relay, on disks of their own.
pub struct Arena {
    // In this order they end: processes, then the network, then the disks.
    pub(crate) cluster: Cluster,
    pub(crate) relay: Relay,
    pub(crate) disks: PowerSupply,
    clients: Vec<Client>,
    asked: usize,
    /// The server whose files were damaged.
    pub(crate) victim: Option<usize>,
    /// For what only shows itself in the run: which byte of which file.
    pub(crate) chance: Chance,
}

/// What is not whole.
pub(crate) type Ailments = Vec<String>;

impl Arena {
    /// Starts the servers; `None`, and a line that says so, where file systems cannot be mounted.
    ///
    /// # Errors
    /// They do not start.
    pub async fn start(seed: u64, servers: usize) -> Result<Option<Self>> {
        let Some(disks) = PowerSupply::install(servers)? else { return Ok(None) };
        let mut plan = Plan::new(servers)?.with_stores(disks.stores());
        plan.flavour = Flavour::Flotilla;
        plan.cluster_ports = free_ports(servers)?;
        plan.hosts = (11..).take(servers).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect();
        let addresses = plan.hosts.iter().zip(&plan.cluster_ports);
        let fronts = addresses.enumerate().map(|(index, (host, port))| {
            let name = format!("n{}-c1", index + 1);
            Front { name, address: (*host, *port).into(), front: (Ipv4Addr::LOCALHOST, 0).into() }
        });
        let fronts: Vec<Front> = fronts.collect();
        let relay = Relay::start(seed, fronts.clone())?;
        for front in &fronts {
            plan.fronts.push(relay.front(&front.name)?.to_string());
        }
        let cluster = Cluster::start(plan).await?;
        let mut urls: Vec<String> = cluster.servers().iter().map(|server| server.url()).collect();
        let mut clients = Vec::new();
        for _ in 0..servers {
            clients.push(connect(&urls).await?);
            urls.rotate_left(1);
        }
        Ok(Some(Self {
            cluster,
            relay,
            disks,
            clients,
            asked: 0,
            victim: None,
            chance: Chance::new(seed),
        }))
    }

    /// Clients that begin at different servers, and find another one when theirs is gone.
    #[must_use]
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Ends the processes, so that the disks can go.
    ///
    /// # Errors
    /// One does not end.
    pub async fn close(&mut self) -> Result<()> {
        for server in 0..self.cluster.servers().len() {
            // Who waits for a hung disk cannot be killed. Most do not hang, and then this fails.
            let _ = self.disks.thaw(server);
            self.cluster.servers_mut()[server].has_ended()?;
        }
        self.cluster.kill_all().await
    }

    pub(crate) fn name(&self, server: usize) -> Result<String> {
        let found = self.cluster.servers().get(server);
        Ok(found.context("no such server")?.name().to_owned())
    }

    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.cluster.servers().iter().position(|server| server.name() == name)
    }

    /// One client after the other: who asks a paused server waits in vain.
    pub(crate) fn client(&mut self) -> Client {
        self.asked += 1;
        self.clients[self.asked % self.clients.len()].clone()
    }

    /// A stream's group, with a leader.
    pub(crate) async fn group(&mut self, stream: &str) -> Result<Group> {
        eventually(PATIENCE, "a leader", async || {
            let client = self.client();
            let info = request(&client, &format!("STREAM.INFO.{stream}"), &Value::Null).await?;
            let group = Group::read(&info["cluster"]);
            Ok((!group.leader.is_empty()).then_some(group))
        })
        .await
    }

    /// Whom a plan means, now. While nobody leads, the first server stands for the leader.
    pub(crate) async fn servers_of(&mut self, whom: Whom) -> Vec<usize> {
        let count = self.cluster.servers().len();
        let from = |first: usize, many: usize| (first..first + many).map(|server| server % count);
        match whom {
            Whom::One(server) => vec![server % count],
            Whom::Two(server) => from(server, 2).collect(),
            Whom::Minority(server) => from(server, (count - 1) / 2).collect(),
            Whom::All => (0..count).collect(),
            Whom::Leader => {
                let group = self.group(LOG).await.ok();
                vec![group.and_then(|group| self.index(&group.leader)).unwrap_or(0)]
            }
        }
    }

    /// Starts these servers, as far as they do not run.
    pub(crate) fn start_servers(&mut self, servers: &[usize]) -> Result<()> {
        for &index in servers {
            let server = self.cluster.servers_mut().get_mut(index).context("no such server")?;
            server.has_ended()?;
            if !server.is_running() {
                server.start()?;
            }
        }
        Ok(())
    }

    /// What is not as it should be when nothing is wrong: servers that are not healthy, groups without a leader or
    /// with members missing.
    pub(crate) async fn ailments(&mut self, replicas: usize) -> Ailments {
        let mut ailments = Ailments::new();
        for index in 0..self.cluster.servers().len() {
            let server = &mut self.cluster.servers_mut()[index];
            let ended = server.has_ended().unwrap_or(true) || !server.is_running();
            match server.health().await {
                _ if ended => ailments.push(format!("{} does not run", server.name())),
                Some(health) if health.get(8..12) == Some(" 200") => {}
                Some(health) => {
                    let body = health.rsplit("\r\n").next().unwrap_or_default();
                    ailments.push(format!("{}: {body}", server.name()));
                }
                None => ailments.push(format!("{} does not say how it is", server.name())),
            }
        }
        let apis = [
            format!("STREAM.INFO.{LOG}"),
            format!("STREAM.INFO.{REGISTER}"),
            format!("CONSUMER.INFO.{LOG}.{READER}"),
        ];
        for api in apis {
            let client = self.client();
            match request(&client, &api, &Value::Null).await {
                Ok(info) => {
                    let (group, followers) = (Group::read(&info["cluster"]), &info["cluster"]);
                    if group.leader.is_empty() {
                        ailments.push(format!("{api}: no leader"));
                    }
                    if group.members().len() != replicas {
                        ailments.push(format!("{api}: members are {:?}", group.members()));
                    }
                    for follower in followers["replicas"].as_array().into_iter().flatten() {
                        let name = follower["name"].as_str().unwrap_or_default();
                        let lag = follower["lag"].as_u64().unwrap_or(0);
                        if follower["offline"] == true || lag > MOST_LAG {
                            ailments.push(format!("{api}: {name} is offline or far behind: {lag}"));
                        }
                    }
                }
                Err(error) => ailments.push(format!("{api}: {error:#}")),
            }
        }
        ailments
    }

    /// The directory that `docs/storage-format.md` draws.
    pub(crate) fn store(&self, server: usize) -> Result<PathBuf> {
        Ok(self.disks.stores().get(server).context("no such store")?.join("jetstream"))
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Arena").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

async fn connect(urls: &[String]) -> Result<Client> {
    let options = ConnectOptions::new()
        .retain_servers_order()
        .ignore_discovered_servers()
        .ping_interval(PING)
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(Duration::from_secs(2)))
        .reconnect_delay_callback(|_| Duration::from_millis(50));
    Ok(options.connect(urls).await?)
}
