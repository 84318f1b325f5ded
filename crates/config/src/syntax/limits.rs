//! The bounds of a configuration. They are far above any real one; they exist so that no file, however
//! it came about, can exhaust the stack or the memory of a server that reloads it.

/// Bytes of one file.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// Files in all, the first included.
pub const MAX_FILES: usize = 256;
/// Includes within includes.
pub const MAX_INCLUDE_DEPTH: usize = 16;
/// Maps and arrays within each other.
pub const MAX_DEPTH: usize = 64;
/// Environment variables that refer to each other.
pub const MAX_VARIABLE_DEPTH: usize = 16;
/// Bytes of the whole tree, variables expanded.
pub const MAX_TREE_BYTES: usize = 64 << 20;
