//! A cluster of server processes on this machine.

use std::env;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::{Client, ConnectOptions};
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::condition::eventually;
use crate::flavour::Flavour;
use crate::ports;
use crate::server::Server;

/// How long a group may take to elect a leader: the reference's longest election timeout, twice.
pub const ELECTION: Duration = Duration::from_secs(30);

/// The user of the system account, and its password.
pub const SYSTEM_USER: (&str, &str) = ("admin", "admin");

/// What cluster to start.
#[derive(Debug)]
pub struct Plan {
    /// The server program.
    pub flavour: Flavour,
    /// How many servers: `n1-c1` to `n<N>-c1`, in cluster `C1`; one alone is in none.
    pub servers: usize,
    /// Where each server's store is; a directory of the cluster's own if not given.
    pub stores: Vec<PathBuf>,
    /// Addresses (`host:port`) the servers reach each other at, in place of their own: a relay's fronts. One per
    /// server, or none.
    pub fronts: Vec<String>,
    /// What else stands in the `jetstream` block.
    pub jetstream: String,
    /// How many shards each of Flotilla's servers has. Different ones, so that nothing rests on their number; without
    /// it each server chooses.
    pub shards: Vec<usize>,
    /// Route ports, if they must be known before the cluster is started.
    pub cluster_ports: Vec<u16>,
    /// The loopback address each server listens on; 127.0.0.1 if not given.
    pub hosts: Vec<Ipv4Addr>,
}

impl Plan {
    /// Where this server listens.
    fn host(&self, server: usize) -> Ipv4Addr {
        self.hosts.get(server).copied().unwrap_or(Ipv4Addr::LOCALHOST)
    }

    /// A cluster of so many servers, of the flavour the environment asks for.
    ///
    /// # Errors
    /// The environment asks for an unknown flavour.
    pub fn new(servers: usize) -> Result<Self> {
        let flavour = Flavour::from_environment()?;
        Ok(Self {
            flavour,
            servers,
            stores: Vec::new(),
            fronts: Vec::new(),
            jetstream: String::new(),
            shards: (0..servers).map(|server| 1 + (server + 1) % 3).collect(),
            cluster_ports: Vec::new(),
            hosts: Vec::new(),
        })
    }

    /// With the given store directories, one per server.
    #[must_use]
    pub fn with_stores(mut self, stores: Vec<PathBuf>) -> Self {
        self.stores = stores;
        self
    }
}

/// Running servers, their files and the right to be the only cluster on this machine. Dropping it kills the
/// servers and prints the ends of their logs, which the test runner shows if the test failed.
#[derive(Debug)]
pub struct Cluster {
    flavour: Flavour,
    servers: Vec<Server>,
    dir: TempDir,
    tells: bool,
    _exclusive: File,
}

impl Cluster {
    /// Starts a cluster and waits until every server is healthy and the API answers. Waits for its turn if
    /// another cluster of these tests is running on the machine; a test has one cluster at a time.
    ///
    /// # Errors
    /// There is no server program, or the servers do not become healthy.
    pub async fn start(plan: Plan) -> Result<Self> {
        let exclusive = exclusive().await?;
        let dir = TempDir::with_prefix("flotilla-test-")?;
        let program = plan.flavour.program()?;
        let servers = create(&plan, &program, dir.path())?;
        let mut cluster =
            Self { flavour: plan.flavour, servers, dir, tells: true, _exclusive: exclusive };
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// Starts the servers that are not running, and waits until all are healthy and the API answers.
    ///
    /// # Errors
    /// They do not become healthy.
    pub async fn start_all(&mut self) -> Result<()> {
        for server in &mut self.servers {
            if !server.is_running() {
                server.start()?;
            }
        }
        for server in &mut self.servers {
            server.wait_ready().await?;
        }
        let client = self.client().await?;
        eventually(ELECTION, "the API to answer", async || {
            Ok(Some(request(&client, "INFO", &Value::Null).await?))
        })
        .await?;
        Ok(())
    }

    /// Which server program this is.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Says nothing of the logs when it is dropped: whoever asks for this looks at them itself.
    pub fn keep_quiet(&mut self) {
        self.tells = false;
    }

    /// A directory of this test's own.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The servers, in the order of their numbers.
    #[must_use]
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The servers, to do something to them.
    pub fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    /// The server of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn server_mut(&mut self, name: &str) -> Result<&mut Server> {
        let server = self.servers.iter_mut().find(|server| server.name() == name);
        server.with_context(|| format!("there is no server {name:?}"))
    }

    /// Kills all servers, one right after the other.
    ///
    /// # Errors
    /// One could not be killed.
    pub async fn kill_all(&mut self) -> Result<()> {
        // All signals first: `kill` waits for the process's end.
        for server in self.servers.iter().filter(|server| server.is_running()) {
            server.signal(rustix::process::Signal::KILL)?;
        }
        for server in self.servers.iter_mut().filter(|server| server.is_running()) {
            server.kill().await?;
        }
        Ok(())
    }

    /// The URLs of all servers, comma-separated.
    #[must_use]
    pub fn urls(&self) -> String {
        self.servers.iter().map(Server::url).collect::<Vec<_>>().join(",")
    }

    /// A client of this cluster that finds another server when its own is gone.
    ///
    /// # Errors
    /// No server takes it.
    pub async fn client(&self) -> Result<Client> {
        self.connect(ConnectOptions::new()).await
    }

    /// A client of this one server, whatever becomes of it.
    ///
    /// # Errors
    /// There is no such server, or it does not take the client.
    pub async fn client_of(&self, server: &str) -> Result<Client> {
        let server = self.servers.iter().find(|other| other.name() == server);
        let url = server.with_context(|| format!("there is no server {server:?}"))?.url();
        let options = ConnectOptions::new().ignore_discovered_servers();
        Ok(reconnecting(options).connect(url).await?)
    }

    /// A client of the system account.
    ///
    /// # Errors
    /// No server takes it.
    pub async fn system_client(&self) -> Result<Client> {
        let (user, password) = SYSTEM_USER;
        self.connect(ConnectOptions::new().user_and_password(user.into(), password.into())).await
    }

    async fn connect(&self, options: ConnectOptions) -> Result<Client> {
        let urls: Vec<String> = self.servers.iter().map(Server::url).collect();
        Ok(reconnecting(options).connect(urls).await?)
    }
}

/// With the patience of a test: servers come back soon, or not at all.
fn reconnecting(options: ConnectOptions) -> ConnectOptions {
    options
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(Duration::from_secs(5)))
        .reconnect_delay_callback(|_| Duration::from_millis(50))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in self.servers.iter().filter(|_| self.tells) {
            eprintln!("--- the end of {}'s log\n{}", server.name(), server.log_tail());
        }
        if env::var_os("FLOTILLA_KEEP").is_some() {
            self.dir.disable_cleanup(true);
            eprintln!("--- kept {}", self.dir.path().display());
        }
    }
}

/// The right to run a cluster: two of them would share two cores, and measure each other.
async fn exclusive() -> Result<File> {
    let path = env::temp_dir().join("flotilla-tests.lock");
    let lock = tokio::task::spawn_blocking(move || -> Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    });
    lock.await?
}

fn create(plan: &Plan, program: &Path, dir: &Path) -> Result<Vec<Server>> {
    let (clients, https) = (free_ports(plan.servers)?, free_ports(plan.servers)?);
    let routes = match plan.cluster_ports.as_slice() {
        [] => free_ports(plan.servers)?,
        given => given.to_vec(),
    };
    let mut servers = Vec::with_capacity(plan.servers);
    for index in 0..plan.servers {
        let name = format!("n{}-c1", index + 1);
        let store = match plan.stores.get(index) {
            Some(store) => store.clone(),
            None => dir.join(&name),
        };
        let addresses = match plan.fronts.as_slice() {
            [] => {
                let address =
                    |(server, port): (usize, &u16)| format!("{}:{port}", plan.host(server));
                routes.iter().enumerate().map(address).collect()
            }
            fronts => fronts.to_vec(),
        };
        let peers = addresses.iter().enumerate().filter(|(peer, _)| *peer != index);
        let peers: String = peers.map(|(_, peer)| format!("    nats-route://{peer}\n")).collect();
        let (user, password) = SYSTEM_USER;
        // What servers tell each other about the others must lead to the fronts, too.
        let advertise = plan.fronts.get(index).map(|front| format!("  advertise: \"{front}\"\n"));
        let host = plan.host(index);
        // The reference takes no cluster without routes.
        let cluster = match plan.servers {
            1 => String::new(),
            _ => format!(
                "cluster {{\n  name: C1\n  listen: {host}:{route}\n{advertise}  routes: [\n{peers}  ]\n}}\n",
                route = routes[index],
                advertise = advertise.unwrap_or_default(),
            ),
        };
        let shards = plan.shards.get(index).filter(|_| plan.flavour == Flavour::Flotilla);
        let shards = shards.map(|shards| format!("flotilla {{ shards: {shards} }}\n"));
        let config = format!(
            "server_name: {name}\nlisten: {host}:{client}\nhttp: {host}:{http}\n\
            jetstream {{\n  store_dir: \"{store}\"\n  {jetstream}\n}}\n\
            accounts {{\n  $SYS {{ users: [ {{ user: {user}, password: {password} }} ] }}\n}}\n\
            {cluster}{shards}",
            client = clients[index],
            http = https[index],
            store = store.display(),
            jetstream = plan.jetstream,
            shards = shards.unwrap_or_default(),
        );
        let server = Server::new(
            name,
            program.to_owned(),
            dir,
            (host, clients[index]).into(),
            (host, https[index]).into(),
        );
        fs::write(server.config(), config)?;
        servers.push(server);
    }
    Ok(servers)
}

/// So many ports nobody uses, for TCP and for UDP.
///
/// # Errors
/// There are not so many.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    (0..count).map(|_| ports::free()).collect()
}

/// Calls a JetStream API (`STREAM.INFO.ORDERS`) and returns its answer.
///
/// # Errors
/// Nobody answers, or the answer is an error.
pub async fn request(client: &Client, api: &str, body: &Value) -> Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = client.request(format!("$JS.API.{api}"), body.into()).await;
    let answer = answer.with_context(|| format!("no answer to {api}"))?;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    match answer.get("error") {
        Some(error) => bail!("{api}: {error}"),
        None => Ok(answer),
    }
}

/// Creates a file stream of so many copies that stores these subjects. Asks again while it is refused: the API has
/// little patience with a slow machine, and creating what is there already is no error.
///
/// # Errors
/// It is refused for as long as an election may take; the error is the last refusal.
pub async fn create_stream(
    client: &Client,
    name: &str,
    subjects: &[&str],
    replicas: usize,
) -> Result<Value> {
    let config = json!({
        "name": name, "subjects": subjects, "num_replicas": replicas,
        "storage": "file", "retention": "limits", "allow_direct": true,
    });
    eventually(ELECTION, &format!("stream {name}"), async || {
        Ok(Some(request(client, &format!("STREAM.CREATE.{name}"), &config).await?))
    })
    .await
}

/// The cluster part of a stream's information: leader and replicas.
///
/// # Errors
/// As [`request`].
pub async fn stream_group(client: &Client, stream: &str) -> Result<Group> {
    let info = request(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await?;
    Ok(Group::read(&info["cluster"]))
}

/// A Raft group as an asset's information shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// The leader's name; empty during an election.
    pub leader: String,
    /// The followers' names.
    pub followers: Vec<String>,
    /// Whether no follower is offline, and the server that was asked knows all by name: of one that has just registered it
    /// may have heard no more than its store's id.
    pub all_there: bool,
    /// Whether every follower is there and has everything.
    pub is_current: bool,
}

impl Group {
    /// Reads the `cluster` object of a stream's or consumer's information.
    #[must_use]
    pub fn read(cluster: &Value) -> Self {
        let replicas: Vec<&Value> = cluster["replicas"].as_array().into_iter().flatten().collect();
        let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let is_there = |replica: &&Value| replica["offline"] != true;
        let is_current = |replica: &&Value| {
            is_there(replica)
                && replica["current"] == true
                && replica["lag"].as_u64().unwrap_or(0) == 0
        };
        // The servers of these tests have names like n1-c1.
        let is_named = |replica: &&Value| name(&replica["name"]).contains('-');
        Self {
            leader: name(&cluster["leader"]),
            followers: replicas.iter().map(|replica| name(&replica["name"])).collect(),
            all_there: replicas.iter().all(is_there) && replicas.iter().all(is_named),
            is_current: replicas.iter().all(is_current),
        }
    }

    /// All members' names, sorted.
    #[must_use]
    pub fn members(&self) -> Vec<String> {
        let mut members = self.followers.clone();
        members.extend(Some(self.leader.clone()).filter(|leader| !leader.is_empty()));
        members.sort();
        members
    }
}
