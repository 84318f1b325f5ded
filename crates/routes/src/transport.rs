//! The UDP socket and QUIC's parameters.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::congestion::CubicConfig;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    ServerConfig, TransportConfig, VarInt,
};

use crate::crypto::Crypto;
use crate::error::{OptionError, StartError};
use crate::options::{Limits, Options};

/// Largest datagram. QUIC here hands up to ten of one size to the kernel in one segmented write;
/// above 65,507 bytes in all the kernel drops such a write without a word. The path's real limit is
/// found by probing, from [`SAFE_DATAGRAM`] on.
const LARGEST_DATAGRAM: u16 = 6_500;

/// Carried by every path that QUIC supports (RFC 9000, 14).
const SAFE_DATAGRAM: u16 = 1_200;

/// A probed size that stopped working (a route changed, or heavy loss looked like it) is tried
/// again after this.
const PROBE_AGAIN: std::time::Duration = std::time::Duration::from_secs(20);

/// Bytes that may be under way before the path is known: what the standard allows (RFC 9002, 7.2),
/// ten datagrams, for those found here. With less, probes for the datagram size fill the window.
const FIRST_BURST: u64 = 10 * LARGEST_DATAGRAM as u64;

/// Kernel buffer asked for in each direction; the system may grant less. A burst of segmented
/// writes from each of several peers must fit, or it looks like a lossy network.
const SOCKET_BUFFER: usize = 4 << 20;

/// Bytes accepted in all from a peer that has not said Hello.
const STRANGER_WINDOW: u32 = 64 * 1024;

/// Waiting beats, in bytes; older ones make room for newer.
const BEAT_BUFFER: usize = 64 * 1024;

/// Longest beat that fits every datagram.
pub(crate) const BEAT_LIMIT: usize = 1_000;

/// Streams besides bulk: link, control, messages and a Raft lane for each of 256 shards.
const STEADY_STREAMS: u32 = 3 + 256;

/// Binds the socket and starts the endpoint. Must be called within the runtime that will drive it.
pub(crate) fn endpoint(options: &Options, crypto: &Crypto) -> Result<Endpoint, StartError> {
    let addr = options.listen;
    let listen = |source| StartError::Listen { addr, source };
    let socket = socket(addr).map_err(listen)?;
    let transport = Arc::new(transport(options)?);
    let mut server = ServerConfig::with_crypto(crypto.server.clone());
    // A server's address does not move under a live link.
    server.transport_config(transport.clone()).migration(false);
    let mut client = ClientConfig::new(crypto.client.clone());
    client.transport_config(transport);
    let mut config = EndpointConfig::default();
    config
        .max_udp_payload_size(LARGEST_DATAGRAM)
        .map_err(|error| listen(io::Error::other(error)))?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let mut endpoint = Endpoint::new(config, Some(server), socket, runtime).map_err(listen)?;
    endpoint.set_default_client_config(client);
    Ok(endpoint)
}

fn socket(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(addr)?;
    for result in [
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER),
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER),
    ] {
        if let Err(error) = result {
            log::debug!("route socket buffers stay at the system's default: {error}");
        }
    }
    Ok(socket)
}

fn transport(options: &Options) -> Result<TransportConfig, StartError> {
    let timing = &options.timing;
    let idle = IdleTimeout::try_from(timing.idle).map_err(|_| OptionError {
        field: "timing.idle",
        reason: "must be below 2^62 milliseconds".to_owned(),
    })?;
    let mut probing = MtuDiscoveryConfig::default();
    probing.upper_bound(LARGEST_DATAGRAM).black_hole_cooldown(PROBE_AGAIN);
    let mut congestion = CubicConfig::default();
    congestion.initial_window(FIRST_BURST);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(timing.keep_alive))
        .congestion_controller_factory(Arc::new(congestion))
        .initial_mtu(SAFE_DATAGRAM)
        .mtu_discovery_config(Some(probing))
        // Servers of a cluster are near each other; the standard third of a second would make every
        // lost first datagram cost a whole second.
        .initial_rtt(std::time::Duration::from_millis(100))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(1))
        .stream_receive_window(VarInt::from_u32(options.limits.window))
        .receive_window(VarInt::from_u32(STRANGER_WINDOW))
        .send_window(link_window(&options.limits))
        .datagram_receive_buffer_size(Some(BEAT_BUFFER))
        .datagram_send_buffer_size(BEAT_BUFFER);
    Ok(config)
}

/// Lifts the limits for strangers from a connection that has become a link.
pub(crate) fn admit(connection: &Connection, limits: &Limits) {
    let window = VarInt::from_u64(link_window(limits)).unwrap_or(VarInt::MAX);
    connection.set_receive_window(window);
    // A finished bulk stream may still be read while the next one opens.
    let bulk = u32::try_from(limits.bulk_lanes.saturating_mul(2)).unwrap_or(u32::MAX);
    connection.set_max_concurrent_uni_streams(STEADY_STREAMS.saturating_add(bulk).into());
}

/// Bytes under way on all lanes together. All bulk lanes at their limit leave room for others:
/// QUIC buffers sent bytes per connection, whatever the priority of their stream.
fn link_window(limits: &Limits) -> u64 {
    u64::from(limits.window).saturating_mul(limits.bulk_lanes.saturating_add(4) as u64)
}
