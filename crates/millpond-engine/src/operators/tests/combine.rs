//! The law for tables that are combined by identity, and what is no identity.

use millpond_error::Origin;
use millpond_plan::{Combination, CombineSpec};

use super::*;

const COMBINATIONS: [Combination; 4] =
    [Combination::Difference, Combination::Intersect, Combination::UpdateRows, Combination::UpdateCells];

/// A combination of tables, whose rows have the columns identity, number of the table, others.
struct Case {
    spec: CombineSpec,
    tables: usize,
    schema: Schema,
}

fn here() -> Origin {
    Origin { file: "visits.py".into(), line: 7 }
}

fn case(random: &mut StdRng) -> Case {
    let combination = COMBINATIONS[random.random_range(0..4)];
    let (key, values) = (random.random_range(0..3), random.random_range(0..3));
    let mut columns: Vec<(String, ColumnType)> = (0..key).map(|i| (format!("key{i}"), random_type(random))).collect();
    columns.push(("table".to_owned(), Type::Int.required()));
    // Tables that give no cells have nulls.
    columns.extend((0..values).map(|i| (format!("value{i}"), ColumnType { optional: true, ..random_type(random) })));
    let updated = match combination {
        Combination::UpdateRows => (0..values).collect(),
        Combination::UpdateCells => (0..values).filter(|_| random.random()).collect(),
        _ => Vec::new(),
    };
    let tables = if combination == Combination::Intersect { random.random_range(2..=4) } else { 2 };
    let row = Schema::new(columns[key + 1..].iter().cloned());
    let spec = CombineSpec { combination, key, row, updated, origin: here() };
    Case { spec, tables, schema: Schema::new(columns) }
}

impl Case {
    fn table_of(&self, row: &Row) -> usize {
        if let Value::Int(table) = row[self.spec.key] { table as usize } else { unreachable!() }
    }

    fn identity(&self, row: &Row) -> Row {
        row[..self.spec.key].to_vec()
    }

    /// Positions of the other columns that a table gives.
    fn given(&self, table: usize) -> Vec<usize> {
        match table {
            0 => (0..self.spec.row.len()).collect(),
            1 => self.spec.updated.clone(),
            _ => Vec::new(),
        }
    }

    /// What a row is at the port of its table.
    fn place(&self, row: &Row) -> (usize, Row) {
        let (table, key) = (self.table_of(row), self.spec.key);
        let given = self.given(table).into_iter().map(|c| row[key + 1 + c].clone());
        (table, row[..key].iter().cloned().chain(given).collect())
    }

    /// The columns of each port, and its key.
    fn ports(&self) -> Vec<(Schema, Vec<usize>)> {
        let key = self.spec.key;
        let port = |table| {
            let columns = (0..key).chain(self.given(table).into_iter().map(|c| key + 1 + c));
            let columns = columns.map(|c| (self.schema.columns()[c].name.clone(), self.schema.columns()[c].ty));
            (Schema::new(columns), (0..key).collect())
        };
        (0..self.tables).map(port).collect()
    }

    fn subject(self: &std::rc::Rc<Self>, expect: Box<dyn Fn(&History) -> Table>) -> Subject {
        let (maker, placer) = (self.clone(), self.clone());
        let inputs: Vec<Schema> = self.ports().into_iter().map(|(schema, _)| schema).collect();
        Subject {
            schema: self.schema.clone(),
            ports: self.ports(),
            place: Box::new(move |row| placer.place(row)),
            make: Box::new(move |range| Box::new(Combine::new(&maker.spec, &inputs.iter().collect::<Vec<_>>(), range))),
            expect,
        }
    }

    fn has_one_row(&self, table: usize) -> bool {
        table == 0 || self.spec.combination.updates()
    }

    fn random_row(&self, random: &mut StdRng) -> Row {
        let table = random.random_range(0..self.tables);
        let columns = self.schema.columns().iter().enumerate();
        let cell = |(c, column): (usize, &millpond_columns::types::Column)| match c.cmp(&self.spec.key) {
            Ordering::Less => random_cell(random, &column.name, column.ty),
            Ordering::Equal => Value::Int(table as i64),
            Ordering::Greater if self.has_one_row(table) => random_cell(random, &column.name, column.ty),
            Ordering::Greater => Value::Null,
        };
        columns.map(cell).collect()
    }

    /// Random changes of one epoch, after which each identity has the rows that it may have.
    fn changes(&self, random: &mut StdRng, present: &mut Table) -> Vec<(Row, i64)> {
        let before = present.clone();
        let most = if random.random_ratio(1, 8) { 200 } else { 12 };
        for _ in 0..random.random_range(1..=most) {
            if !present.is_empty() && random.random_ratio(1, 3) {
                let row = present.keys().nth(random.random_range(0..present.len())).unwrap().clone();
                present.entry(row.clone()).and_modify(|n| *n -= 1);
                present.retain(|_, n| *n != 0);
                continue;
            }
            let row = self.random_row(random);
            let (table, identity) = (self.table_of(&row), self.identity(&row));
            if self.has_one_row(table) {
                present.retain(|other, _| self.table_of(other) != table || self.identity(other) != identity);
            }
            *present.entry(row).or_default() += 1;
        }
        let mut changes: Vec<(Row, i64)> = Vec::new();
        for row in before.keys().chain(present.keys()).collect::<BTreeSet<_>>() {
            let (was, is) = (before.get(row), present.get(row));
            // A row that stays may be removed and added again.
            if was != is || random.random_ratio(1, 9) {
                changes.extend(was.map(|n| (row.clone(), -n)));
                changes.extend(is.map(|n| (row.clone(), *n)));
            }
        }
        for i in (1..changes.len()).rev() {
            changes.swap(i, random.random_range(0..=i));
        }
        changes
    }

    fn expect(&self, present: &Table) -> Table {
        let mut identities: BTreeMap<Row, BTreeMap<usize, &Row>> = BTreeMap::new();
        for row in present.keys() {
            identities.entry(self.identity(row)).or_default().insert(self.table_of(row), row);
        }
        let mut expected = Table::new();
        for (mut output, tables) in identities {
            let (first, second) = (tables.get(&0), tables.get(&1));
            let cells = |row: &Row| row[self.spec.key + 1..].to_vec();
            let row = match self.spec.combination {
                Combination::Difference => first.filter(|_| tables.len() == 1).map(|row| cells(row)),
                Combination::Intersect => first.filter(|_| tables.len() == self.tables).map(|row| cells(row)),
                Combination::UpdateRows => second.or(first).map(|row| cells(row)),
                Combination::UpdateCells => first.map(|first| {
                    let mut row = cells(first);
                    let second = second.map_or_else(|| row.clone(), |second| cells(second));
                    self.spec.updated.iter().for_each(|&c| row[c] = second[c].clone());
                    row
                }),
            };
            if let Some(row) = row {
                output.extend(row);
                expected.insert(output, 1);
            }
        }
        expected
    }
}

fn play(random: &mut StdRng) {
    let case = std::rc::Rc::new(case(random));
    let oracle = case.clone();
    let subject = case.subject(Box::new(move |history| oracle.expect(&history.present)));
    let collide = random.random_ratio(1, 4);
    let mut running = Running::new(&subject, random.random_range(1..=4), collide);
    running.play(random, |random, present| case.changes(random, present));
}

#[test]
fn combinations_keep_the_law() {
    check_cases(CASES, play);
}

/// User, table, pages; then the multiplicity.
type Change<'a> = (&'a str, i64, Option<i64>, i64);

/// The last of these steps fails.
#[track_caller]
fn check_error(combination: Combination, steps: &[&[Change<'_>]], expect: &str) {
    let (int, text) = (Type::Int, Type::Str.required());
    let schema = Schema::new([("user", text), ("table", int.required()), ("pages", int.optional())]);
    let updated = if combination.updates() { vec![0] } else { vec![] };
    let row = Schema::new([("pages", int.optional())]);
    let spec = CombineSpec { combination, key: 1, row, updated, origin: here() };
    let case = std::rc::Rc::new(Case { spec, tables: 2, schema });
    let subject = case.subject(Box::new(|_| Table::new()));
    let mut running = Running::new(&subject, 1, false);
    for (number, step) in steps.iter().enumerate() {
        let rows = step.iter().map(|(user, table, pages, diff)| {
            let pages = pages.map_or(Value::Null, Value::Int);
            (vec![Value::Str((*user).to_owned()), Value::Int(*table), pages], *diff)
        });
        let outcome = running.step(&rows.collect::<Vec<_>>(), 1);
        if number + 1 < steps.len() {
            outcome.unwrap();
            continue;
        }
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let hint = match expect.contains("have one identity") {
            true => "\nhint: with_id_from(...) says what identifies a row",
            false => "",
        };
        assert_eq!(error.to_string(), format!("{expect}{hint}"));
    }
}

#[test]
fn an_identity_of_two_rows_is_an_input_error() {
    use Combination::{Difference, Intersect, UpdateCells, UpdateRows};
    let of_first = |place| format!("visits.py:7: two rows of table 1 of the {place} have one identity: user=\"ann\"");
    let (one, two) = (("ann", 0, Some(1), 1), ("ann", 0, Some(2), 1));
    check_error(Difference, &[&[one, two]], &of_first("difference"));
    check_error(Intersect, &[&[one], &[two]], &of_first("intersect"));
    check_error(UpdateRows, &[&[("ann", 0, Some(1), 2)]], &of_first("update_rows"));
    check_error(UpdateCells, &[&[one], &[("bob", 0, None, 1)], &[one]], &of_first("update_cells"));
    let of_second = "visits.py:7: two rows of table 2 of the update_rows have one identity: user=\"ann\"";
    check_error(UpdateRows, &[&[one, ("ann", 1, Some(5), 1)], &[("ann", 1, Some(6), 1)]], of_second);
}

#[test]
fn a_removal_of_nothing_is_named_with_its_place() {
    let expect = "visits.py:7: a row was removed that was never added: user=\"ann\"";
    check_error(Combination::Difference, &[&[("ann", 1, None, 2)], &[("ann", 1, None, -3)]], expect);
    check_error(Combination::UpdateRows, &[&[("ann", 0, Some(1), 1)], &[("ann", 0, Some(2), -1)]], expect);
}
