//! Loads on NATS servers, and what they measure. A client does as little as possible, so that the servers are what is
//! measured, and the same for Flotilla and nats-server.
//!
//! * [`Servers::find`] learns which servers there are.
//! * [`Load::all`] names the loads; [`Load::run`] puts one on the servers and returns its [`Figures`].
//! * [`fill_stream`] publishes what has to be there before something is measured.
//!
//! Latencies are from handing bytes to the socket until the answer is read. A client that waits for one answer before it
//! asks again does not ask a server that stands still; what it would have asked meanwhile is added to the histogram, as if
//! it had gone on asking at its usual pace (coordinated omission).

mod api;
mod assets;
mod echo;
mod error;
mod fanout;
mod figures;
mod fill;
mod heaviest;
mod load;
mod publish;
mod pull;
mod servers;
mod wire;

pub use error::LoadError;
pub use figures::{Figures, Latencies, short};
pub use fill::fill_stream;
pub use load::{Load, Moment, Window};
pub use servers::{Address, Servers};
