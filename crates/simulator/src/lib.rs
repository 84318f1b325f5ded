//! A whole cluster in one thread from one seed: disks, links, clocks and crashes that fail, clients that work
//! meanwhile, and invariants that must hold (docs/testing.md).
//!
//! [`Plan::draw`] makes a plan of a seed, [`run()`] carries it out, [`run_all`] does so for many. The [`world`] runs
//! the very code that servers run, the `host` crate and below.

pub mod campaign;
pub mod client;
pub mod crash_points;
pub mod fault;
pub mod history;
pub mod invariant;
#[cfg(feature = "mutations")]
pub mod mutations;
mod plan;
mod run;
pub mod script;
mod trace;
pub mod world;

pub use campaign::{Failure, Summary, did_enough, run_all, run_seed};
pub use plan::{Load, Plan, RESHAPING, Weights};
pub use run::{Outcome, Run, Work, run};
pub use trace::Trace;
