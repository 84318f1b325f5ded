//! Acknowledgements: the reply subject of a delivered message, and what a client sends there.

mod body;
mod subject;

pub use body::AckKind;
pub use subject::{ACK_PREFIX, AckSubject};
