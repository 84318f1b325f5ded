//! The configuration files of the cluster's servers.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The user of the system account. The servers listen on the loopback address only.
pub(super) const SYSTEM_USER: &str = "admin";
/// Its password.
pub(super) const SYSTEM_PASSWORD: &str = "admin";

/// One server of the cluster.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    /// Where its configuration, log and data are.
    pub(super) dir: PathBuf,
    pub(super) client: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) cluster: SocketAddr,
}

/// Writes the server's configuration file and returns its path.
///
/// # Errors
/// The directory or the file cannot be written.
pub(super) fn write(server: &Server, all: &[Server], cluster: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(&server.dir)?;
    let path = server.dir.join("server.conf");
    fs::write(&path, render(server, all, cluster))?;
    Ok(path)
}

fn render(server: &Server, all: &[Server], cluster: &str) -> String {
    let Server { name, dir, client, http, cluster: listen } = server;
    let data = quoted(&dir.join("data"));
    let mut text = format!(
        "server_name: {name}\nlisten: {client}\nhttp: {http}\n\n\
        jetstream {{\n  store_dir: {data}\n}}\n\n\
        accounts {{\n  $SYS {{ users: [ {{ user: {SYSTEM_USER}, password: {SYSTEM_PASSWORD} }} ] }}\n}}\n"
    );
    let routes: String = all
        .iter()
        .filter(|other| other.name != *name)
        .map(|other| format!("    nats-route://{}\n", other.cluster))
        .collect();
    // A server without peers is no cluster: it need not wait for a majority.
    if !routes.is_empty() {
        text.push_str(&format!(
            "\ncluster {{\n  name: {cluster}\n  listen: {listen}\n  routes: [\n{routes}  ]\n}}\n"
        ));
    }
    text
}

/// A path as a string of the configuration's grammar.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(index: u16) -> Server {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port + index));
        Server {
            name: format!("n{index}-c1"),
            dir: PathBuf::from(format!("/tmp/my \"data\"/n{index}")),
            client: address(4221),
            http: address(8221),
            cluster: address(6221),
        }
    }

    #[test]
    fn a_server_s_routes_are_the_others() {
        let all = [server(1), server(2), server(3)];
        let text = render(&all[1], &all, "C1");
        assert!(
            text.contains("server_name: n2-c1\nlisten: 127.0.0.1:4223\nhttp: 127.0.0.1:8223\n")
        );
        assert!(text.contains("nats-route://127.0.0.1:6222\n    nats-route://127.0.0.1:6224\n"));
        assert!(!text.contains("nats-route://127.0.0.1:6223"));
        assert!(text.contains(r#"store_dir: "/tmp/my \"data\"/n2/data""#), "{text}");
    }

    #[test]
    fn one_server_alone_is_no_cluster() {
        assert!(!render(&server(1), &[server(1)], "C1").contains("cluster {"));
    }
}
