//! Where the columns stand in a row: their paths, as a tree that is walked beside the row.

use millpond_error::{Error, Result};

use millpond_plan::json::MAX_DEPTH;

/// The paths of the columns that are read.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The first is the row itself.
    nodes: Vec<Node>,
    /// The pointer of each column, where it is not just the name.
    pub(super) pointers: Vec<Option<String>>,
}

/// An object, array or value that some column is, or is in.
#[derive(Clone, Debug, Default)]
struct Node {
    /// By key, in the order in which they were first named.
    fields: Vec<(Box<[u8]>, usize)>,
    /// By position in an array.
    elements: Vec<(usize, usize)>,
    /// The columns whose value this is.
    slots: Vec<usize>,
    /// These and those of all nodes below.
    slots_below: Vec<usize>,
}

impl Paths {
    /// The tree of these columns: the name, and the pointer if it is not the name.
    pub(super) fn new<'a>(columns: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<Self> {
        let mut paths = Paths { nodes: vec![Node::default()], pointers: Vec::new() };
        for (slot, (name, pointer)) in columns.enumerate() {
            let keys = match pointer {
                Some(pointer) => keys(pointer).map_err(|what| refused(name, pointer, what))?,
                None => vec![name.to_owned()],
            };
            let mut at = 0;
            paths.nodes[at].slots_below.push(slot);
            for key in keys {
                at = paths.child(at, key);
                paths.nodes[at].slots_below.push(slot);
            }
            paths.nodes[at].slots.push(slot);
            paths.pointers.push(pointer.map(str::to_owned));
        }
        Ok(paths)
    }

    fn child(&mut self, node: usize, key: String) -> usize {
        let key = key.into_bytes().into_boxed_slice();
        if let Some((_, child)) = self.nodes[node].fields.iter().find(|(known, _)| *known == key) {
            return *child;
        }
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        if let Some(position) = position(&key) {
            self.nodes[node].elements.push((position, child));
        }
        self.nodes[node].fields.push((key, child));
        child
    }

    /// The number of columns.
    pub(super) fn slots(&self) -> usize {
        self.pointers.len()
    }

    /// The node of a key in an object. `next` is where to look first: keys mostly come in one order.
    #[inline]
    pub(super) fn field(&self, node: usize, key: &[u8], next: &mut usize) -> Option<usize> {
        let fields = &self.nodes[node].fields;
        let (before, behind) = fields.split_at((*next).min(fields.len()));
        let found = behind.iter().chain(before).position(|(name, _)| **name == *key)?;
        let place = if found < behind.len() { before.len() + found } else { found - behind.len() };
        *next = place + 1;
        Some(fields[place].1)
    }

    /// The node of an element of an array.
    pub(super) fn element(&self, node: usize, position: usize) -> Option<usize> {
        self.nodes[node].elements.iter().find(|(known, _)| *known == position).map(|(_, child)| *child)
    }

    pub(super) fn has_fields(&self, node: usize) -> bool {
        !self.nodes[node].fields.is_empty()
    }

    pub(super) fn has_elements(&self, node: usize) -> bool {
        !self.nodes[node].elements.is_empty()
    }

    /// The columns whose value a node is.
    pub(super) fn slots_at(&self, node: usize) -> &[usize] {
        &self.nodes[node].slots
    }

    /// The columns whose value a node is, or whose value is in it.
    pub(super) fn slots_below(&self, node: usize) -> &[usize] {
        &self.nodes[node].slots_below
    }
}

/// The keys that a JSON pointer names.
fn keys(pointer: &str) -> std::result::Result<Vec<String>, &'static str> {
    let Some(rest) = pointer.strip_prefix('/') else { return Err("it does not start with \"/\"") };
    let keys: Vec<String> = rest.split('/').map(key).collect::<std::result::Result<_, _>>()?;
    if keys.len() > MAX_DEPTH { Err("it is too deep") } else { Ok(keys) }
}

fn key(token: &str) -> std::result::Result<String, &'static str> {
    if token.split('~').skip(1).any(|behind| !behind.starts_with(['0', '1'])) {
        return Err("\"~\" is written \"~0\" in it, and \"/\" in a key \"~1\"");
    }
    Ok(token.replace("~1", "/").replace("~0", "~"))
}

/// The position in an array that a key names: digits without a leading zero.
fn position(key: &[u8]) -> Option<usize> {
    let canonical = key == b"0" || matches!(key, [b'1'..=b'9', ..]);
    std::str::from_utf8(key).ok()?.parse().ok().filter(|_| canonical)
}

fn refused(column: &str, pointer: &str, what: &str) -> Error {
    Error::invalid(format!("json_field_paths: {column}: {pointer:?} is no path: {what}"))
        .with_hint("a path is a JSON pointer such as \"/address/city\" or \"/items/0/name\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pointer: &str, expect: std::result::Result<&[&str], &str>) {
        let found = keys(pointer);
        let found =
            found.as_ref().map(|keys| keys.iter().map(String::as_str).collect::<Vec<_>>()).map_err(|what| *what);
        assert_eq!(found, expect.map(<[&str]>::to_vec), "{pointer:?}");
    }

    #[test]
    fn pointers_name_keys() {
        check("/a", Ok(&["a"]));
        check("/a/0/b c", Ok(&["a", "0", "b c"]));
        check("/", Ok(&[""]));
        check("/~01/~1~0", Ok(&["~1", "/~"]));
    }

    #[test]
    fn what_is_no_pointer() {
        check("", Err("it does not start with \"/\""));
        check("a/b", Err("it does not start with \"/\""));
        check("/a~", Err("\"~\" is written \"~0\" in it, and \"/\" in a key \"~1\""));
        check("/a~2", Err("\"~\" is written \"~0\" in it, and \"/\" in a key \"~1\""));
        check(&"/a".repeat(129), Err("it is too deep"));
    }

    #[test]
    fn positions_have_no_leading_zero() {
        let positions =
            ["0", "10", "01", "+1", "-1", "", "x", "99999999999999999999"].map(|key| position(key.as_bytes()));
        assert_eq!(positions, [Some(0), Some(10), None, None, None, None, None, None]);
    }
}
