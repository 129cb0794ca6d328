//! Random programs over visits, each with the simplest code that computes the same.

mod combined;
mod cut;
mod deep;
mod dress;
mod joined;
mod reduces;
pub(crate) mod shapes;
mod windows;

use millpond::Table;

pub(crate) use combined::combined;
pub(crate) use deep::deep;
pub(crate) use joined::joined;
pub(crate) use reduces::{arguments, arrivals, distribution, floats, moving, plain, totals, unpacked, values};
pub(crate) use shapes::{Shape, shape};
pub(crate) use windows::{behaving, float_windows, int_windows};

use super::{Random, Rows, Visit, array, quoted};

/// A program, and the simplest code that computes the same of some visits.
pub(crate) struct Program {
    /// What to look for when it fails.
    pub name: String,
    pub table: Box<dyn Fn(&Table) -> Table>,
    /// The result after one more epoch, of all visits that there are then.
    pub expect: Box<Expect>,
    /// Whether the result depends on the epochs in which the visits came.
    pub by_epoch: bool,
}

type Expect = dyn FnMut(&[Visit]) -> Rows;

impl Program {
    fn new(
        name: impl Into<String>,
        table: impl Fn(&Table) -> Table + 'static,
        expect: impl FnMut(&[Visit]) -> Rows + 'static,
    ) -> Self {
        Program { name: name.into(), table: Box::new(table), expect: Box::new(expect), by_epoch: false }
    }

    /// Any program: one of all operations, on visits that went through up to three others.
    pub(crate) fn any(random: &mut Random) -> Program {
        let last = [
            totals,
            moving,
            values,
            distribution,
            floats,
            arguments,
            arrivals,
            plain,
            unpacked,
            combined,
            joined,
            deep,
            int_windows,
            float_windows,
            behaving,
        ];
        let last = last[random.below(last.len() as u64) as usize](random);
        let shapes: Vec<Shape> = (0..random.below(4)).map(|_| shape(random)).collect();
        last.after(shapes)
    }

    /// This program on visits that go through these shapes before.
    pub(crate) fn after(self, shapes: Vec<Shape>) -> Program {
        let Program { mut name, table, mut expect, by_epoch } = self;
        for shape in &shapes {
            name = format!("{name} of {}", shape.name);
        }
        let of = shapes.clone();
        Program {
            name,
            table: Box::new(move |visits| {
                table(&of.iter().fold(visits.clone(), |visits, shape| (shape.table)(&visits)))
            }),
            expect: Box::new(move |visits| {
                expect(&shapes.iter().fold(visits.to_vec(), |visits, shape| (shape.expect)(visits)))
            }),
            by_epoch,
        }
    }
}

/// A row as a result file spells it.
fn row(cells: &[&dyn Cell]) -> String {
    cells.iter().map(|cell| cell.spell()).collect::<Vec<_>>().join(",")
}

trait Cell {
    fn spell(&self) -> String;
}

impl Cell for i64 {
    fn spell(&self) -> String {
        self.to_string()
    }
}

impl Cell for bool {
    fn spell(&self) -> String {
        if *self { "True".to_owned() } else { "False".to_owned() }
    }
}

impl Cell for f64 {
    fn spell(&self) -> String {
        match *self {
            float if float.is_nan() => "nan".to_owned(),
            float if float.is_finite() && float.abs() >= 1e16 => format!("{float:e}").replace('e', "e+"),
            float => format!("{float:?}"),
        }
    }
}

impl Cell for str {
    fn spell(&self) -> String {
        quoted(self)
    }
}

impl Cell for String {
    fn spell(&self) -> String {
        self.as_str().spell()
    }
}

/// A cell that is spelled already.
struct Spelled(String);

impl Cell for Spelled {
    fn spell(&self) -> String {
        self.0.clone()
    }
}

impl<T: Cell> Cell for Option<T> {
    fn spell(&self) -> String {
        self.as_ref().map(Cell::spell).unwrap_or_default()
    }
}

/// The sum of what is known, if anything is.
fn known_sum<'a>(visits: impl IntoIterator<Item = &'a Visit>) -> Option<i64> {
    let known: Vec<i64> = visits.into_iter().filter_map(|visit| visit.pages).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// The times of visits, near 0 and on both sides of it.
const ZERO: i64 = 1_700_001_500;
