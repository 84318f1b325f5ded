//! The body of `CONNECT`.

use serde::{Deserialize, Deserializer, Serialize};

use crate::ErrorReply;

/// What a client says about itself. Fields that are absent, or `null`, have the server's defaults, of which
/// `verbose`, `pedantic` and `echo` being *on* is the surprising part. Unknown fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connect {
    /// Answer every operation with `+OK`.
    #[serde(deserialize_with = "null_as_yes")]
    pub verbose: bool,
    /// Complain about subjects that are published to and are no literals.
    #[serde(deserialize_with = "null_as_yes")]
    pub pedantic: bool,
    /// Deliver the client's own messages to its own subscriptions.
    #[serde(deserialize_with = "null_as_yes")]
    pub echo: bool,
    /// The client insists on TLS.
    #[serde(deserialize_with = "null_as_default")]
    pub tls_required: bool,
    /// A name for the operator's eyes.
    pub name: Option<String>,
    /// The client library's language.
    pub lang: Option<String>,
    /// The client library's version.
    pub version: Option<String>,
    /// 0: the original protocol; 1: the client takes an `INFO` at any time.
    #[serde(deserialize_with = "null_as_default")]
    pub protocol: i64,
    /// The client understands `HPUB` and `HMSG`.
    #[serde(deserialize_with = "null_as_default")]
    pub headers: bool,
    /// Tell the client when nobody listens to a request.
    #[serde(deserialize_with = "null_as_default")]
    pub no_responders: bool,
    /// The token of token authentication.
    pub auth_token: Option<String>,
    /// The user of user and password authentication.
    pub user: Option<String>,
    /// The password of user and password authentication.
    pub pass: Option<String>,
    /// The public key of nkey authentication.
    pub nkey: Option<String>,
    /// The signature of the server's nonce.
    pub sig: Option<String>,
    /// The user's JWT.
    pub jwt: Option<String>,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            tls_required: false,
            name: None,
            lang: None,
            version: None,
            protocol: 0,
            headers: false,
            no_responders: false,
            auth_token: None,
            user: None,
            pass: None,
            nkey: None,
            sig: None,
            jwt: None,
        }
    }
}

impl Connect {
    /// Reads the JSON body.
    ///
    /// # Errors
    /// It is no JSON object, or a field has another type than it should. The reference server then closes the
    /// connection without an `-ERR`.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Checks what can be judged without knowing any user.
    ///
    /// # Errors
    /// The reply to send before closing.
    pub fn check(&self) -> Result<(), ErrorReply> {
        if !(0..=1).contains(&self.protocol) {
            return Err(ErrorReply::InvalidClientProtocol);
        }
        if self.no_responders && !self.headers {
            return Err(ErrorReply::NoRespondersRequiresHeaders);
        }
        Ok(())
    }
}

fn null_as_yes<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or(true))
}

fn null_as_default<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_null_fields_have_the_defaults_of_the_reference_server() {
        for json in [
            "{}",
            r#"{"verbose":null,"echo":null,"protocol":null,"user":null,"headers":null}"#,
            r#"{"some_later_field":[1,2]}"#,
        ] {
            let connect = Connect::from_json(json.as_bytes()).unwrap();
            assert_eq!(connect, Connect::default(), "{json}");
            assert!(connect.verbose && connect.pedantic && connect.echo);
        }
        for json in ["", "7", "{x", r#"{"verbose":"yes"}"#] {
            assert!(Connect::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn impossible_wishes_are_refused_with_their_text() {
        let check = |json: &str| Connect::from_json(json.as_bytes()).unwrap().check();
        assert_eq!(check(r#"{"protocol":2}"#), Err(ErrorReply::InvalidClientProtocol));
        assert_eq!(check(r#"{"protocol":-1}"#), Err(ErrorReply::InvalidClientProtocol));
        let no_headers = check(r#"{"no_responders":true}"#);
        assert_eq!(no_headers, Err(ErrorReply::NoRespondersRequiresHeaders));
        assert_eq!(check(r#"{"no_responders":true,"headers":true,"protocol":1}"#), Ok(()));
    }
}
