//! The thread that routes run on.
//!
//! What one server says to another passes through several tasks: the lane's writer, the connection, the endpoint, and on the
//! other side the endpoint, the connection, the lane's reader and the loop that takes it to a shard. On a runtime with many
//! threads each of them may be woken on another one, which costs more than what it does. On one thread they follow each
//! other. QUIC keeps each connection under a lock, so that more threads would not encrypt faster either.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Starts it, from within a runtime with which it ends, and all that runs on it. Returns where to spawn.
pub(crate) fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    thread::Builder::new().name("routes".to_owned()).spawn(move || {
        // It fails when the other end is dropped, which is what is waited for.
        drop(runtime.block_on(stopped));
    })?;
    tokio::spawn(async move {
        let _stop = stop;
        std::future::pending::<()>().await;
    });
    Ok(handle)
}
