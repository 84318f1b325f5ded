//! The relay as a whole.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::conditions::{Change, Conditions, Draws};
use crate::delivery::{Datagram, Delivery};
use crate::front::{Front, GLANCE};

/// The name of whoever is not a server.
const OUTSIDE: &str = "outside";

/// A server and its front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name in commands.
    pub name: String,
    /// Where it listens, and what it sends from.
    pub address: SocketAddr,
    /// Where the relay listens in its place; port 0 takes a free one.
    pub front: SocketAddr,
}

/// Directions of pairs of servers. No name stands for every server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Who sends.
    pub from: Option<String>,
    /// Who receives.
    pub to: Option<String>,
    /// Whether the opposite direction is meant too.
    pub both: bool,
}

impl Pairs {
    /// Both directions between two servers.
    pub fn between(a: &str, b: &str) -> Self {
        Self { from: Some(a.to_owned()), to: Some(b.to_owned()), both: true }
    }

    /// One direction.
    pub fn one_way(from: &str, to: &str) -> Self {
        Self { from: Some(from.to_owned()), to: Some(to.to_owned()), both: false }
    }

    /// Everything to and from one server.
    pub fn around(server: &str) -> Self {
        Self { from: Some(server.to_owned()), to: None, both: true }
    }

    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }
}

/// A command named a server that the relay does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownServer(pub String);

impl fmt::Display for UnknownServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no server is named \"{}\"", self.0)
    }
}

impl Error for UnknownServer {}

/// What went through one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Copies that arrived, or are under way.
    pub delivered: u64,
    /// Datagrams that met a cut or were lost.
    pub lost: u64,
}

/// A running relay. Dropping it ends it.
pub struct Relay {
    network: Arc<Network>,
    fronts: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Listens at the fronts of all servers. All directions are perfect at first.
    pub fn start(seed: u64, servers: Vec<Server>) -> io::Result<Self> {
        let mut sockets = Vec::new();
        let mut fronts = Vec::new();
        for server in &servers {
            let socket = UdpSocket::bind(server.front)?;
            socket.set_read_timeout(Some(GLANCE))?;
            fronts.push(socket.local_addr()?);
            sockets.push((server.address, socket));
        }
        let network = Arc::new(Network::new(seed, servers));
        let mut threads = Vec::new();
        for (server, (address, socket)) in sockets.into_iter().enumerate() {
            let front = Front::new(network.clone(), server, address, socket);
            threads.push(thread::spawn(move || front.run()));
        }
        let delivering = network.clone();
        threads.push(thread::spawn(move || {
            delivering.delivery.run(|datagram| delivering.arrive(&datagram));
        }));
        Ok(Self { network, fronts, threads })
    }

    /// Where a server's front listens.
    pub fn front(&self, server: &str) -> Result<SocketAddr, UnknownServer> {
        let index = self.network.index(server)?;
        self.fronts.get(index).copied().ok_or_else(|| UnknownServer(server.to_owned()))
    }

    /// Changes the conditions of some directions, from the next datagram on.
    pub fn change(&self, pairs: &Pairs, change: Change) -> Result<(), UnknownServer> {
        self.network.change(pairs, change)
    }

    /// Cuts two servers off from each other.
    pub fn cut(&self, a: &str, b: &str) -> Result<(), UnknownServer> {
        self.change(&Pairs::between(a, b), Change::Cut)
    }

    /// Cuts a server off from everybody.
    pub fn isolate(&self, server: &str) -> Result<(), UnknownServer> {
        self.change(&Pairs::around(server), Change::Cut)
    }

    /// Makes everything perfect again.
    pub fn heal(&self) {
        for direction in &self.network.directions {
            lock(direction).conditions.change(Change::Heal);
        }
    }

    /// What went from one server to another so far.
    pub fn traffic(&self, from: &str, to: &str) -> Result<Traffic, UnknownServer> {
        let (from, to) = (self.network.index(from)?, self.network.index(to)?);
        Ok(lock(self.network.direction(from, to)).traffic)
    }

    /// One line for each direction that was used or is not perfect.
    pub fn describe(&self) -> String {
        self.network.describe()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.network.stopping.store(true, Ordering::Relaxed);
        self.network.delivery.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What the threads of a relay share.
pub(crate) struct Network {
    seed: u64,
    servers: Vec<Server>,
    /// Row by sender, column by receiver; the last of each is everybody outside.
    directions: Vec<Mutex<Direction>>,
    delivery: Delivery,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Direction {
    conditions: Conditions,
    traffic: Traffic,
}

impl Network {
    fn new(seed: u64, servers: Vec<Server>) -> Self {
        let parties = servers.len() + 1;
        let directions = (0..parties * parties).map(|_| Mutex::default()).collect();
        let stopping = AtomicBool::new(false);
        Self { seed, servers, directions, delivery: Delivery::default(), stopping }
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whose address this is.
    pub(crate) fn server_at(&self, address: SocketAddr) -> usize {
        let found = self.servers.iter().position(|server| server.address == address);
        found.unwrap_or(self.servers.len())
    }

    /// Lets a datagram meet its fate.
    pub(crate) fn pass(
        &self,
        from: usize,
        to: usize,
        socket: &Arc<UdpSocket>,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let mut direction = lock(self.direction(from, to));
        let draws = Draws::new(self.seed, from, to, direction.traffic.sent);
        direction.traffic.sent += 1;
        let mut copies = 0;
        for delay in direction.conditions.fate(draws) {
            let sent = if delay.is_zero() {
                socket.send_to(bytes, destination).is_ok()
            } else {
                let (socket, bytes) = (socket.clone(), bytes.to_vec());
                self.delivery.after(delay, Datagram { from, to, socket, destination, bytes })
            };
            copies += u64::from(sent);
        }
        direction.traffic.delivered += copies;
        direction.traffic.lost += u64::from(copies == 0);
    }

    /// A delayed datagram falls due.
    fn arrive(&self, datagram: &Datagram) {
        let mut direction = lock(self.direction(datagram.from, datagram.to));
        let cut = direction.conditions.cut;
        if cut || datagram.socket.send_to(&datagram.bytes, datagram.destination).is_err() {
            direction.traffic.delivered -= 1;
            direction.traffic.lost += 1;
        }
    }

    fn change(&self, pairs: &Pairs, change: Change) -> Result<(), UnknownServer> {
        let (from, to) = (self.parties(&pairs.from)?, self.parties(&pairs.to)?);
        for &from in &from {
            for &to in &to {
                lock(self.direction(from, to)).conditions.change(change);
                if pairs.both {
                    lock(self.direction(to, from)).conditions.change(change);
                }
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for from in 0..=self.servers.len() {
            for to in 0..=self.servers.len() {
                let direction = lock(self.direction(from, to));
                let Direction { conditions, traffic } = &*direction;
                if traffic.sent > 0 || *conditions != Conditions::default() {
                    let (from, to) = (self.name(from), self.name(to));
                    text += &format!("{from}>{to} {conditions:?} {traffic:?}\n");
                }
            }
        }
        text
    }

    fn parties(&self, name: &Option<String>) -> Result<Vec<usize>, UnknownServer> {
        match name {
            Some(name) => self.index(name).map(|index| vec![index]),
            None => Ok((0..=self.servers.len()).collect()),
        }
    }

    fn index(&self, name: &str) -> Result<usize, UnknownServer> {
        if name == OUTSIDE {
            return Ok(self.servers.len());
        }
        let found = self.servers.iter().position(|server| server.name == name);
        found.ok_or_else(|| UnknownServer(name.to_owned()))
    }

    fn name(&self, index: usize) -> &str {
        self.servers.get(index).map_or(OUTSIDE, |server| &server.name)
    }

    /// Both are indexes of servers, or one above.
    fn direction(&self, from: usize, to: usize) -> &Mutex<Direction> {
        &self.directions[from * (self.servers.len() + 1) + to]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
