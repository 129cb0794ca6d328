//! Walks of deep expressions and tables, on more stack where the thread's own is used up.
//!
//! An expression or a chain of tables may be as deep as a loop of the program makes it, and a thread's stack may be
//! small.

/// So much stack is left at least for what a walk does between two calls of [`deep`].
const RESERVE_BYTES: usize = 256 << 10;
/// So much is added at a time.
const MORE_BYTES: usize = 4 << 20;

/// The deepest expression that a table takes.
pub(crate) const MOST_OPERATIONS: u32 = 10_000;

/// Walks of so few levels never need more stack than is kept in reserve. Where the main thread's stack ends is known
/// only from a list of all that the process has mapped, which is long to read for a short run.
const SHALLOW: u32 = 8;

/// As [`deep`], for a walk of `levels` levels at most.
#[inline]
pub(crate) fn deep_of<R>(levels: u32, walk: impl FnOnce() -> R) -> R {
    if levels <= SHALLOW { walk() } else { deep(walk) }
}

/// Calls `walk`, which calls itself through here for what is one level deeper.
#[inline]
pub(crate) fn deep<R>(walk: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(RESERVE_BYTES, MORE_BYTES, walk)
}
