//! Where a text may be cut: behind its last whole row.

/// Follows a text that grows at its end, and knows where its last whole row ends.
pub trait Cut: std::fmt::Debug + Send {
    /// The start of the row that is not yet whole: all before are whole rows.
    fn row_start(&self) -> usize;

    /// The quote that is open where the text ends, in a format in which it may hold newlines. Negative where that part
    /// of the text was passed over.
    fn open_quote(&self) -> Option<i64> {
        None
    }

    /// Goes on after the first `gone` bytes of the text, all before `row_start`, were dropped.
    fn shift(&mut self, gone: usize);

    /// Takes the text into account, which has grown at its end. `at_end` says that no more will follow.
    fn advance(&mut self, text: &[u8], at_end: bool);

    /// The same, up to the end of the first whole row, behind its newline. Once it is found, nothing more can be asked.
    fn first_row_end(&mut self, text: &[u8], at_end: bool) -> Option<usize>;

    /// Passes over what was taken into account of a row that is not yet whole: so many bytes at the start of the text
    /// are to be dropped. From here on only [`Cut::first_row_end`] and [`Cut::open_quote`] have a meaning.
    fn pass_over(&mut self) -> usize;
}

/// Rows are lines, whatever stands in them.
#[derive(Clone, Debug)]
pub struct LineCutter {
    /// All text before is taken into account.
    scanned: usize,
    row_start: usize,
}

impl LineCutter {
    /// For a text whose first row starts at `start`.
    pub fn new(start: usize) -> Self {
        LineCutter { scanned: start, row_start: start }
    }
}

impl Cut for LineCutter {
    fn row_start(&self) -> usize {
        self.row_start
    }

    fn shift(&mut self, gone: usize) {
        self.scanned -= gone;
        self.row_start -= gone;
    }

    fn advance(&mut self, text: &[u8], _at_end: bool) {
        let new = text.get(self.scanned..).unwrap_or_default();
        if let Some(newline) = memchr::memrchr(b'\n', new) {
            self.row_start = self.scanned + newline + 1;
        }
        self.scanned = self.scanned.max(text.len());
    }

    fn first_row_end(&mut self, text: &[u8], _at_end: bool) -> Option<usize> {
        let new = text.get(self.scanned..).unwrap_or_default();
        let end = memchr::memchr(b'\n', new).map(|newline| self.scanned + newline + 1);
        self.scanned = end.unwrap_or(self.scanned.max(text.len()));
        end
    }

    fn pass_over(&mut self) -> usize {
        self.row_start = 0;
        std::mem::take(&mut self.scanned)
    }
}
