//! Lets other servers in.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::Incoming;
use tokio::task::JoinSet;

use crate::handshake::{Failure, establish};
use crate::shared::Shared;

/// Handshakes under way at a time. Each may take memory for 64 KiB and lasts at most
/// [`Timing::handshake`](crate::Timing::handshake).
const MOST_HANDSHAKES: usize = 256;

/// With so many handshakes under way a stranger must first show that its address is its own, so
/// that forged addresses cannot take up the rest.
const BUSY: usize = 32;

/// Serves incoming connections until the endpoint is closed.
pub(crate) async fn accept(shared: Arc<Shared>) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            incoming = shared.endpoint.accept() => {
                let Some(incoming) = incoming else { break };
                if handshakes.len() >= MOST_HANDSHAKES {
                    incoming.refuse();
                } else if handshakes.len() >= BUSY && incoming.may_retry() {
                    // It may retry, so this cannot fail.
                    let _ = incoming.retry();
                } else {
                    handshakes.spawn(serve(shared.clone(), incoming));
                }
            }
            Some(_) = handshakes.join_next() => {}
        }
    }
}

async fn serve(shared: Arc<Shared>, incoming: Incoming) {
    let addr = incoming.remote_address();
    let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
    let established = match incoming.accept() {
        Ok(connecting) => establish(&shared, connecting, false).await,
        Err(error) => Err(error.into()),
    };
    match established {
        Ok(_) => {}
        Err(Failure::Refused(refusal)) => {
            log::debug!("route from {addr}: {refusal}");
            shared.report(addr, refusal);
        }
        Err(Failure::Lost(reason)) => log::debug!("route from {addr}: {reason}"),
    }
}
