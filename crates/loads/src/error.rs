//! Why a load ended early.

use std::time::Duration;

/// Why a load ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A URL is not one that this client understands.
    #[error("{url} is not nats://[user:password@]host:port: {why}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A connection failed.
    #[error("{address}: {source}")]
    Io {
        /// Of which server.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server was silent although something was asked of it, or took nothing.
    #[error("{address}: nothing for {0:?}", .waited)]
    Silent {
        /// Which server.
        address: String,
        /// For how long.
        waited: Duration,
    },
    /// The server said what this client does not understand, or closed the connection.
    #[error("{address}: {what}")]
    Server {
        /// Which server.
        address: String,
        /// What it said.
        what: String,
    },
    /// The API refused a request.
    #[error("{subject}: {description}")]
    Refused {
        /// The request's subject.
        subject: String,
        /// The error's description.
        description: String,
    },
    /// A load asks for what these servers are not.
    #[error("{0}")]
    Unfit(String),
}
