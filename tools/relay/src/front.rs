//! One server's front, and the flows through it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::relay::Network;

/// Largest UDP payload, and some.
const DATAGRAM: usize = 65_536;

/// How soon a thread notices that the relay stops.
pub(crate) const GLANCE: Duration = Duration::from_millis(50);

/// Flows through one front at most; datagrams of further ones are lost.
const MOST_FLOWS: usize = 256;

/// Receives in place of a server, and passes on.
pub(crate) struct Front {
    network: Arc<Network>,
    /// The server behind it.
    server: usize,
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    flows: HashMap<SocketAddr, Flow>,
}

/// Everything between one address and the server, as a NAT would have it.
struct Flow {
    /// Who has the address.
    client: usize,
    /// Stands for the address, towards the server.
    socket: Arc<UdpSocket>,
    replies: JoinHandle<()>,
}

impl Front {
    pub(crate) fn new(
        network: Arc<Network>,
        server: usize,
        address: SocketAddr,
        socket: UdpSocket,
    ) -> Self {
        Self { network, server, address, socket: Arc::new(socket), flows: HashMap::new() }
    }

    /// Works until the relay stops.
    pub(crate) fn run(mut self) {
        let (network, socket) = (self.network.clone(), self.socket.clone());
        receive(&network, &socket, |source, bytes| {
            let Some(flow) = self.flow(source) else { return };
            let (client, socket) = (flow.client, flow.socket.clone());
            self.network.pass(client, self.server, &socket, self.address, bytes);
        });
        for (_, flow) in self.flows {
            // Its thread stops for the same reason.
            let _ = flow.replies.join();
        }
    }

    fn flow(&mut self, source: SocketAddr) -> Option<&Flow> {
        if !self.flows.contains_key(&source) {
            if self.flows.len() >= MOST_FLOWS {
                return None;
            }
            let flow = self.open(source).ok()?;
            self.flows.insert(source, flow);
        }
        self.flows.get(&source)
    }

    fn open(&self, source: SocketAddr) -> io::Result<Flow> {
        let any: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(GLANCE))?;
        let socket = Arc::new(socket);
        let client = self.network.server_at(source);
        let (network, front, replies) = (self.network.clone(), self.socket.clone(), socket.clone());
        let (server, address) = (self.server, self.address);
        let replies = thread::spawn(move || {
            receive(&network, &replies, |sender, bytes| {
                if sender == address {
                    network.pass(server, client, &front, source, bytes);
                }
            });
        });
        Ok(Flow { client, socket, replies })
    }
}

/// Receives until the relay stops. The socket has a read timeout.
fn receive(network: &Network, socket: &UdpSocket, mut take: impl FnMut(SocketAddr, &[u8])) {
    let mut buffer = vec![0; DATAGRAM];
    while !network.stopping() {
        // Errors are timeouts, or belong to datagrams sent earlier: as good as lost ones.
        if let Ok((length, source)) = socket.recv_from(&mut buffer) {
            take(source, &buffer[..length]);
        }
    }
}
