//! Plans as bytes: what is read lowers to what was written.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::expr::{BinaryOp, UnaryOp};
use crate::functions::{BoolWords, TextFunction, TimeFunction, TimePart, TimeUnit};
use crate::saved_plan::SavedPlan;
use crate::time_format::TimeFormat;
use crate::zone::Zone;

/// What lowering shows of a plan: all but places in the program.
fn shown(plan: &PhysicalPlan) -> (String, BTreeMap<String, String>, Vec<serde_json::Value>) {
    let sinks = plan.sinks.iter().map(|sink| sink.description.clone()).collect();
    (plan.to_string(), descriptions(plan), sinks)
}

/// Checks that the plan of these outputs is the same when it is read back.
#[track_caller]
pub(super) fn check_made_again(plan: &PhysicalPlan) {
    let read = SavedPlan::from_bytes(plan.program.bytes()).sinks("the plan").unwrap();
    let again = lower(read, OnError::default()).unwrap();
    assert_eq!(shown(&again), shown(plan));
    assert_eq!(again.program, plan.program);
}

fn text(plan: &SavedPlan) -> &str {
    std::str::from_utf8(plan.bytes()).unwrap()
}

/// A plan of this JSON.
fn of_json(json: &serde_json::Value) -> SavedPlan {
    SavedPlan::from_bytes(format!("millpond plan 1\n{json}\n").into_bytes())
}

fn refusal(plan: &SavedPlan) -> String {
    let error = plan.sinks("state/plan-7").unwrap_err();
    assert_eq!(error.kind(), millpond_error::ErrorKind::Data);
    error.to_string()
}

#[test]
fn a_saved_plan_is_the_calls_that_make_its_tables() {
    let visits = source(Some("visits"), true);
    let late = visits.filter(col("access_time").gt(5), &here()).unwrap();
    let outputs = named([("user_id", col("user_id")), ("n", count()), ("last", max(col("access_time")))]);
    let users = late.group_reduce(named([("user_id", col("user_id"))]), outputs, &here()).unwrap();
    let users = users.named("per user", &here()).unwrap();
    let plan = plan([users]);
    expect![[r#"
        millpond plan 1
        {"expressions":[{"column":{"table":"this","name":"access_time"}},{"literal":{"int":5}},{"binary":["gt",0,1]},{"column":{"table":"this","name":"user_id"}},{"reducer":["count",[]]},{"reducer":["max",[0]]}],"tables":[{"operation":"source","arguments":{"append_only":true,"kind":"csv","name":"visits","schema":[{"name":"user_id","optional":false,"type":"str"},{"name":"access_time","optional":false,"type":"int"},{"name":"page","optional":true,"type":"str"},{"name":"bytes","optional":true,"type":"int"}],"settings":{"delimiter":","}}},{"operation":"filter","inputs":[0],"arguments":{"predicate":2}},{"operation":"reduce","inputs":[1],"arguments":{"keys":[["user_id",3]],"outputs":[["user_id",3],["n",4],["last",5]]},"name":"per user"}],"outputs":[{"name":"","kind":"csv","table":2,"keeps_table":false,"settings":{"path":"out.csv"}}]}
    "#]]
    .assert_eq(text(&plan.program));
    check_made_again(&plan);
}

#[test]
fn equal_programs_have_equal_plans_wherever_their_lines_are() {
    let at = |line| {
        let origin = Origin { file: "visits.py".into(), line };
        let predicate = (col("access_time") * 2).gt(5).at(origin.clone());
        SavedPlan::of(&[sink(source(None, true).filter(predicate, &origin).unwrap(), true)])
    };
    assert_eq!(at(3), at(30));
    assert_ne!(at(3), SavedPlan::of(&[sink(source(None, true), true)]));
}

#[test]
fn what_is_shared_is_saved_once() {
    let mut e = col("access_time");
    for _ in 0..60 {
        e = if_else(e.gt(1), e.clone() - 1, e);
    }
    let mut table = source(None, true).select(named([("e", e)]), &here()).unwrap();
    for _ in 0..30 {
        table = table.concat(std::slice::from_ref(&table), &here()).unwrap();
    }
    let saved = SavedPlan::of(&[sink(table, false)]);
    assert!(saved.bytes().len() < 10_000, "{}", saved.bytes().len());
    assert_eq!(SavedPlan::of(&saved.sinks("the plan").unwrap()), saved);
}

/// Checks that a value comes back, and how it is written.
#[track_caller]
fn check_value<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: T, written: &str) {
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(text, written);
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value);
}

#[test]
fn every_value_comes_back() {
    use Literal as L;
    check_value(L::None, r#""none""#);
    check_value(L::Bool(true), r#"{"bool":true}"#);
    check_value(L::Int(i64::MIN), r#"{"int":-9223372036854775808}"#);
    for (value, written) in [(-0.0, "-0.0"), (f64::NAN, "NaN"), (f64::NEG_INFINITY, "-inf"), (5e-324, "5e-324")] {
        check_value(L::Float(value), &format!(r#"{{"float":"{written}"}}"#));
    }
    check_value(L::Str("ä\n\"".into()), r#"{"str":"ä\n\""}"#);
    check_value(L::DateTimeNaive(i64::MAX), r#"{"date_time_naive":9223372036854775807}"#);
    check_value(L::DateTimeUtc(-1), r#"{"date_time_utc":-1}"#);
    check_value(L::Duration(7), r#"{"duration":7}"#);
    check_value(
        L::Stored(Type::tuple([Type::Int.optional()]), [1, 255].into()),
        r#"{"stored":["tuple[int?]",[1,255]]}"#,
    );
}

proptest! {
    #[test]
    fn every_float_comes_back(bits: u64) {
        let value = f64::from_bits(bits);
        let text = serde_json::to_string(&Literal::Float(value)).unwrap();
        let Literal::Float(read) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        prop_assert!(read.to_bits() == bits || read.is_nan() && value.is_nan());
    }
}

#[test]
fn every_function_comes_back() {
    use TextFunction as T;
    let words = || std::sync::Arc::new(BoolWords::new(["yes"], ["no", "nö"]));
    let texts = [
        (T::Lower, r#""lower""#),
        (T::Upper, r#""upper""#),
        (T::Strip, r#""strip""#),
        (T::Len, r#""len""#),
        (T::StartsWith, r#""starts_with""#),
        (T::EndsWith, r#""ends_with""#),
        (T::Contains, r#""contains""#),
        (T::Find, r#""find""#),
        (T::Count, r#""count""#),
        (T::Replace, r#""replace""#),
        (T::Slice, r#""slice""#),
        (T::Split, r#""split""#),
        (T::SplitWhitespace, r#""split_whitespace""#),
        (T::ParseInt { optional: true }, r#"{"parse_int":{"optional":true}}"#),
        (T::ParseFloat { optional: false }, r#"{"parse_float":{"optional":false}}"#),
        (
            T::ParseBool { words: words(), optional: true },
            r#"{"parse_bool":{"words":{"yes":["yes"],"no":["no","nö"]},"optional":true}}"#,
        ),
    ];
    texts.into_iter().for_each(|(function, written)| check_value(function, written));
    use TimeFunction as F;
    let format = || std::sync::Arc::new(TimeFormat::new("%Y-%m-%d %z"));
    let zone = || std::sync::Arc::new(Zone::new("Europe/Berlin"));
    let times = [
        (F::Part(TimePart::Weekday), r#"{"part":"weekday"}"#),
        (F::Whole(TimeUnit::Weeks), r#"{"whole":"weeks"}"#),
        (F::Timestamp(None), r#"{"timestamp":null}"#),
        (F::Timestamp(Some(TimeUnit::Seconds)), r#"{"timestamp":"seconds"}"#),
        (
            F::FromTimestamp { unit: TimeUnit::Milliseconds, utc: true },
            r#"{"from_timestamp":{"unit":"milliseconds","utc":true}}"#,
        ),
        (F::Floor, r#""floor""#),
        (F::Round, r#""round""#),
        (F::Strftime(format()), r#"{"strftime":"%Y-%m-%d %z"}"#),
        (
            F::Strptime { format: format(), contains_timezone: Some(true) },
            r#"{"strptime":{"format":"%Y-%m-%d %z","contains_timezone":true}}"#,
        ),
        (F::ToUtc(zone()), r#"{"to_utc":"Europe/Berlin"}"#),
        (F::ToNaive(zone()), r#"{"to_naive":"Europe/Berlin"}"#),
    ];
    times.into_iter().for_each(|(function, written)| check_value(function, written));
    let reducers = [
        (Reducer::Count, r#""count""#),
        (Reducer::ArgMin, r#""arg_min""#),
        (Reducer::CountDistinct, r#""count_distinct""#),
        (Reducer::Tuple { skip_nones: true }, r#"{"tuple":{"skip_nones":true}}"#),
        (Reducer::SortedTuple { skip_nones: false }, r#"{"sorted_tuple":{"skip_nones":false}}"#),
    ];
    reducers.into_iter().for_each(|(reducer, written)| check_value(reducer, written));
    check_value([UnaryOp::Neg, UnaryOp::IsNotNone, UnaryOp::Unwrap], r#"["neg","is_not_none","unwrap"]"#);
    check_value([BinaryOp::FloorDiv, BinaryOp::Ne, BinaryOp::Xor], r#"["floor_div","ne","xor"]"#);
}

#[test]
fn every_operation_is_made_again() {
    let visits = source(Some("visits"), false);
    let log = Table::error_log(&here());
    let known = visits.with_id_from(vec![col("user_id"), col("access_time")], &here()).unwrap();
    let times = known.with_columns(named([("hour", col("access_time").floordiv(3600))]), &here()).unwrap();
    let part = times.filter(col("hour").gt(1), &here()).unwrap();
    let on = |id| crate::JoinOn {
        mode: crate::JoinMode::Inner,
        conditions: vec![
            left("user_id").eq(crate::right("user_id")),
            (left("access_time") + 1).eq(crate::right("access_time")),
        ],
        id,
    };
    let outputs = named([("user_id", left("user_id")), ("n", crate::right("bytes")), ("hour", left("hour"))]);
    let joined = times.join_select(&known.copy(&here()), on(Some(crate::Side::Left)), outputs, &here()).unwrap();
    let before = times.session_reduce(
        SessionWindow {
            time: col("access_time"),
            gap: SessionGap::Where((col(crate::AFTER) - col(crate::BEFORE)).lt(7)),
            instance: None,
            behavior: None,
        },
        named([("n", count())]),
        &here(),
    );
    let windows = times.sliding_reduce(
        SlidingWindow {
            time: col("access_time"),
            hop: Literal::Int(10),
            length: WindowLength::Duration(Literal::Int(25)),
            origin: Some(Literal::Int(3)),
            instance: Some(col("user_id")),
            behavior: Some(crate::Behavior::ExactlyOnce { shift: Some(Literal::Int(2)) }),
        },
        named([("user_id", col("user_id")), ("start", col(crate::WINDOW_START)), ("pages", tuple(col("page")))]),
        &here(),
    );
    let cells = part.select(named([("bytes", col("bytes") * 2)]), &here()).unwrap();
    let tables = [
        log,
        sessions(&visits),
        before.unwrap(),
        windows.unwrap(),
        joined,
        times.difference(&part, &here()).unwrap(),
        times.intersect(std::slice::from_ref(&part), &here()).unwrap(),
        times.update_rows(&part, &here()).unwrap(),
        times.update_cells(&cells, &here()).unwrap(),
        visits.rename(&[("page".to_owned(), "place".to_owned())], &here()).unwrap(),
        visits.without(&["page".to_owned()], &here()).unwrap(),
        visits.flatten("page", &here()).unwrap().remove_errors(&here()),
        visits.select(named([("n", col("bytes").floordiv(0))]), &here()).unwrap().mark_errors(&here()),
    ];
    let sinks = tables.into_iter().enumerate().map(|(at, table)| sink(table, at % 2 == 0)).collect();
    check_made_again(&lower(sinks, OnError::default()).unwrap());
}

#[test]
fn a_plan_that_is_none_is_refused_by_name() {
    let saved = SavedPlan::of(&[sink(source(None, true), false)]);
    let with = |from: &str, to: &str| SavedPlan::from_bytes(text(&saved).replacen(from, to, 1).into_bytes());
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(
        refusal(&with("plan 1\n", "plan 2\n")),
        format!(
            "state/plan-7 is a plan of format 2; this Millpond ({own}) reads format 1\n\
             hint: run the program with the Millpond that wrote the plan"
        )
    );
    assert_eq!(refusal(&SavedPlan::default()), "state/plan-7 is no plan: its first line is not that of one");
    let what = format!("state/plan-7 is no plan that this Millpond ({own}) reads: ");
    assert!(refusal(&with("\"outputs\"", "\"sinks\"")).starts_with(&what));
    let refused = |json: serde_json::Value| {
        let text = refusal(&of_json(&json));
        let what = format!("state/plan-7: this Millpond ({own}) refuses the plan: ");
        text.strip_prefix(&what).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let document =
        |expressions, tables, outputs| json!({"expressions": expressions, "tables": tables, "outputs": outputs});
    let mut one: serde_json::Value = serde_json::from_str(text(&saved).lines().nth(1).unwrap()).unwrap();
    let source = one["tables"][0].take();
    let part = "a part does not stand before what is made of it";
    assert_eq!(refused(document(json!([{"unary": ["neg", 0]}]), json!([]), json!([]))), part);
    assert_eq!(refused(document(json!([]), json!([{"operation": "copy", "inputs": [0]}]), json!([]))), part);
    let sort = json!([source, {"operation": "sort", "inputs": [0]}]);
    assert_eq!(refused(document(json!([]), sort, json!([]))), "the operation \"sort\" is not known");
    let output = json!([{"name": "", "kind": "csv", "table": 1, "keeps_table": false, "settings": null}]);
    assert_eq!(refused(document(json!([]), json!([source]), output)), part);
    let call = |operation: &str, inputs: serde_json::Value, arguments: serde_json::Value| json!([source, {"operation": operation, "inputs": inputs, "arguments": arguments}]);
    let column = json!([{"column": {"table": "this", "name": "city"}}]);
    for (call, why) in [
        (call("filter", json!([0]), json!({"predicate": 5})), part),
        (call("filter", json!([0]), json!({})), "the argument \"predicate\": invalid type: null, expected usize"),
        (call("filter", json!([]), json!({"predicate": 0})), "a table is made of none"),
        (call("combine", json!([0]), json!({"rows": "difference"})), "a table is made of one and not of two"),
    ] {
        assert_eq!(refused(document(column.clone(), call, json!([]))), why);
    }
    // What a program would be refused for.
    let filter = call("filter", json!([0]), json!({"predicate": 0}));
    assert!(refused(document(column, filter, json!([]))).contains("no column \"city\""));
    // A column of a join outside of one, where a program could not have it.
    let left = json!([{"column": {"table": "left", "name": "bytes"}}]);
    let select = call("select", json!([0]), json!({"columns": [["b", 0]]}));
    assert!(refused(document(left, select, json!([]))).contains("outside of a join"));
}
