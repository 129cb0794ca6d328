//! What differs between two descriptions of a step, in sentences.

mod clock;

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::deep::deep;

/// Ends a sentence about a value that looks like the time of a run.
pub const CLOCK: &str = ": it looks like the time of the run, and so makes another program in each run";

/// Something that differs between two descriptions of a step, a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where before the step, such as `the filter before it: `; nothing, if it is the step's own.
    pub place: String,
    /// What, wherever it is.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.what)
    }
}

/// What differs between the description of a step as saved and as it is now; nothing if they are equal. A description
/// is a list of operators, each after those that it is made of; the last is the step.
///
/// ```
/// use millpond_plan::difference;
/// use serde_json::json;
///
/// let saved = json!([{"operator": "source"}, {"operator": "session", "max_gap": 300, "input": 0}]);
/// let now = json!([{"operator": "source"}, {"operator": "session", "max_gap": 600, "input": 0}]);
/// assert_eq!(difference(&saved, &now)[0].to_string(), "max_gap was 300, is 600");
/// ```
pub fn difference(saved: &Value, now: &Value) -> Vec<Difference> {
    if saved == now {
        return Vec::new();
    }
    let (saved, now) = (Operators::new(saved), Operators::new(now));
    let mut comparison = Comparison { saved, now, compared: HashSet::new(), found: Vec::new() };
    if let (Some(i), Some(j)) = (comparison.saved.last(), comparison.now.last()) {
        comparison.compare("", i, j);
    }
    if comparison.found.is_empty() {
        comparison.add("", "it was described in another way".to_owned());
    }
    comparison.found
}

type Fields<'a> = &'a Map<String, Value>;

/// The operators of a description.
struct Operators<'a> {
    fields: Vec<Fields<'a>>,
    /// A hash of each with all before it.
    hashes: Vec<u128>,
}

impl<'a> Operators<'a> {
    /// What is no list of operators has none.
    fn new(description: &'a Value) -> Self {
        let list = description.as_array().map_or(&[][..], Vec::as_slice);
        let mut operators = Operators { fields: Vec::new(), hashes: Vec::new() };
        for fields in list.iter().filter_map(Value::as_object) {
            let at = operators.fields.len();
            let mut text: String = own(fields).map(|(key, value)| format!("{key}:{value};")).collect();
            for input in inputs(fields).filter(|input| *input < at) {
                text.push_str(&format!("{:x},", operators.hashes[input]));
            }
            operators.fields.push(fields);
            operators.hashes.push(xxh3_128(text.as_bytes()));
        }
        operators
    }

    fn last(&self) -> Option<usize> {
        self.fields.len().checked_sub(1)
    }

    /// The operator of this number, then those before it, down to a source or to one of several tables.
    fn chain(&self, mut number: usize) -> Vec<usize> {
        let mut chain = vec![number];
        while let Some(input) = self.fields[number].get("input").and_then(number_of)
            && input < number
        {
            number = input;
            chain.push(number);
        }
        chain
    }

    fn name(&self, number: usize) -> &'a str {
        name(self.fields[number])
    }
}

/// The fields of an operator that do not say what it is made of.
fn own(fields: Fields<'_>) -> impl Iterator<Item = (&String, &Value)> {
    fields.iter().filter(|(key, _)| *key != "input" && *key != "inputs")
}

/// The numbers of the operators that it is made of.
fn inputs(fields: Fields<'_>) -> impl Iterator<Item = usize> {
    let several = fields.get("inputs").and_then(Value::as_array).into_iter().flatten();
    fields.get("input").into_iter().chain(several).filter_map(number_of)
}

fn number_of(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}

fn name(operator: Fields<'_>) -> &str {
    operator.get("operator").and_then(Value::as_str).unwrap_or("step")
}

struct Comparison<'a> {
    saved: Operators<'a>,
    now: Operators<'a>,
    /// Pairs of tables that were compared: a program may share one many times.
    compared: HashSet<(usize, usize)>,
    found: Vec<Difference>,
}

impl Comparison<'_> {
    fn add(&mut self, place: &str, what: String) {
        self.found.push(Difference { place: place.to_owned(), what });
    }

    /// Adds what differs between two tables.
    fn compare(&mut self, prefix: &str, saved: usize, now: usize) {
        if self.saved.hashes[saved] == self.now.hashes[now] || !self.compared.insert((saved, now)) {
            return;
        }
        let (mut saved, mut now) = (self.saved.chain(saved), self.now.chain(now));
        while let (Some(i), Some(j)) = (saved.last(), now.last())
            && self.saved.hashes[*i] == self.now.hashes[*j]
        {
            saved.pop();
            now.pop();
        }
        for pair in self.align(&saved, &now) {
            match pair {
                (Some(i), Some(j)) => {
                    let (old, new) = (saved[i], now[j]);
                    let step = (i, j) == (0, 0) && self.saved.name(old) == self.now.name(new);
                    let before = if step { String::new() } else { format!("the {} before it: ", self.now.name(new)) };
                    let before = format!("{prefix}{before}");
                    let mut differ = Vec::new();
                    fields("", self.saved.fields[old], self.now.fields[new], &mut differ);
                    differ.into_iter().for_each(|what| self.add(&before, what));
                    self.tables(&before, old, new);
                }
                (Some(i), None) => {
                    let operator = self.saved.fields[saved[i]];
                    self.add(prefix, format!("{} was removed{}", article(operator), details(operator)));
                }
                (None, Some(j)) => {
                    let operator = self.now.fields[now[j]];
                    self.add(prefix, format!("{} was added{}", article(operator), details(operator)));
                }
                (None, None) => {}
            }
        }
    }

    /// Compares the several tables that two operators are made of, one by one.
    fn tables(&mut self, prefix: &str, saved: usize, now: usize) {
        let several = |fields: Fields<'_>| -> Vec<usize> {
            if fields.contains_key("inputs") { inputs(fields).collect() } else { Vec::new() }
        };
        let (old, new) = (several(self.saved.fields[saved]), several(self.now.fields[now]));
        if old.len() != new.len() {
            self.add(prefix, format!("it had {} tables, has {}", old.len(), new.len()));
            return;
        }
        for (number, (old, new)) in (1..).zip(old.into_iter().zip(new)) {
            if old < saved && new < now {
                deep(|| self.compare(&format!("{prefix}in table {number}, "), old, new));
            }
        }
    }

    /// Pairs up operators of the same kind, in order, equal ones if possible: a longest common subsequence.
    fn align(&self, saved: &[usize], now: &[usize]) -> Vec<(Option<usize>, Option<usize>)> {
        let score = |i: usize, j: usize| {
            let (old, new) = (self.saved.fields[saved[i]], self.now.fields[now[j]]);
            let likeness = if name(old) != name(new) {
                return 0;
            } else if own(old).eq(own(new)) {
                2
            } else {
                1
            };
            // A step that kept its kind is that step.
            if (i, j) == (0, 0) { likeness + (saved.len() + now.len()) as u32 } else { likeness }
        };
        let mut best = vec![vec![0_u32; now.len() + 1]; saved.len() + 1];
        for i in (0..saved.len()).rev() {
            for j in (0..now.len()).rev() {
                let paired = match score(i, j) {
                    0 => 0,
                    score => best[i + 1][j + 1] + score,
                };
                best[i][j] = paired.max(best[i + 1][j]).max(best[i][j + 1]);
            }
        }
        let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
        while i < saved.len() || j < now.len() {
            let both = i < saved.len() && j < now.len();
            if both && score(i, j) > 0 && best[i][j] == best[i + 1][j + 1] + score(i, j) {
                pairs.push((Some(i), Some(j)));
                (i, j) = (i + 1, j + 1);
            } else if i < saved.len() && (j == now.len() || best[i][j] == best[i + 1][j]) {
                pairs.push((Some(i), None));
                i += 1;
            } else {
                pairs.push((None, Some(j)));
                j += 1;
            }
        }
        pairs
    }
}

/// Whether what was saved of a source holds for what is read of it now: it may have read more.
///
/// ```
/// use millpond_plan::without_unread;
/// use serde_json::json;
///
/// let settings = json!({"paths": {"page": "/p"}});
/// let saved = json!([{"operator": "source", "columns": {"user": "str", "page": "str"}, "settings": settings}]);
/// let now = json!([{"operator": "source", "columns": {"user": "str"}, "settings": {"paths": {}}}]);
/// assert_eq!(without_unread(&saved, &now), now);
/// ```
pub fn without_unread(saved: &Value, now: &Value) -> Value {
    let mut saved = saved.clone();
    let Some(read) = now[0].get("columns").and_then(Value::as_object).filter(|_| now[0]["operator"] == "source") else {
        return saved;
    };
    let Some(source) = saved.get_mut(0).filter(|_| now[1].is_null()) else {
        return saved;
    };
    let unread = |columns: &mut Map<String, Value>| columns.retain(|column, _| read.contains_key(column));
    if let Some(columns) = source.get_mut("columns").and_then(Value::as_object_mut) {
        unread(columns);
    }
    let settings = source.get_mut("settings").and_then(Value::as_object_mut).into_iter().flatten();
    settings.filter_map(|(_, setting)| setting.as_object_mut()).for_each(unread);
    saved
}

/// Compares two operators of the same kind, field by field.
fn fields(prefix: &str, saved: Fields<'_>, now: Fields<'_>, sentences: &mut Vec<String>) {
    let mut keys: Vec<&String> = own(saved).chain(own(now)).map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        match (saved.get(key), now.get(key)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(Value::Object(a)), Some(Value::Object(b))) => {
                let noun = key.strip_suffix('s').unwrap_or(key);
                fields(&format!("{prefix}{noun} "), a, b, sentences);
            }
            (Some(a), Some(b)) => {
                let (was, is) = if a.is_array() { ("were", "are") } else { ("was", "is") };
                let (a, b) = (text(a), text(b));
                let why = if clock::differs(&a, &b) { CLOCK } else { "" };
                sentences.push(format!("{prefix}{key} {was} {a}, {is} {b}{why}"));
            }
            (Some(a), None) => sentences.push(format!("{prefix}{key} was removed ({})", text(a))),
            (None, Some(b)) => sentences.push(format!("{prefix}{key} is new ({})", text(b))),
            (None, None) => {}
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| format!("{key} = {}", text(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// `a filter`
fn article(operator: Fields<'_>) -> String {
    let name = name(operator);
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// `: x > 1`, what an operator that is in one description only does.
fn details(operator: Fields<'_>) -> String {
    let own: Vec<&Value> =
        operator.iter().filter(|(key, _)| *key == "predicate" || *key == "outputs").map(|(_, value)| value).collect();
    if own.is_empty() {
        String::new()
    } else {
        format!(": {}", own.into_iter().map(text).collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Operators in which each is made of the one before, or of the tables that it holds.
    fn list(operators: impl IntoIterator<Item = Value>) -> Value {
        let mut list: Vec<Value> = Vec::new();
        for mut operator in operators {
            if let Some(Value::Array(tables)) = operator.get("inputs").cloned() {
                let mut inputs = Vec::new();
                for table in tables {
                    let shift = list.len() as u64;
                    for mut operator in table.as_array().unwrap().clone() {
                        if let Some(input) = operator.get("input").and_then(Value::as_u64) {
                            operator["input"] = json!(input + shift);
                        }
                        list.push(operator);
                    }
                    inputs.push(list.len() - 1);
                }
                operator["inputs"] = json!(inputs);
            } else if let Some(before) = list.len().checked_sub(1) {
                operator["input"] = json!(before);
            }
            list.push(operator);
        }
        Value::Array(list)
    }

    fn sessions(gap: i64, input: Value) -> Value {
        let session = json!({"operator": "session", "max_gap": gap, "instance": ["user"], "outputs": {"n": "count()"}});
        let mut operators = input.as_array().unwrap().clone();
        let before = operators.len() - 1;
        operators.push(session);
        operators.last_mut().unwrap()["input"] = json!(before);
        Value::Array(operators)
    }

    fn filter(predicate: &str) -> Value {
        list([source()[0].clone(), json!({"operator": "filter", "predicate": predicate})])
    }

    fn source() -> Value {
        let settings = json!({"delimiter": ","});
        json!([{"operator": "source", "kind": "csv", "columns": {"user": "str", "t": "int"}, "settings": settings}])
    }

    #[track_caller]
    fn check(saved: Value, now: Value, sentences: &[&str]) {
        let found: Vec<String> = difference(&saved, &now).iter().map(Difference::to_string).collect();
        assert_eq!(found, sentences);
    }

    #[test]
    fn equal_descriptions_do_not_differ() {
        check(sessions(300, source()), sessions(300, source()), &[]);
    }

    #[test]
    fn a_parameter_shows_both_values() {
        check(sessions(300, source()), sessions(600, source()), &["max_gap was 300, is 600"]);
    }

    #[test]
    fn outputs_are_compared_by_name() {
        let mut now = sessions(300, source());
        now[1]["outputs"] = json!({"n": "count() + 1", "last": "max(t)"});
        check(
            sessions(300, source()),
            now.clone(),
            &["output last is new (max(t))", "output n was count(), is count() + 1"],
        );
        check(
            now,
            sessions(300, source()),
            &["output last was removed (max(t))", "output n was count() + 1, is count()"],
        );
    }

    #[test]
    fn a_value_that_looks_like_the_time_of_the_run_is_told_apart() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let (before, now) = (format!("t > {}", now - 3600), format!("t > {now}"));
        check(
            sessions(300, filter(&before)),
            sessions(300, filter(&now)),
            &[&format!("the filter before it: predicate was {before}, is {now}{CLOCK}")],
        );
    }

    #[test]
    fn an_operator_before_it_is_named() {
        check(
            sessions(300, filter("t > 1")),
            sessions(300, filter("t > 2")),
            &["the filter before it: predicate was t > 1, is t > 2"],
        );
    }

    #[test]
    fn a_new_operator_is_not_a_change_of_all_others() {
        check(sessions(300, source()), sessions(300, filter("t > 1")), &["a filter was added: t > 1"]);
        check(sessions(300, filter("t > 1")), sessions(300, source()), &["a filter was removed: t > 1"]);
    }

    #[test]
    fn another_kind_of_step_is_a_removal_and_an_addition() {
        let reduce = json!({"operator": "reduce", "keys": ["user"], "outputs": {"n": "count()"}});
        let reduce = list([source()[0].clone(), reduce]);
        check(
            sessions(300, source()),
            reduce,
            &["a session was removed: n = count()", "a reduce was added: n = count()"],
        );
    }

    #[test]
    fn the_tables_of_a_concat_are_compared_one_by_one() {
        let concat = |inputs: &[Value]| list([json!({"operator": "concat", "inputs": inputs})]);
        check(
            sessions(300, concat(&[source(), filter("t > 1")])),
            sessions(300, concat(&[source(), filter("t > 2")])),
            &["the concat before it: in table 2, predicate was t > 1, is t > 2"],
        );
        check(
            sessions(300, concat(&[source(), source()])),
            sessions(300, concat(&[source()])),
            &["the concat before it: it had 2 tables, has 1"],
        );
    }

    #[test]
    fn a_source_shows_its_columns_and_settings() {
        let mut now = source();
        now[0]["columns"] = json!({"user": "str", "t": "float", "page": "str"});
        now[0]["settings"]["delimiter"] = json!(";");
        check(
            sessions(300, source()),
            sessions(300, now),
            &[
                "the source before it: column page is new (str)",
                "the source before it: column t was int, is float",
                "the source before it: setting delimiter was ,, is ;",
            ],
        );
    }
}
