//! TLS configurations, and the proof of shared credentials.

use std::path::Path;
use std::sync::Arc;

use quinn::Connection;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::error::StartError;
use crate::options::{Authorization, TlsFiles};

/// Named in the TLS handshake, so that no other protocol is mistaken for this one.
const ALPN: &[u8] = b"flotilla-route/1";

/// The two configurations that one endpoint uses.
pub(crate) struct Crypto {
    pub(crate) server: Arc<QuicServerConfig>,
    pub(crate) client: Arc<QuicClientConfig>,
    /// Whether peers' certificates, and with them the names dialled, are verified.
    pub(crate) verified: bool,
}

impl Crypto {
    /// With `files`, both sides are verified; without, a certificate is made for this process and
    /// the peer's is not looked at.
    pub(crate) fn new(files: Option<&TlsFiles>) -> Result<Self, StartError> {
        let (server, client) = match files {
            Some(files) => verified(files)?,
            None => self_signed()?,
        };
        Ok(Self {
            server: Arc::new(QuicServerConfig::try_from(server).map_err(tls)?),
            client: Arc::new(QuicClientConfig::try_from(client).map_err(tls)?),
            verified: files.is_some(),
        })
    }
}

type Configs = (rustls::ServerConfig, rustls::ClientConfig);

fn verified(files: &TlsFiles) -> Result<Configs, StartError> {
    let provider = provider();
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.ca)? {
        roots.add(authority).map_err(|error| pem(&files.ca, &error))?;
    }
    let roots = Arc::new(roots);
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| pem(&files.key, &error))?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(tls)?;
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(tls)?;
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(tls)?;
    Ok(harden(server, client))
}

fn self_signed() -> Result<Configs, StartError> {
    let provider = provider();
    let made = rcgen::generate_simple_self_signed([UNVERIFIED_NAME.to_owned()]).map_err(tls)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(tls)?;
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(tls)?;
    let client = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(harden(server, client))
}

/// The name dialled where certificates are not looked at.
pub(crate) const UNVERIFIED_NAME: &str = "flotilla";

/// No resumption and no early data: every link begins with a full handshake, and nothing that
/// arrives can be a replay.
fn harden(mut server: rustls::ServerConfig, mut client: rustls::ClientConfig) -> Configs {
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.max_early_data_size = 0;
    server.send_tls13_tickets = 0;
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.enable_early_data = false;
    client.resumption = rustls::client::Resumption::disabled();
    (server, client)
}

/// Ring, with AES-128 preferred: routes are bound by the processor, and every byte is encrypted.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| pem(file, &error))?;
    if found.is_empty() {
        return Err(pem(file, &"holds no certificate"));
    }
    Ok(found)
}

fn pem(file: &Path, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Pem { file: file.to_owned(), reason: reason.to_string() }
}

fn tls(error: impl std::fmt::Display) -> StartError {
    StartError::Tls(error.to_string())
}

/// Accepts any certificate, but no handshake that was not signed with its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What a side proves its knowledge of the credentials with: a TLS exporter value (RFC 8446, 7.5)
/// with the credentials as context. It depends on this connection's secrets, so it is of no use on
/// another one, and on the role, so it cannot be sent back to its author.
pub(crate) fn proof(
    connection: &Connection,
    authorization: &Authorization,
    by_dialer: bool,
) -> Option<[u8; 32]> {
    let label: &[u8] =
        if by_dialer { b"EXPORTER-flotilla-dialer" } else { b"EXPORTER-flotilla-acceptor" };
    let mut context = Vec::new();
    for part in [&authorization.user, &authorization.pass] {
        context.extend_from_slice(&(part.len() as u64).to_le_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    let mut proof = [0; 32];
    connection.export_keying_material(&mut proof, label, &context).ok()?;
    Some(proof)
}

/// Compares without telling by its duration where two proofs differ.
pub(crate) fn same_proof(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |found, (a, b)| std::hint::black_box(found | (a ^ b)));
    difference == 0
}
