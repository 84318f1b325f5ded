//! What is wanted against what is there, and the next thing to do about it.
//!
//! * On a store: [`StoreReconciler`] says which replicas to create, to destroy and to put aside.
//! * In a group: [`next_step`] says which change of membership its leader proposes next.
//! * Over the fleet: [`replace_peer`], [`heal`], [`scale`] and [`relocate`] plan new members, for a
//!   stream and all its consumers at once.

mod fleet;
mod group;
mod meta_group;
mod seats;
mod store;

pub use fleet::{Replacement, heal, replace_peer};
pub use group::{GroupView, Step, Wait, next_step};
pub use meta_group::meta_members;
pub use seats::{SeatPlan, relocate, scale};
pub use store::{Action, LocalReplica, NewReplica, StoreReconciler};
