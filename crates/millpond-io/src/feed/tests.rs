//! The law for fed sources, and the queue's promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpond_engine::arrangement::{SavedMap, SavedSegment};
use millpond_engine::changes::Epoch;
use millpond_engine::hash::HashSeed;
use millpond_error::{Error, ErrorKind, Result};
use millpond_store::DAMAGE_HINT;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::{Cell, Feed, FeedOptions, FeedSource, Feeder};
use crate::source::{Next, Source};
use crate::testing::{Bag, Saved, cell, save, save_arrangement, schema};
use crate::wakeup::Wakeup;

/// A feeder without a thread: keeps what it was started with, for the test to use.
#[derive(Default)]
struct ByHand(Mutex<Option<(Feed, Option<String>)>>);

impl Feeder for ByHand {
    fn start(&self, feed: Feed, position: Option<&str>) -> Result<()> {
        *self.0.lock() = Some((feed, position.map(str::to_owned)));
        Ok(())
    }

    fn stop(&self) {
        if let Some((feed, _)) = self.0.lock().take() {
            feed.end(Ok(()));
        }
    }
}

fn start(options: &FeedOptions, saved: Saved) -> (FeedSource, Feed, Option<String>) {
    let feeder = Arc::new(ByHand::default());
    let mut source = FeedSource::new(options.clone(), feeder.clone(), HashSeed(7));
    source.open(saved).unwrap();
    source.watch(&Wakeup::default()).unwrap();
    let (feed, position) = feeder.0.lock().clone().unwrap();
    (source, feed, position)
}

/// Reads one epoch, if there is one; whether there was.
fn read_epoch(source: &mut FeedSource, columns: &[usize], bag: &mut Bag) -> bool {
    let Some(input) = source.next_epoch(columns).unwrap().into_input() else { return false };
    while let Some(changes) = input.next().unwrap() {
        for row in 0..changes.rows {
            let mut cells = vec![String::new(); columns.len()];
            for (at, column) in columns.iter().zip(&changes.columns) {
                cells[*at] = cell(column, row);
            }
            *bag.entry(cells).or_default() += changes.diffs.get(row);
        }
    }
    bag.retain(|_, count| *count != 0);
    source.finish_epoch(Epoch(2)).unwrap();
    true
}

type Row = (String, Option<i8>, bool);

#[derive(Clone, Debug)]
enum Op {
    Push(Row),
    Remove(Row),
    Commit,
    Read,
    Checkpoint,
    Kill,
}

fn op() -> impl Strategy<Value = Op> {
    let row = || ("[abc]", prop::option::of(0i8..3), any::<bool>());
    prop_oneof![
        6 => row().prop_map(Op::Push),
        2 => row().prop_map(Op::Remove),
        3 => Just(Op::Commit),
        3 => Just(Op::Read),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Kill),
    ]
}

fn texts((user, size, new): &Row) -> Vec<String> {
    vec![user.clone(), size.map_or("null".into(), |size| format!("{:?}", f64::from(size))), new.to_string()]
}

/// What is there after all pushes and removals, by the simplest means.
fn expected(ops: &[Op], key: &[usize]) -> Bag {
    let mut by_key: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    let mut bag = Bag::new();
    for op in ops {
        let (Op::Push(row) | Op::Remove(row)) = op else { continue };
        let cells = texts(row);
        let of_key: Vec<String> = key.iter().map(|column| cells[*column].clone()).collect();
        let added = matches!(op, Op::Push(_));
        match (key.is_empty(), added) {
            (true, _) => *bag.entry(cells).or_default() += if added { 1 } else { -1 },
            (false, true) => drop(by_key.insert(of_key, cells)),
            (false, false) => drop(by_key.remove(&of_key)),
        }
    }
    by_key.into_values().for_each(|cells| *bag.entry(cells).or_default() += 1);
    bag.retain(|_, count| *count != 0);
    bag
}

/// Plays the operations. A checkpoint keeps the state and what was emitted up to it; a kill goes back to it, and the
/// program goes on from the position that the state hands it.
fn play(ops: &[Op], options: &FeedOptions, columns: &[usize]) -> Bag {
    let (mut source, mut feed, _) = start(options, Saved::new());
    let mut bag = Bag::new();
    let mut checkpoint = (Saved::new(), Bag::new());
    let mut killed = BTreeSet::new();
    let mut at = 0;
    while at < ops.len() {
        match &ops[at] {
            Op::Push(row) | Op::Remove(row) => {
                let (user, size, new) = row;
                let size = size.map_or(Cell::Null, |size| Cell::Float(f64::from(size)));
                let cells = [Cell::Str(user), size, Cell::Bool(*new)];
                let added = matches!(ops[at], Op::Push(_));
                let room = if added { feed.push(&cells) } else { feed.remove(&cells) };
                assert!(room.unwrap());
            }
            Op::Commit => feed.commit(options.positions.then(|| (at + 1).to_string())).unwrap(),
            Op::Read => drop(read_epoch(&mut source, columns, &mut bag)),
            Op::Checkpoint => checkpoint = (save(&mut source), bag.clone()),
            Op::Kill if options.positions && killed.insert(at) => {
                bag = checkpoint.1.clone();
                let position;
                (source, feed, position) = start(options, checkpoint.0.clone());
                at = position.map_or(0, |position| position.parse().unwrap());
                continue;
            }
            Op::Kill => {}
        }
        at += 1;
    }
    feed.commit(options.positions.then(|| ops.len().to_string())).unwrap();
    feed.end(Ok(()));
    while read_epoch(&mut source, columns, &mut bag) {}
    assert!(matches!(source.next_epoch(columns).unwrap(), Next::End));
    bag
}

fn options(key: &[usize]) -> FeedOptions {
    let schema = schema("user: str, size: float?, new: bool");
    FeedOptions { schema, key: key.to_vec(), removals: true, positions: false, autocommit: None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000)))]

    #[test]
    fn the_sum_of_all_epochs_is_what_is_there_in_the_end(
        ops in prop::collection::vec(op(), 0..60),
        key in prop::sample::select(vec![vec![], vec![0], vec![1], vec![0, 2], vec![0, 1, 2]]),
        columns in Just(vec![0, 1, 2]).prop_shuffle(),
        positions in any::<bool>(),
        autocommit in any::<bool>(),
    ) {
        let autocommit = autocommit.then_some(Duration::ZERO);
        let options = FeedOptions { positions, autocommit, ..options(&key) };
        prop_assert_eq!(play(&ops, &options, &columns), expected(&ops, &key));
    }
}

#[test]
fn who_hands_over_too_much_waits() {
    let (mut source, feed, _) = start(&options(&[]), Saved::new());
    let row = [Cell::Str("ann"), Cell::Null, Cell::Bool(true)];
    let mut pushed = 1;
    while feed.push(&row).unwrap() {
        pushed += 1;
    }
    assert!((1 << 20..(1 << 20) + (1 << 16)).contains(&pushed), "{pushed}");
    let waiting = std::thread::spawn({
        let feed = feed.clone();
        move || feed.wait_for_room()
    });
    std::thread::sleep(Duration::from_millis(50));
    assert!(!waiting.is_finished());
    let mut bag = Bag::new();
    assert!(read_epoch(&mut source, &[0, 1, 2], &mut bag));
    waiting.join().unwrap();
    assert_eq!(bag.values().sum::<i64>(), pushed);
}

#[test]
fn a_commit_with_a_position_is_never_divided() {
    let options = FeedOptions { positions: true, autocommit: Some(Duration::ZERO), ..options(&[]) };
    let (mut source, feed, _) = start(&options, Saved::new());
    let row = [Cell::Str("ann"), Cell::Null, Cell::Bool(true)];
    for _ in 0..(1 << 20) + 5 {
        assert!(feed.push(&row).unwrap());
    }
    let mut bag = Bag::new();
    assert!(!read_epoch(&mut source, &[0, 1, 2], &mut bag));
    feed.commit(Some("1".into())).unwrap();
    assert!(read_epoch(&mut source, &[0, 1, 2], &mut bag));
    assert_eq!(bag.values().sum::<i64>(), (1 << 20) + 5);
    feed.push(&row).unwrap();
    feed.close();
    let error = source.next_epoch(&[0, 1, 2]).err().unwrap();
    let text = "rows were handed over after the last commit with a position\n\
                hint: end with a commit of the last position";
    check_error(&error, ErrorKind::Invalid, text);
}

#[test]
fn a_row_counts_after_the_autocommit_duration() {
    let options = FeedOptions { autocommit: Some(Duration::from_millis(30)), ..options(&[]) };
    let (mut source, feed, _) = start(&options, Saved::new());
    let began = Instant::now();
    feed.push(&[Cell::Str("ann"), Cell::Null, Cell::Bool(true)]).unwrap();
    let mut bag = Bag::new();
    while !read_epoch(&mut source, &[0, 1, 2], &mut bag) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[test]
fn a_failure_comes_after_what_was_committed() {
    let (mut source, feed, _) = start(&options(&[0]), Saved::new());
    feed.push(&[Cell::Str("ann"), Cell::Null, Cell::Bool(true)]).unwrap();
    feed.commit(None).unwrap();
    feed.end(Err(Error::unavailable("no more")));
    let mut bag = Bag::new();
    assert!(read_epoch(&mut source, &[0, 1, 2], &mut bag));
    assert_eq!(bag.len(), 1);
    assert_eq!(source.next_epoch(&[0, 1, 2]).err().unwrap(), Error::unavailable("no more"));
}

#[test]
fn a_row_that_does_not_fit_is_refused_as_a_whole() {
    let check = |cells: &[Cell<'_>], message: &str| {
        let (mut source, feed, _) = start(&options(&[]), Saved::new());
        let error = feed.push(cells).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Input, message));
        feed.push(&[Cell::Str("bob"), Cell::Float(1.5), Cell::Bool(false)]).unwrap();
        feed.close();
        let mut bag = Bag::new();
        assert!(read_epoch(&mut source, &[0, 1, 2], &mut bag));
        assert_eq!(bag.into_keys().next().unwrap(), ["bob", "1.5", "false"]);
    };
    check(&[Cell::Str("ann"), Cell::Null, Cell::Null], "new: a value is missing, of type Type::Bool");
    check(&[Cell::Str("ann"), Cell::Int(1), Cell::Bool(true)], "size: Int(1) is not of type Type::Float");
    check(&[Cell::Str("ann")], "a row of 1 values where the schema has 3 columns");
}

#[test]
fn nothing_is_taken_after_the_end() {
    let row = [Cell::Str("ann"), Cell::Null, Cell::Bool(true)];
    let (source, feed, _) = start(&options(&[]), Saved::new());
    feed.close();
    check_error(&feed.push(&row).unwrap_err(), ErrorKind::Invalid, "the source is closed");
    check_error(&feed.commit(None).unwrap_err(), ErrorKind::Invalid, "the source is closed");
    drop(source);
    check_error(&feed.push(&row).unwrap_err(), ErrorKind::Interrupted, "the run is over");
}

#[test]
fn what_is_declared_never_to_be_removed_stays() {
    let declared = FeedOptions { removals: false, ..options(&[]) };
    let (_source, feed, _) = start(&declared, Saved::new());
    let error = feed.remove(&[Cell::Str("ann"), Cell::Null, Cell::Bool(true)]).unwrap_err();
    assert_eq!(error.message(), "rows of this source are declared never to be removed");
}

/// The error is of this kind and reads so, its hint included.
#[track_caller]
fn check_error(error: &Error, kind: ErrorKind, text: &str) {
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
}

#[test]
fn a_commit_has_a_position_where_the_source_has_them() {
    let with = FeedOptions { positions: true, ..options(&[]) };
    let cases = [
        (with, None, "a commit of a source with positions needs one"),
        (options(&[]), Some("7".to_owned()), "a commit has a position, and the source none"),
    ];
    for (options, position, text) in cases {
        let (mut source, feed, _) = start(&options, Saved::new());
        feed.push(&[Cell::Str("ann"), Cell::Null, Cell::Bool(true)]).unwrap();
        let other = position.is_none().then(|| "7".to_owned());
        check_error(&feed.commit(position).unwrap_err(), ErrorKind::Invalid, text);
        // The other way round, and nothing is lost.
        feed.commit(other).unwrap();
        let mut bag = Bag::new();
        assert!(read_epoch(&mut source, &[0, 1, 2], &mut bag));
        assert_eq!(bag.len(), 1);
    }
}

#[test]
fn a_cell_of_json_text_must_be_of_its_type() {
    let list = millpond_columns::types::Type::list(millpond_columns::types::Type::Int);
    for (ty, text) in [(millpond_columns::types::Type::Json, "{"), (list, "[1, \"two\"]")] {
        let error = Cell::json(ty, text).unwrap_err();
        check_error(&error, ErrorKind::Input, &format!("{text:?} is not the JSON of a {ty}"));
    }
    Cell::json(list, "[1, 2]").unwrap();
}

#[test]
fn a_row_has_a_limit() {
    let (mut source, feed, _) = start(&options(&[]), Saved::new());
    let long = "x".repeat((1 << 28) + 1);
    let error = feed.push(&[Cell::Str(&long), Cell::Null, Cell::Bool(true)]).unwrap_err();
    check_error(&error, ErrorKind::Input, "a row of 268435478 bytes; it may have up to 268435456");
    feed.push(&[Cell::Str("ann"), Cell::Null, Cell::Bool(true)]).unwrap();
    feed.close();
    let mut bag = Bag::new();
    assert!(read_epoch(&mut source, &[0, 1, 2], &mut bag));
    assert_eq!(bag.len(), 1);
}

/// The saved position of a source that was committed at `position`.
fn saved_at(position: &str) -> Saved {
    let (mut source, feed, _) = start(&FeedOptions { positions: true, ..options(&[]) }, Saved::new());
    feed.push(&[Cell::Str("ann"), Cell::Null, Cell::Bool(true)]).unwrap();
    feed.commit(Some(position.to_owned())).unwrap();
    assert!(read_epoch(&mut source, &[0, 1, 2], &mut Bag::new()));
    save(&mut source)
}

#[test]
fn saved_positions_that_no_run_saved_are_damage() {
    let open = |saved| {
        let feeder = Arc::new(ByHand::default());
        FeedSource::new(options(&[]), feeder, HashSeed(7)).open(saved)
    };
    let mut twice = saved_at("7");
    let segments = saved_at("8").remove(0).1.segments;
    let later = segments.into_iter().map(|segment| SavedSegment { level: segment.level + 1, ..segment });
    twice[0].1.segments.extend(later);
    let mut names: SavedMap<String> = SavedMap::new(HashSeed(7), |name, times| format!("{name} {times} times"));
    names.update(["position", "place"].map(|name| (name.to_owned(), Some("7".to_owned()))).to_vec()).unwrap();
    let mut two_names = saved_at("7");
    two_names[0].1 = save_arrangement("position", names.arrangement());
    let mut other = saved_at("7");
    other[0].0 = "files".to_owned();
    let cases = [
        (twice, "the saved state holds more than one position of a source"),
        (two_names, "the saved state holds more than one position of a source"),
        (other, "a source of the program has no arrangement \"files\""),
    ];
    for (saved, what) in cases {
        let text = format!("{what}\nhint: {DAMAGE_HINT}");
        check_error(&open(saved).unwrap_err(), ErrorKind::Data, &text);
    }
    open(saved_at("7")).unwrap();
}

#[test]
fn a_source_is_started_before_it_is_read() {
    let mut source = FeedSource::new(options(&[]), Arc::new(ByHand::default()), HashSeed(7));
    let error = source.next_epoch(&[0]).err().unwrap();
    check_error(&error, ErrorKind::Unavailable, "the source was not started");
}
