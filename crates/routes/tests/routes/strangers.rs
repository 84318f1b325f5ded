//! Whatever arrives at the port, from whomever: no panic, no lost link.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use flotilla_routes::{DownReason, Lane, Refusal};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::cluster::{Node, identity, options, pair};

/// Deterministic noise.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn noise_on_the_port_disturbs_nobody() {
    let (a, of_b, mut b, of_a) = pair();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for seed in 0..2_000 {
        let mut datagram = noise(seed, 1 + (seed as usize * 37) % 1_400);
        // Half of them look like QUIC's long header, a quarter like its version 1.
        if seed % 2 == 0 {
            datagram[0] |= 0xc0;
        }
        if seed % 4 == 0 && datagram.len() > 5 {
            datagram[1..5].copy_from_slice(&1u32.to_be_bytes());
        }
        socket.send_to(&datagram, b.addr()).unwrap();
    }
    a.handle.send(of_b, Lane::Control, "still here".into()).unwrap();
    assert_eq!(b.frames(of_a, Lane::Control, 1), ["still here"]);
}

/// Something that speaks QUIC to a server, and then anything.
async fn stranger(addr: SocketAddr) -> (Endpoint, Connection) {
    let mut crypto =
        rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_no_client_auth();
    crypto.alpn_protocols = vec![b"flotilla-route/1".to_vec()];
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(crypto).unwrap()));
    let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    endpoint.set_default_client_config(config);
    let connection = endpoint.connect(addr, "any").unwrap().await.unwrap();
    (endpoint, connection)
}

/// Sends these bytes on a first stream and waits for the server to close the connection.
fn first_words(node: &Node, bytes: &[u8]) -> String {
    let addr = node.addr();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (_endpoint, connection) = stranger(addr).await;
        let mut stream = connection.open_uni().await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let _ = stream.finish();
        connection.closed().await.to_string()
    })
}

fn link_frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&[0; 9], &length.to_le_bytes()[..], body].concat()
}

#[test]
fn wrong_first_words_are_answered_with_a_reason() {
    let mut node = Node::start(options("a", &[]));
    let huge = [&[0; 9], &u32::MAX.to_le_bytes()[..]].concat();
    for (bytes, reason) in [
        (vec![9; 9], "names no known lane"),
        (vec![2, 0, 0, 0, 0, 0, 0, 0, 0], "lane messages before Hello"),
        (huge, "above the limit"),
        (link_frame(&[]), "empty frame"),
        (link_frame(&[77, 1, 2, 3]), "version 77"),
        (link_frame(&[1, 0xc1, 0xff]), "malformed"),
        (link_frame(&[1, 0xdb, 0xff, 0xff, 0xff, 0xff]), "malformed"),
    ] {
        let said = first_words(&node, &bytes);
        assert!(said.contains(reason), "expected {reason:?}, the server said {said:?}");
        let refusal = node.refused();
        assert!(matches!(refusal, Refusal::Protocol(_) | Refusal::Version { .. }), "{refusal}");
    }
}

#[test]
fn noise_for_a_hello_is_survived() {
    let node = Node::start(options("a", &[]));
    for seed in 0..30 {
        let mut bytes = vec![1];
        bytes.extend(noise(seed, 1 + (seed as usize * 97) % 2_000));
        first_words(&node, &link_frame(&bytes));
    }
    let mut peer = Node::start(options("b", &[node.addr()]));
    peer.peer_up("a");
}

/// A peer that has been let in and then breaks the protocol is cut off, with the reason.
#[test]
fn a_frame_above_the_limit_costs_the_link() {
    let mut careful = options("a", &[]);
    careful.limits.frame = 1_000;
    let mut a = Node::start(careful);
    let mut b = Node::start(options("b", &[a.addr()]));
    let (of_b, of_a) = (a.peer_up("b").peer, b.peer_up("a").peer);
    b.handle.send(of_a, Lane::Messages, vec![0; 1_001].into()).unwrap();
    let DownReason::Refused(Refusal::Protocol(why)) = a.peer_down(of_b) else { panic!() };
    assert!(why.contains("frame of 1001 bytes is above the limit of 1000"), "{why}");
    assert!(matches!(b.peer_down(of_a), DownReason::Remote(_)));
}

#[test]
fn an_identity_that_cannot_be_told_is_refused_at_home() {
    let node = Node::start(options("a", &[]));
    let change = node.handle.update_identity(|identity| identity.tags = vec!["x".repeat(30_000)]);
    assert!(change.is_err());
    assert_eq!(node.handle.identity(), identity("a", 1));
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
