//! The file of ports: where a test finds a server that was started on random ones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Writes `<program>_<pid>.ports`, as clients' test harnesses read it.
pub(super) fn write(
    dir: &Path,
    clients: SocketAddr,
    monitor: Option<SocketAddr>,
    cluster: Option<SocketAddr>,
) -> std::io::Result<PathBuf> {
    let path = dir.join(format!("flotilla-server_{}.ports", std::process::id()));
    let list = |scheme: &str, addr: Option<SocketAddr>| {
        addr.map_or_else(String::new, |addr| format!("\"{scheme}://{addr}\""))
    };
    let json = format!(
        "{{\"nats\":[{}],\"monitoring\":[{}],\"cluster\":[{}]}}\n",
        list("nats", Some(clients)),
        list("http", monitor),
        list("nats", cluster),
    );
    // Whoever waits for the file must not read half of it.
    let unfinished = path.with_extension("ports.tmp");
    std::fs::write(&unfinished, json)?;
    std::fs::rename(&unfinished, &path)?;
    Ok(path)
}
