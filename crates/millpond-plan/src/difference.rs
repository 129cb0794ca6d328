//! What differs between two descriptions of a step, in sentences.

mod clock;

use serde_json::{Map, Value};

/// Ends a sentence about a value that looks like the time of a run.
pub const CLOCK: &str = ": it looks like the time of the run, and so makes another program in each run";

/// Sentences that say what differs between the description of a step as saved and as it is now; none if they are
/// equal.
///
/// ```
/// use millpond_plan::difference;
/// use serde_json::json;
///
/// let saved = json!({"operator": "session", "max_gap": 300, "input": {"operator": "source"}});
/// let now = json!({"operator": "session", "max_gap": 600, "input": {"operator": "source"}});
/// assert_eq!(difference(&saved, &now), ["max_gap was 300, is 600"]);
/// ```
pub fn difference(saved: &Value, now: &Value) -> Vec<String> {
    if saved == now {
        return Vec::new();
    }
    let (saved, now) = (operators(saved), operators(now));
    let mut sentences = Vec::new();
    for pair in align(&saved, &now) {
        match pair {
            (Some(i), Some(j)) => {
                let step = (i, j) == (0, 0) && name(saved[i]) == name(now[j]);
                let prefix = if step { String::new() } else { format!("the {} before it: ", name(now[j])) };
                fields(&prefix, saved[i], now[j], &mut sentences);
            }
            (Some(i), None) => sentences.push(format!("{} was removed{}", article(saved[i]), details(saved[i]))),
            (None, Some(j)) => sentences.push(format!("{} was added{}", article(now[j]), details(now[j]))),
            (None, None) => {}
        }
    }
    if sentences.is_empty() {
        sentences.push("it was described in another way".to_owned());
    }
    sentences
}

type Operator<'a> = &'a Map<String, Value>;

/// The operators of a description: the step's own, then those before it, down to the source.
fn operators(mut description: &Value) -> Vec<Operator<'_>> {
    let mut operators = Vec::new();
    while let Value::Object(fields) = description {
        operators.push(fields);
        description = fields.get("input").unwrap_or(&Value::Null);
    }
    operators
}

fn name(operator: Operator<'_>) -> &str {
    operator.get("operator").and_then(Value::as_str).unwrap_or("step")
}

/// Pairs up operators of the same kind, in order, equal ones if possible: a longest common subsequence.
fn align(saved: &[Operator<'_>], now: &[Operator<'_>]) -> Vec<(Option<usize>, Option<usize>)> {
    let score = |i: usize, j: usize| {
        let likeness = if name(saved[i]) != name(now[j]) {
            return 0;
        } else if same_fields(saved[i], now[j]) {
            2
        } else {
            1
        };
        // A step that kept its kind is that step.
        if (i, j) == (0, 0) { likeness + saved.len() + now.len() } else { likeness }
    };
    let mut best = vec![vec![0; now.len() + 1]; saved.len() + 1];
    for i in (0..saved.len()).rev() {
        for j in (0..now.len()).rev() {
            let paired = if score(i, j) > 0 { best[i + 1][j + 1] + score(i, j) } else { 0 };
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

fn same_fields(a: Operator<'_>, b: Operator<'_>) -> bool {
    let own = |fields: Operator<'_>| fields.iter().filter(|(key, _)| *key != "input").count();
    own(a) == own(b) && a.iter().filter(|(key, _)| *key != "input").all(|(key, value)| b.get(key) == Some(value))
}

/// Whether what was saved of a source holds for what is read of it now: it may have read more.
///
/// ```
/// use millpond_plan::without_unread;
/// use serde_json::json;
///
/// let saved = json!({"operator": "source", "columns": {"user": "str", "page": "str"}, "settings": {"paths": {"page": "/p"}}});
/// let now = json!({"operator": "source", "columns": {"user": "str"}, "settings": {"paths": {}}});
/// assert_eq!(without_unread(&saved, &now), now);
/// ```
pub fn without_unread(saved: &Value, now: &Value) -> Value {
    let mut saved = saved.clone();
    let Some(read) = now.get("columns").and_then(Value::as_object).filter(|_| now["operator"] == "source") else {
        return saved;
    };
    let unread = |columns: &mut Map<String, Value>| columns.retain(|column, _| read.contains_key(column));
    if let Some(columns) = saved.get_mut("columns").and_then(Value::as_object_mut) {
        unread(columns);
    }
    let settings = saved.get_mut("settings").and_then(Value::as_object_mut).into_iter().flatten();
    settings.filter_map(|(_, setting)| setting.as_object_mut()).for_each(unread);
    saved
}

/// Compares two operators of the same kind, field by field.
fn fields(prefix: &str, saved: Operator<'_>, now: Operator<'_>, sentences: &mut Vec<String>) {
    let mut keys: Vec<&String> = saved.keys().chain(now.keys()).filter(|key| *key != "input").collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        match (saved.get(key), now.get(key)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(Value::Array(a)), Some(Value::Array(b))) if key == "inputs" && a.len() == b.len() => {
                for (number, (a, b)) in (1..).zip(a.iter().zip(b)) {
                    let inside = difference(a, b).into_iter();
                    sentences.extend(inside.map(|sentence| format!("{prefix}in table {number}, {sentence}")));
                }
            }
            (Some(Value::Array(a)), Some(Value::Array(b))) if key == "inputs" => {
                sentences.push(format!("{prefix}it had {} tables, has {}", a.len(), b.len()));
            }
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
fn article(operator: Operator<'_>) -> String {
    let name = name(operator);
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}

/// `: x > 1`, what an operator that is in one description only does.
fn details(operator: Operator<'_>) -> String {
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

    fn sessions(gap: i64, input: Value) -> Value {
        json!({
            "operator": "session", "max_gap": gap, "instance": ["user"], "outputs": {"n": "count()"}, "input": input
        })
    }

    fn filter(predicate: &str) -> Value {
        json!({"operator": "filter", "predicate": predicate, "input": source()})
    }

    fn source() -> Value {
        json!({
            "operator": "source", "kind": "csv", "columns": {"user": "str", "t": "int"}, "settings": {"delimiter": ","}
        })
    }

    #[track_caller]
    fn check(saved: Value, now: Value, sentences: &[&str]) {
        assert_eq!(difference(&saved, &now), sentences);
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
        now["outputs"] = json!({"n": "count() + 1", "last": "max(t)"});
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
        let reduce = json!({"operator": "reduce", "keys": ["user"], "outputs": {"n": "count()"}, "input": source()});
        check(
            sessions(300, source()),
            reduce,
            &["a session was removed: n = count()", "a reduce was added: n = count()"],
        );
    }

    #[test]
    fn the_tables_of_a_concat_are_compared_one_by_one() {
        let concat = |inputs: &[Value]| json!({"operator": "concat", "inputs": inputs});
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
        now["columns"] = json!({"user": "str", "t": "float", "page": "str"});
        now["settings"]["delimiter"] = json!(";");
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
