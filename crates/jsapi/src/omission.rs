//! Which fields a reply leaves out.

/// Whether a field says nothing: for `skip_serializing_if`, on fields the reference leaves out when
/// they are zero, empty, false, or its first choice.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
