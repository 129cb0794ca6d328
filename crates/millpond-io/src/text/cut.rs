//! Where a text may be cut: behind its last whole row.

/// Follows a text that grows at its end, and knows where its last whole row ends.
pub trait Cut: std::fmt::Debug + Send {
    /// The start of the row that is not yet whole: all before are whole rows.
    fn row_start(&self) -> usize;

    /// The quote that is open where the text ends, in a format in which it may hold newlines.
    fn open_quote(&self) -> Option<usize> {
        None
    }

    /// Goes on after the first `gone` bytes of the text, all before `row_start`, were dropped.
    fn shift(&mut self, gone: usize);

    /// Takes the text into account, which has grown at its end. `at_end` says that no more will follow.
    fn advance(&mut self, text: &[u8], at_end: bool);
}
