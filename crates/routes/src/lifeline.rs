//! Lifelines: TCP connections that carry nothing, and are there to be cut.
//!
//! A process that has ended and one that is slow are equally silent. But when a process ends, however it ends, its system
//! closes its TCP connections, and refuses new ones from then on; of QUIC it knows nothing. So a server listens for TCP at
//! the address of its routes, and whoever is linked to it keeps a connection there. A server that cannot have that address,
//! or a network that carries UDP alone, costs nothing but this evidence.
//!
//! A lifeline proves nobody's identity and is believed little: that one was cut counts while no other can be had, and the
//! server above takes it for a reason to wait for fewer beats, not for none.

use std::io;
use std::net::{SocketAddr, TcpListener as Socket};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::event::Event;
use crate::handshake::address;
use crate::link::Link;
use crate::shared::Shared;

/// Lifelines of others that are kept here; more than these wait in the system's queue, where they serve as well.
const MOST_HELD: usize = 256;

/// Longest wait for a lifeline. Servers of a cluster are near each other.
const DIAL: Duration = Duration::from_millis(200);

/// Pause before another try at a lifeline that was never had, which is not missed; and after an error in taking one.
const NOT_MISSED: Duration = Duration::from_secs(5);

/// Pause between two tries at one that was cut; each that fails is reported.
const MISSED: Duration = Duration::from_millis(30);

/// It is reported for so long: longer than any server needs to judge. What cuts lifelines of a server that lives, as a
/// firewall with a new rule may do, does not shorten the time for its beats for ever.
const REPORTED: Duration = Duration::from_secs(2);

/// Pause between a cut and the first try: a process that ends closes one thing after the other, and perhaps its listener
/// last. It doubles when the next lifeline does not hold either, so that who closes them all is not dialled without a pause.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSE: Duration = Duration::from_secs(1);

/// An end that went without a word, as with its power, is noticed after a while.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Listens at the address of the routes.
pub(crate) fn listen(addr: SocketAddr) -> Option<TcpListener> {
    let listen = || {
        let socket = Socket::bind(addr)?;
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    };
    let failed = |error: &io::Error| {
        log::warn!(
            "TCP port {addr} is not free ({error}): should this server end, its peers notice later"
        );
    };
    listen().inspect_err(failed).ok()
}

/// Keeps the lifelines of others, for as long as it runs.
pub(crate) async fn hold(listener: TcpListener) {
    let mut held = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if held.len() < MOST_HELD => match accepted {
                Ok((line, _)) => { held.spawn(until_cut(line)); }
                Err(_) => sleep(NOT_MISSED).await,
            },
            Some(_) = held.join_next() => {}
        }
    }
}

/// Keeps a lifeline to a linked server, for as long as it runs, and reports when it is cut.
pub(crate) async fn watch(shared: &Shared, link: &Link) {
    let addr = address(&link.connection);
    loop {
        let Ok(mut line) = dial(addr).await else {
            sleep(NOT_MISSED).await;
            continue;
        };
        let mut pause = LEAST_PAUSE;
        loop {
            let held = Instant::now();
            until_cut(line).await;
            if held.elapsed() > MOST_PAUSE {
                pause = LEAST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(MOST_PAUSE);
            let Some(another) = regain(shared, link, addr).await else { break };
            line = another;
        }
    }
}

/// Dials anew after a cut, and reports each time in vain.
async fn regain(shared: &Shared, link: &Link, addr: SocketAddr) -> Option<TcpStream> {
    let cut = Instant::now();
    while cut.elapsed() < REPORTED {
        if let Ok(line) = dial(addr).await {
            return Some(line);
        }
        // If there is no room for it, it is reported again.
        let _ = shared.events.try_send(Event::LifelineCut { peer: link.peer });
        sleep(MISSED).await;
    }
    None
}

async fn dial(addr: SocketAddr) -> io::Result<TcpStream> {
    timeout(DIAL, TcpStream::connect(addr)).await?
}

/// Nothing is said over a lifeline; whoever says something is no peer.
async fn until_cut(mut line: TcpStream) {
    let kept_alive = sockopt::set_socket_keepalive(&line, true)
        .and_then(|()| sockopt::set_tcp_keepidle(&line, KEEP_ALIVE));
    if let Err(error) = kept_alive {
        log::debug!("a lifeline is kept without keep-alive: {error}");
    }
    let _ = line.read_u8().await;
}
