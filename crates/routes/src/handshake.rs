//! How two servers come to trust each other.
//!
//! QUIC's handshake comes first; with certificates, both are verified when it is over. Then, on one
//! stream in each direction:
//!
//! ```text
//! dialer                              acceptor
//!   | ---- Hello ------------------------> |  judges it; closes, or answers
//!   | <------------------------ Hello ---- |
//!   |  judges it; closes, or goes on       |
//! ```
//!
//! Of the two, the one with the smaller (server name, server id) decides: if it has a live link to
//! that process already, it closes this connection, else it sends `Welcome`, and with that the
//! connection is the link for both.

use std::net::SocketAddr;

use quinn::{Connecting, Connection, ConnectionError, RecvStream, SendStream};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::crypto;
use crate::error::Refusal;
use crate::frame::{Deframer, HEADER};
use crate::identity::Identity;
use crate::lane::{PROLOGUE, Purpose};
use crate::link::FAREWELL;
use crate::options::is_host;
use crate::shared::{Command, Shared};
use crate::wire::{HELLO_LIMIT, Hello, LINK_LIMIT, LinkFrame, code, printable, refuse};

/// A connection whose two servers accept each other.
pub(crate) struct Candidate {
    pub(crate) connection: Connection,
    /// What the peer said.
    pub(crate) hello: Hello,
    /// What this server said.
    pub(crate) told: Identity,
    /// Whether this side dialled.
    pub(crate) dialed: bool,
    /// Whether it is on this side to decide.
    pub(crate) deciding: bool,
    /// The link stream to the peer.
    pub(crate) outbound: SendStream,
    /// The link stream from the peer.
    pub(crate) inbound: Inbound,
}

/// A connection did not become a link.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Lost(String),
}

/// Brings a connection from its first datagram to the mesh's verdict. Returns the peer's name.
pub(crate) async fn establish(
    shared: &Shared,
    connecting: Connecting,
    dialed: bool,
) -> Result<String, Failure> {
    let steps = async {
        let connection = connecting.await?;
        let introduced = introduce(shared, &connection, dialed).await;
        if let Err(Failure::Refused(refusal)) = &introduced {
            // Of no effect if it was the peer that refused.
            refuse(&connection, shared.name(), refusal);
        }
        let candidate = Box::new(introduced?);
        let name = candidate.hello.identity.server_name.clone();
        let (verdict, decided) = oneshot::channel();
        let proposal = Command::Propose { candidate, verdict };
        let stopped = |_| Failure::Lost("server shutdown".to_owned());
        shared.commands.send(proposal).await.map_err(|_| stopped(()))?;
        decided.await.map_err(|_| stopped(()))??;
        Ok(name)
    };
    let late = || Failure::Lost("no link before the handshake deadline".to_owned());
    timeout(shared.options.timing.handshake, steps).await.unwrap_or_else(|_| Err(late()))
}

async fn introduce(
    shared: &Shared,
    connection: &Connection,
    dialed: bool,
) -> Result<Candidate, Failure> {
    let told = shared.identity.borrow().clone();
    let (hello, outbound, mut inbound) = if dialed {
        let outbound = say_hello(shared, &told, connection, dialed).await?;
        let mut inbound = Inbound::accept(connection).await?;
        let hello = hear_hello(shared, connection, &mut inbound, dialed).await?;
        (hello, outbound, inbound)
    } else {
        let mut inbound = Inbound::accept(connection).await?;
        let hello = hear_hello(shared, connection, &mut inbound, dialed).await?;
        let outbound = say_hello(shared, &told, connection, dialed).await?;
        (hello, outbound, inbound)
    };
    let deciding = told.decides_over(&hello.identity);
    inbound.deframer.set_limit(LINK_LIMIT);
    if !deciding {
        match inbound.next(connection).await? {
            LinkFrame::Welcome => {}
            _ => return Err(Refusal::Protocol("expected Welcome".to_owned()).into()),
        }
    }
    let connection = connection.clone();
    Ok(Candidate { connection, hello, told, dialed, deciding, outbound, inbound })
}

async fn say_hello(
    shared: &Shared,
    identity: &Identity,
    connection: &Connection,
    dialed: bool,
) -> Result<SendStream, Failure> {
    let authorization = shared.options.authorization.as_ref();
    let hello = LinkFrame::Hello(Box::new(Hello {
        identity: identity.clone(),
        advertise: shared.options.advertise.clone(),
        proof: authorization.and_then(|known| crypto::proof(connection, known, dialed)),
    }))
    .encode();
    let mut bytes = Vec::with_capacity(PROLOGUE + HEADER + hello.len());
    bytes.extend_from_slice(&Purpose::Link.encode());
    bytes.extend_from_slice(&u32::try_from(hello.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&hello);
    let mut stream = connection.open_uni().await?;
    // Above all lanes: it is small, and settles what the others rest on.
    let _ = stream.set_priority(i32::MAX);
    match stream.write_all(&bytes).await {
        Ok(()) => Ok(stream),
        Err(error) => Err(broken_off(connection, &error.to_string()).await),
    }
}

async fn hear_hello(
    shared: &Shared,
    connection: &Connection,
    inbound: &mut Inbound,
    dialed: bool,
) -> Result<Hello, Failure> {
    let LinkFrame::Hello(hello) = inbound.next(connection).await? else {
        return Err(Refusal::Protocol("expected Hello".to_owned()).into());
    };
    if let Some(known) = &shared.options.authorization {
        // The peer has the other role.
        let expected = crypto::proof(connection, known, !dialed);
        let proven = expected.zip(hello.proof).is_some_and(|(a, b)| crypto::same_proof(&a, &b));
        if !proven {
            return Err(Refusal::Authorization.into());
        }
    }
    judge(&shared.identity.borrow(), &hello)?;
    Ok(*hello)
}

/// Whether a server may be linked to, as far as its Hello tells.
fn judge(own: &Identity, hello: &Hello) -> Result<(), Refusal> {
    let theirs = &hello.identity;
    theirs.check().map_err(|error| Refusal::Protocol(error.to_string()))?;
    if hello.advertise.as_ref().is_some_and(|(host, _)| !is_host(host)) {
        return Err(Refusal::Protocol("advertised host is malformed".to_owned()));
    }
    if theirs.is_same_process(own) {
        return Err(Refusal::Oneself);
    }
    if theirs.cluster_name != own.cluster_name {
        let (theirs, ours) = (theirs.cluster_name.clone(), own.cluster_name.clone());
        return Err(Refusal::ClusterName { theirs, ours });
    }
    if theirs.server_name == own.server_name {
        return Err(Refusal::DuplicateName(theirs.server_name.clone()));
    }
    judge_cluster_id(own, theirs)
}

/// Whether two servers can be of one cluster: unless both have a cluster id they can.
pub(crate) fn judge_cluster_id(own: &Identity, theirs: &Identity) -> Result<(), Refusal> {
    match (theirs.cluster_id, own.cluster_id) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Refusal::ClusterId { theirs, ours }),
        _ => Ok(()),
    }
}

/// The link stream from the peer.
pub(crate) struct Inbound {
    stream: RecvStream,
    deframer: Deframer,
}

impl Inbound {
    async fn accept(connection: &Connection) -> Result<Self, Failure> {
        let mut stream = connection.accept_uni().await?;
        let mut prologue = [0; PROLOGUE];
        if let Err(error) = stream.read_exact(&mut prologue).await {
            return Err(broken_off(connection, &error.to_string()).await);
        }
        match Purpose::decode(prologue) {
            Ok(Purpose::Link) => Ok(Self { stream, deframer: Deframer::new(HELLO_LIMIT) }),
            Ok(Purpose::Lane(lane)) => {
                Err(Refusal::Protocol(format!("lane {lane} before Hello")).into())
            }
            Err(error) => Err(Refusal::Protocol(error.to_string()).into()),
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self, connection: &Connection) -> Result<LinkFrame, Failure> {
        loop {
            match self.deframer.next() {
                Ok(Some(frame)) => return Ok(LinkFrame::decode(&frame).map_err(Refusal::from)?),
                Ok(None) => {}
                Err(error) => return Err(Refusal::Protocol(error.to_string()).into()),
            }
            match self.stream.read_buf(self.deframer.space()).await {
                Ok(0) => return Err(broken_off(connection, "link stream ended").await),
                Ok(_) => {}
                Err(error) => return Err(broken_off(connection, &error.to_string()).await),
            }
        }
    }
}

/// What the end of a stream means. A peer that refuses drops its streams and closes the connection,
/// and of the two the first may come first: so wait a little for the true reason.
async fn broken_off(connection: &Connection, what: &str) -> Failure {
    match timeout(FAREWELL, connection.closed()).await {
        Ok(reason) => reason.into(),
        Err(_) => Refusal::Protocol(what.to_owned()).into(),
    }
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => remote(&close).into(),
            ConnectionError::TransportError(error) if is_tls(error.code) => {
                Refusal::Tls(error.reason).into()
            }
            ConnectionError::ConnectionClosed(close) if is_tls(close.error_code) => {
                let said = printable(&close.reason);
                Refusal::Tls(format!("the remote server said: {said}")).into()
            }
            other => Self::Lost(other.to_string()),
        }
    }
}

/// What the peer said when it closed the connection.
fn remote(close: &quinn::ApplicationClose) -> Refusal {
    let text = printable(&close.reason);
    let is = |code: u32| close.error_code == code.into();
    if is(code::ALREADY_LINKED) {
        Refusal::AlreadyLinked(text)
    } else if is(code::ONESELF) {
        Refusal::Oneself
    } else {
        Refusal::Remote(text)
    }
}

/// Transport errors 0x100 to 0x1ff are TLS alerts (RFC 9001, 4.8).
fn is_tls(code: quinn::TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

/// The address that a peer's datagrams come from, IPv4 as IPv4.
pub(crate) fn address(connection: &Connection) -> SocketAddr {
    let addr = connection.remote_address();
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn hello(name: &str) -> Hello {
        let identity = Identity {
            server_name: name.to_owned(),
            server_id: format!("id-of-{name}"),
            cluster_name: "c".to_owned(),
            store_id: Some(7),
            log_end: None,
            cluster_id: None,
            boot_id: 1,
            jetstream: true,
            tags: vec!["az:1".to_owned()],
            client_urls: vec!["127.0.0.1:4222".to_owned()],
            version: "0.1.0".to_owned(),
        };
        Hello { identity, advertise: None, proof: Some([3; 32]) }
    }

    fn judged(change: impl FnOnce(&mut Hello)) -> Result<(), Refusal> {
        let mut own = hello("n1").identity;
        own.cluster_id = Some(1);
        let mut theirs = hello("n2");
        change(&mut theirs);
        judge(&own, &theirs)
    }

    #[test]
    fn servers_of_one_cluster_accept_each_other() {
        assert_eq!(judged(|_| {}), Ok(()));
        assert_eq!(judged(|hello| hello.identity.cluster_id = Some(1)), Ok(()));
    }

    #[test]
    fn each_conflict_has_its_own_refusal() {
        let (theirs, ours) = ("d".to_owned(), "c".to_owned());
        assert_eq!(
            judged(|hello| hello.identity.cluster_name = theirs.clone()),
            Err(Refusal::ClusterName { theirs: "d".to_owned(), ours })
        );
        assert_eq!(
            judged(|hello| hello.identity.cluster_id = Some(2)),
            Err(Refusal::ClusterId { theirs: 2, ours: 1 })
        );
        assert_eq!(
            judged(|hello| hello.identity.server_name = "n1".to_owned()),
            Err(Refusal::DuplicateName("n1".to_owned()))
        );
        assert_eq!(judged(|theirs| *theirs = hello("n1")), Err(Refusal::Oneself));
    }

    #[test]
    fn names_that_cannot_be_printed_are_refused() {
        for name in [String::new(), "a\nb".to_owned(), "x".repeat(1000)] {
            let refusal = judged(|hello| hello.identity.server_name = name).unwrap_err();
            assert!(matches!(refusal, Refusal::Protocol(_)), "{refusal}");
        }
    }

    #[test]
    fn of_two_servers_exactly_one_decides() {
        let (a, b) = (hello("a").identity, hello("b").identity);
        assert!(a.decides_over(&b) && !b.decides_over(&a));
    }
}
