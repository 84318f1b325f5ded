//! Chaos: real servers under real faults, with real clients, and a checker of what the clients were told.
//!
//! A [`plan`] is data: which faults, when, from a seed. A [`run`] starts the servers, puts a [`load`] on them, does to
//! them what the plan says (`fault`), and writes a [`history`]. The [`check`] reads that file and nothing else. The
//! [`report`] has one line per fault.

pub mod arena;
pub mod chance;
pub mod check;
pub mod compare;
pub mod dump;
pub mod event;
mod fault;
pub mod history;
pub mod load;
pub mod payload;
pub mod plan;
pub mod report;
pub mod run;
