//! The body of `INFO`.

use serde::{Deserialize, Serialize};

/// What a server says about itself to a client: on connect, after the client's first `PING`, and whenever the
/// topology changes. Fields that say nothing are left out, as the reference server does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The server's id, shaped like an NKey: `N` and 55 characters.
    pub server_id: String,
    /// The server's name, unique in the cluster.
    pub server_name: String,
    /// The version of the NATS surface that is implemented. Client libraries switch features on by it.
    pub version: String,
    /// The protocol: 1, the server may send `INFO` at any time.
    pub proto: i64,
    /// The source revision, and the place for this server's own identity.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    /// The language version of the reference server; other servers name themselves here.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go: String,
    /// The host of the client listener.
    pub host: String,
    /// The port of the client listener.
    pub port: u16,
    /// Message headers are understood.
    pub headers: bool,
    /// `CONNECT` must carry credentials.
    #[serde(skip_serializing_if = "no")]
    pub auth_required: bool,
    /// The client must upgrade to TLS now.
    #[serde(skip_serializing_if = "no")]
    pub tls_required: bool,
    /// The client must show a certificate.
    #[serde(skip_serializing_if = "no")]
    pub tls_verify: bool,
    /// The client may upgrade to TLS.
    #[serde(skip_serializing_if = "no")]
    pub tls_available: bool,
    /// The largest message, headers and payload together, in bytes.
    pub max_payload: u64,
    /// JetStream is on.
    #[serde(skip_serializing_if = "no")]
    pub jetstream: bool,
    /// The address the client dialled, if the server listens on all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// The connection's id on this server.
    #[serde(skip_serializing_if = "zero")]
    pub client_id: u64,
    /// The client's address as the server sees it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_ip: String,
    /// What an nkey client signs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nonce: String,
    /// The cluster's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// `host:port` of the client listeners of the cluster, this server's first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// The same for WebSocket listeners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Lame duck mode: the server will go, the client should reconnect elsewhere.
    #[serde(rename = "ldm", skip_serializing_if = "no")]
    pub lame_duck_mode: bool,
    /// This is the `INFO` that follows the first `PING`.
    #[serde(skip_serializing_if = "no")]
    pub connect_info: bool,
    /// The account the client was put into; only with `connect_info`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remote_account: String,
    /// That account is the system account.
    #[serde(rename = "acc_is_sys", skip_serializing_if = "no")]
    pub account_is_system: bool,
    /// The JetStream API level.
    #[serde(rename = "api_lvl", skip_serializing_if = "zero")]
    pub api_level: u64,
    /// The server's public curve key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub xkey: String,
}

fn no(value: &bool) -> bool {
    !value
}

fn zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_left_out() {
        let info =
            Info { proto: 1, port: 4222, max_payload: 1024, headers: true, ..Info::default() };
        let json = serde_json::to_string(&info).unwrap();
        assert_eq!(
            json,
            r#"{"server_id":"","server_name":"","version":"","proto":1,"host":"","port":4222,"headers":true,"max_payload":1024}"#
        );
        assert_eq!(serde_json::from_str::<Info>(&json).unwrap(), info);
    }

    #[test]
    fn wire_names_differ_from_ours_where_the_protocol_abbreviates() {
        let info =
            Info { lame_duck_mode: true, account_is_system: true, api_level: 3, ..Info::default() };
        let json = serde_json::to_string(&info).unwrap();
        for field in [r#""ldm":true"#, r#""acc_is_sys":true"#, r#""api_lvl":3"#] {
            assert!(json.contains(field), "{field} in {json}");
        }
    }
}
