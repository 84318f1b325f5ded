//! Certificates of the routes.

use std::path::PathBuf;
use std::time::Duration;

use super::fields::Fields;
use super::section::{Key, Section};
use crate::findings::{Findings, Reason};
use crate::syntax::{Map, Position};

/// The certificates with which servers prove themselves to each other. With them, both sides of a route
/// are verified before any frame is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTls {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// The private key, PEM.
    pub key_file: PathBuf,
    /// The authorities that peers' certificates must come from, PEM.
    pub ca_file: PathBuf,
    /// Time that a handshake may take.
    pub timeout: Duration,
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) const ROUTE_TLS: Section = Section {
    path: "cluster.tls",
    keys: &[
        Key {
            name: "cert_file",
            aliases: &[],
            kind: "path",
            default: "required",
            reload: true,
            meaning: "This server's certificate chain, PEM. Every reload reads the files again.",
        },
        Key {
            name: "key_file",
            aliases: &[],
            kind: "path",
            default: "required",
            reload: true,
            meaning: "The private key of the certificate, PEM.",
        },
        Key {
            name: "ca_file",
            aliases: &[],
            kind: "path",
            default: "required",
            reload: true,
            meaning: "The authorities that the certificates of peers must come from, PEM.",
        },
        Key {
            name: "verify",
            aliases: &[],
            kind: "boolean",
            default: "`true`",
            reload: true,
            meaning: "Accepted for NATS's files; must be true, since both sides are always verified.",
        },
        Key {
            name: "timeout",
            aliases: &[],
            kind: "seconds or duration",
            default: "`2`",
            reload: true,
            meaning: "Time that a handshake may take.",
        },
    ],
    unsupported: &[
        "insecure",
        "verify_and_map",
        "verify_cert_and_check_known_urls",
        "cipher_suites",
        "allow_insecure_cipher_suites",
        "curve_preferences",
        "connection_rate_limit",
        "pinned_certs",
        "handshake_first",
        "first",
        "immediate",
        "min_version",
        "certs",
        "ocsp_peer",
        "cert_store",
        "cert_match_by",
        "cert_match",
        "cert_match_skip_invalid",
        "ca_certs_match",
    ],
};

/// Reads `cluster.tls`, which stands at `at`.
pub(super) fn read(map: &Map, at: Option<&Position>, findings: &mut Findings) -> Option<RouteTls> {
    let mut fields = Fields::new(map, &ROUTE_TLS, findings);
    if fields.bool("verify") == Some(false) {
        let why = "cannot be false: servers always verify each other";
        fields.fail("verify", Reason::Invalid { name: "verify", why });
    }
    let timeout = fields.timeout("timeout").unwrap_or(DEFAULT_TIMEOUT);
    let mut file = |name| {
        let path = fields.path(name);
        if path.is_none() && fields.value(name).is_none() {
            let reason = Reason::Required { context: "cluster.tls", option: name };
            fields.findings.fail(at.cloned(), reason);
        }
        path
    };
    let (cert, key, ca) = (file("cert_file"), file("key_file"), file("ca_file"));
    Some(RouteTls { cert_file: cert?, key_file: key?, ca_file: ca?, timeout })
}
