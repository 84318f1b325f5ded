//! Routes with `tls`: who is let in, and who is not.

use std::net::SocketAddr;
use std::path::Path;

use flotilla_routes::{Options, Refusal, RouteUrl, Routes, StartError, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::cluster::{Node, options};

/// An authority that writes certificates to files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), ca }
    }

    /// A certificate for `host` in files of `dir`.
    fn issue(&self, dir: &Path, name: &str, host: &str) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let write = |suffix: &str, text: String| {
            let file = dir.join(format!("{name}-{suffix}.pem"));
            std::fs::write(&file, text).unwrap();
            file
        };
        TlsFiles {
            cert: write("cert", cert.pem()),
            key: write("key", key.serialize_pem()),
            ca: write("ca", self.ca.clone()),
        }
    }
}

fn tls(name: &str, files: Option<TlsFiles>, seeds: &[SocketAddr]) -> Options {
    let mut options = options(name, seeds);
    options.tls = files;
    options
}

#[test]
fn servers_of_one_authority_link() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    let mut a = Node::start(tls("a", Some(authority.issue(dir.path(), "a", "127.0.0.1")), &[]));
    let b = authority.issue(dir.path(), "b", "127.0.0.1");
    let mut b = Node::start(tls("b", Some(b), &[a.addr()]));
    a.peer_up("b");
    b.peer_up("a");
}

#[test]
fn a_server_without_certificate_is_refused() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    let mut a = Node::start(tls("a", Some(authority.issue(dir.path(), "a", "127.0.0.1")), &[]));
    let mut b = Node::start(tls("b", None, &[a.addr()]));
    assert!(matches!(a.refused(), Refusal::Tls(_)));
    assert!(matches!(b.refused(), Refusal::Tls(_)));
    assert!(a.handle.peers().is_empty() && b.handle.peers().is_empty());
}

#[test]
fn another_authority_is_refused_whoever_dials() {
    let (dir, ours, theirs) = (TempDir::new().unwrap(), Authority::new(), Authority::new());
    let here = ours.issue(dir.path(), "a", "127.0.0.1");
    // Trusts our authority, and shows a certificate of its own.
    let mut there = theirs.issue(dir.path(), "b", "127.0.0.1");
    there.ca = here.ca.clone();
    let mut a = Node::start(tls("a", Some(here.clone()), &[]));
    let mut b = Node::start(tls("b", Some(there.clone()), &[a.addr()]));
    assert!(matches!(a.refused(), Refusal::Tls(_)));
    assert!(matches!(b.refused(), Refusal::Tls(_)));
    let b = Node::start(tls("b", Some(there), &[]));
    let mut a = Node::start(tls("a", Some(here), &[b.addr()]));
    assert!(matches!(a.refused(), Refusal::Tls(_)));
    assert!(a.handle.peers().is_empty() && b.handle.peers().is_empty());
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    let files = authority.issue(dir.path(), "a", "elsewhere.example");
    let a = Node::start(tls("a", Some(files), &[]));
    let b = authority.issue(dir.path(), "b", "127.0.0.1");
    let mut b = Node::start(tls("b", Some(b), &[a.addr()]));
    assert!(matches!(b.refused(), Refusal::Tls(_)));
}

#[test]
fn a_host_is_verified_as_it_is_written() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    let files = authority.issue(dir.path(), "a", "localhost");
    let mut listening = tls("a", Some(files), &[]);
    listening.advertise = Some(("localhost".to_owned(), 1));
    let mut a = Node::start(listening);
    let b = authority.issue(dir.path(), "b", "127.0.0.1");
    let mut dialing = tls("b", Some(b), &[]);
    dialing.seeds = vec![RouteUrl { host: "localhost".to_owned(), port: a.addr().port() }];
    let mut b = Node::start(dialing);
    a.peer_up("b");
    assert_eq!(b.peer_up("a").advertised, ("localhost".to_owned(), 1));
}

#[tokio::test]
async fn files_that_hold_nothing_are_named() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    let mut files = authority.issue(dir.path(), "a", "127.0.0.1");
    files.ca = dir.path().join("missing.pem");
    let Err(StartError::Pem { file, .. }) = Routes::start(tls("a", Some(files.clone()), &[]))
    else {
        panic!("started without authorities")
    };
    assert_eq!(file, files.ca);
    std::fs::write(&files.ca, "no certificate").unwrap();
    let error = Routes::start(tls("a", Some(files), &[])).err();
    assert!(matches!(error, Some(StartError::Pem { .. })), "{error:?}");
}
