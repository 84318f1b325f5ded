//! Known bugs that the simulator puts back, one at a time, to prove that it would have found them (docs/testing.md).
//!
//! Each [`Mutation`] stands in the code at the place that keeps it out, as a question to [`is_on`]. That is a constant
//! `false` which the compiler takes out, unless the feature `mutations` is on; only the feature of the same name of the
//! simulator turns it on, so that no server has any of them.

mod list;

pub use list::Mutation;

/// Whether this bug is put back.
#[cfg(not(feature = "mutations"))]
#[must_use]
#[inline(always)]
pub const fn is_on(_mutation: Mutation) -> bool {
    false
}

#[cfg(feature = "mutations")]
pub use selected::{is_on, select};

#[cfg(feature = "mutations")]
mod selected {
    use std::cell::Cell;

    use crate::Mutation;

    thread_local! {
        /// By thread, so that runs with different bugs may be under way at the same time.
        static SELECTED: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    /// Whether this bug is put back.
    #[must_use]
    #[inline]
    pub fn is_on(mutation: Mutation) -> bool {
        SELECTED.get() == Some(mutation)
    }

    /// Puts this bug back in all that this thread does, instead of the one before.
    pub fn select(mutation: Option<Mutation>) {
        SELECTED.set(mutation);
    }
}
