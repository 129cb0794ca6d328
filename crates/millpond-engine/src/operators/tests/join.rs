//! The law for joins, of every mode and with removals on both sides.

use std::rc::Rc;

use millpond_error::Origin;
use millpond_plan::{JoinMode, JoinSpec, Side};

use super::*;

const MODES: [JoinMode; 4] = [JoinMode::Inner, JoinMode::Left, JoinMode::Right, JoinMode::Outer];

fn here() -> Origin {
    Origin { file: "visits.py".into(), line: 7 }
}

/// A join; a row of the tests is a number of its side, then the key, then the columns of both sides, those of the other
/// null.
struct Case {
    spec: JoinSpec,
    /// Key and columns of each side.
    sides: [Schema; 2],
    schema: Schema,
}

fn case(random: &mut StdRng) -> Case {
    let key = random.random_range(0..3);
    let keys: Vec<ColumnType> = (0..key).map(|_| random_type(random)).collect();
    let sides = [0, 1].map(|side| {
        let key =
            keys.iter().enumerate().map(|(c, ty)| (format!("key{c}"), ColumnType { optional: random.random(), ..*ty }));
        let key: Vec<(String, ColumnType)> = key.collect();
        let others = (0..random.random_range(0..3)).map(|c| (format!("value{side}{c}"), random_type(random)));
        let others: Vec<(String, ColumnType)> = others.collect();
        Schema::new(key.into_iter().chain(others))
    });
    let mut columns = vec![("side".to_owned(), Type::Int.required())];
    columns.extend((0..key).map(|c| (format!("key{c}"), keys[c].ty.optional())));
    for side in &sides {
        columns.extend(side.columns()[key..].iter().map(|column| (column.name.clone(), column.ty.ty.optional())));
    }
    let spec = JoinSpec { mode: MODES[random.random_range(0..4)], key, id: None, origin: here() };
    Case { spec, sides, schema: Schema::new(columns) }
}

impl Case {
    /// Which columns of a row are those of a side beside the key.
    fn own(&self, side: usize) -> std::ops::Range<usize> {
        let (key, left) = (self.spec.key, self.sides[0].len() - self.spec.key);
        match side {
            0 => 1 + key..1 + key + left,
            _ => 1 + key + left..self.schema.len(),
        }
    }

    fn side_of(row: &Row) -> usize {
        if let Value::Int(side) = row[0] { side as usize } else { unreachable!() }
    }

    fn place(&self, row: &Row) -> (usize, Row) {
        let side = Case::side_of(row);
        (side, row[1..1 + self.spec.key].iter().chain(&row[self.own(side)]).cloned().collect())
    }

    fn random_row(&self, random: &mut StdRng) -> Row {
        let side = random.random_range(0..2);
        let mut cells = vec![Value::Int(side as i64)];
        let own = self.own(side);
        for c in 1..self.schema.len() {
            let declared = match c {
                c if c <= self.spec.key => Some(&self.sides[side].columns()[c - 1]),
                c if own.contains(&c) => Some(&self.sides[side].columns()[self.spec.key + c - own.start]),
                _ => None,
            };
            cells.push(declared.map_or(Value::Null, |column| random_cell(random, &column.name, column.ty)));
        }
        cells
    }

    fn expect(&self, present: &Table) -> Table {
        let mut expected = Table::new();
        let keeps = |side: Side| self.spec.mode.keeps(side);
        let of = |side: usize| present.iter().filter(move |(row, _)| Case::side_of(row) == side);
        let key = |row: &Row| row[1..1 + self.spec.key].to_vec();
        let mut add = |key: Row, left: Option<&Row>, right: Option<&Row>, times: i64| {
            let mut row = key;
            if keeps(Side::Right) {
                row.push(Value::Bool(left.is_some()));
            }
            if keeps(Side::Left) {
                row.push(Value::Bool(right.is_some()));
            }
            for (side, cells) in [left, right].into_iter().enumerate() {
                let own = self.own(side);
                let null = vec![Value::Null; own.len()];
                row.extend(cells.map_or(null, |cells| cells[own].to_vec()));
            }
            *expected.entry(row).or_default() += times;
        };
        for (left, times) in of(0) {
            let mut matches = of(1).filter(|(right, _)| key(right) == key(left)).peekable();
            if matches.peek().is_none() && keeps(Side::Left) {
                add(key(left), Some(left), None, *times);
            }
            matches.for_each(|(right, more)| add(key(left), Some(left), Some(right), times * more));
        }
        for (right, times) in of(1).filter(|_| keeps(Side::Right)) {
            if !of(0).any(|(left, _)| key(left) == key(right)) {
                add(key(right), None, Some(right), *times);
            }
        }
        expected
    }

    fn subject(self: &Rc<Self>) -> Subject {
        let (maker, placer, oracle) = (self.clone(), self.clone(), self.clone());
        let key: Vec<usize> = (0..self.spec.key).collect();
        Subject {
            schema: self.schema.clone(),
            ports: self.sides.iter().map(|side| (side.clone(), key.clone())).collect(),
            place: Box::new(move |row| placer.place(row)),
            make: Box::new(move |range| {
                let [left, right] = &maker.sides;
                Box::new(Join::new(&maker.spec, &[left, right], range))
            }),
            expect: Box::new(move |history| oracle.expect(&history.present)),
        }
    }

    /// Random changes of one epoch, some of which cancel.
    fn changes(&self, random: &mut StdRng, present: &mut Table, removals: bool) -> Vec<(Row, i64)> {
        let most = if random.random_ratio(1, 8) { 100 } else { 12 };
        random_changes(random, present, most, removals, |random| self.random_row(random))
    }
}

fn play(random: &mut StdRng) {
    let case = Rc::new(case(random));
    let subject = case.subject();
    let (collide, removals) = (random.random_ratio(1, 4), random.random_ratio(3, 4));
    let mut running = Running::new(&subject, random.random_range(1..=4), collide);
    running.play(random, |random, present| case.changes(random, present, removals));
}

#[test]
fn joins_keep_the_law() {
    check_cases(CASES, play);
}

/// Side, user, number; then the multiplicity. The last of these steps fails.
#[track_caller]
fn check_error(mode: JoinMode, id: Option<Side>, steps: &[&[(i64, &str, i64, i64)]], expect: &str) {
    let side = || Schema::new([("user", Type::Str.required()), ("number", Type::Int.required())]);
    let (text, int) = (Type::Str.optional(), Type::Int.optional());
    let schema = Schema::new([("side", Type::Int.required()), ("user", text), ("left", int), ("right", int)]);
    let case = Rc::new(Case { spec: JoinSpec { mode, key: 1, id, origin: here() }, sides: [side(), side()], schema });
    let subject = case.subject();
    let mut running = Running::new(&subject, 1, false);
    for (number, step) in steps.iter().enumerate() {
        let rows = step.iter().map(|(side, user, number, diff)| {
            let cell = |of: i64| if *side == of { Value::Int(*number) } else { Value::Null };
            (vec![Value::Int(*side), Value::Str((*user).to_owned()), cell(0), cell(1)], *diff)
        });
        let outcome = running.step(&rows.collect::<Vec<_>>(), 1);
        if number + 1 < steps.len() {
            outcome.unwrap();
            continue;
        }
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, expect));
    }
}

#[test]
fn a_removal_of_nothing_is_named_with_its_place() {
    let [left, right] = ["left", "right"]
        .map(|side| format!("visits.py:7: a row was removed that was never added: user=\"ann\", in the {side} table"));
    for mode in MODES {
        check_error(mode, None, &[&[(0, "ann", 1, -1)]], &left);
        check_error(mode, None, &[&[(1, "ann", 1, 1)], &[(1, "ann", 1, -2)]], &right);
        check_error(mode, None, &[&[(0, "ann", 1, 1), (1, "ann", 1, 1)], &[(0, "ann", 2, -1)]], &left);
    }
}

#[test]
fn a_row_that_would_be_there_too_often_is_an_input_error() {
    let expect = "visits.py:7: a row of the join would be there more than 2^62 times: user=\"ann\"";
    check_error(JoinMode::Inner, None, &[&[(0, "ann", 1, 1 << 40)], &[(1, "ann", 1, 1 << 40)]], expect);
}

#[test]
fn a_second_match_of_a_row_that_gives_the_identity_is_an_input_error() {
    let expect = "visits.py:7: two rows of the right table match one row of the left, whose id the row of the join has: \
                  user=\"ann\"\n\
                  hint: leave the id out, or let each key be once in the right table";
    for mode in [JoinMode::Inner, JoinMode::Left] {
        let (left, right, other) = ((0, "ann", 1, 1), (1, "ann", 2, 1), (1, "ann", 3, 1));
        check_error(mode, Some(Side::Left), &[&[left, right], &[other]], expect);
        check_error(mode, Some(Side::Left), &[&[right, other], &[left]], expect);
        check_error(mode, Some(Side::Left), &[&[left, right], &[(1, "ann", 2, -1), other], &[right]], expect);
    }
}
