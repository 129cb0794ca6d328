//! Functions on text; [`Expr::str`](crate::Expr::str) calls them.

use std::fmt;
use std::sync::Arc;

use millpond_columns::dialect::{Notation, quoted};
use millpond_columns::types::Type;
use serde::{Deserialize, Serialize};

/// What a method of [`Text`](crate::Text) computes. The first operand is the text, the others are the arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFunction {
    /// `a.str.lower()`
    Lower,
    /// `a.str.upper()`
    Upper,
    /// `a.str.strip()`, or `a.str.strip(characters)`
    Strip,
    /// `a.str.len()`
    Len,
    /// `a.str.startswith(prefix)`
    StartsWith,
    /// `a.str.endswith(suffix)`
    EndsWith,
    /// `a.str.contains(part)`
    Contains,
    /// `a.str.find(part)`
    Find,
    /// `a.str.count(part)`
    Count,
    /// `a.str.replace(old, new)`, or `a.str.replace(old, new, count)`
    Replace,
    /// `a.str.slice(start, end)`
    Slice,
    /// `a.str.split(separator)`, or `a.str.split(separator, maxsplit)`
    Split,
    /// `a.str.split_whitespace()`, or `a.str.split_whitespace(maxsplit)`
    SplitWhitespace,
    /// `a.str.parse_int()`
    ParseInt {
        /// Whether text that is no number is null instead of an error value.
        optional: bool,
    },
    /// `a.str.parse_float()`
    ParseFloat {
        /// Whether text that is no number is null instead of an error value.
        optional: bool,
    },
    /// `a.str.parse_bool()`
    ParseBool {
        /// The words that are read.
        words: Arc<BoolWords>,
        /// Whether text that is none of the words is null instead of an error value.
        optional: bool,
    },
}

/// The words for true and for false, in any case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BoolWords {
    yes: Vec<String>,
    no: Vec<String>,
}

impl BoolWords {
    /// These words; one that is in both lists means true.
    pub fn new(yes: impl IntoIterator<Item = impl AsRef<str>>, no: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        BoolWords {
            yes: yes.into_iter().map(|word| word.as_ref().to_lowercase()).collect(),
            no: no.into_iter().map(|word| word.as_ref().to_lowercase()).collect(),
        }
    }

    pub(crate) fn read(&self, text: &str) -> Option<bool> {
        let same = |word: &String| {
            let letters = || text.chars().flat_map(char::to_lowercase);
            word.chars().eq(letters())
        };
        if self.yes.iter().any(same) { Some(true) } else { self.no.iter().any(same).then_some(false) }
    }
}

/// `on`, `true`, `yes`, `1` and `off`, `false`, `no`, `0`.
impl Default for BoolWords {
    fn default() -> Self {
        BoolWords::new(["on", "true", "yes", "1"], ["off", "false", "no", "0"])
    }
}

impl TextFunction {
    /// The functions that have no options.
    pub const PLAIN: [TextFunction; 13] = {
        use TextFunction::*;
        [Lower, Upper, Strip, Len, StartsWith, EndsWith, Contains, Find, Count, Replace, Slice, Split, SplitWhitespace]
    };

    /// The name of its method in Python, where `split_whitespace` is `split` without a separator.
    pub fn name(&self) -> &'static str {
        match self {
            TextFunction::Lower => "lower",
            TextFunction::Upper => "upper",
            TextFunction::Strip => "strip",
            TextFunction::Len => "len",
            TextFunction::StartsWith => "startswith",
            TextFunction::EndsWith => "endswith",
            TextFunction::Contains => "contains",
            TextFunction::Find => "find",
            TextFunction::Count => "count",
            TextFunction::Replace => "replace",
            TextFunction::Slice => "slice",
            TextFunction::Split => "split",
            TextFunction::SplitWhitespace => "split_whitespace",
            TextFunction::ParseInt { .. } => "parse_int",
            TextFunction::ParseFloat { .. } => "parse_float",
            TextFunction::ParseBool { .. } => "parse_bool",
        }
    }

    /// The types of the operands, of which so many may be left out at the end.
    pub(crate) fn operands(&self) -> (&'static [Type], usize) {
        use Type::{Int, Str};
        match self {
            TextFunction::Lower | TextFunction::Upper | TextFunction::Len => (&[Str], 0),
            TextFunction::Strip => (&[Str, Str], 1),
            TextFunction::StartsWith | TextFunction::EndsWith | TextFunction::Contains => (&[Str, Str], 0),
            TextFunction::Find | TextFunction::Count => (&[Str, Str], 0),
            TextFunction::Replace => (&[Str, Str, Str, Int], 1),
            TextFunction::Slice => (&[Str, Int, Int], 0),
            TextFunction::Split => (&[Str, Str, Int], 1),
            TextFunction::SplitWhitespace => (&[Str, Int], 1),
            TextFunction::ParseInt { .. } | TextFunction::ParseFloat { .. } => (&[Str], 0),
            TextFunction::ParseBool { .. } => (&[Str], 0),
        }
    }

    /// The type of the result.
    pub(crate) fn ty(&self) -> Type {
        match self {
            TextFunction::Lower | TextFunction::Upper | TextFunction::Strip => Type::Str,
            TextFunction::Replace | TextFunction::Slice => Type::Str,
            TextFunction::Split | TextFunction::SplitWhitespace => Type::list(Type::Str),
            TextFunction::Len | TextFunction::Find | TextFunction::Count => Type::Int,
            TextFunction::ParseInt { .. } => Type::Int,
            TextFunction::ParseFloat { .. } => Type::Float,
            TextFunction::StartsWith | TextFunction::EndsWith | TextFunction::Contains => Type::Bool,
            TextFunction::ParseBool { .. } => Type::Bool,
        }
    }

    /// Whether the result may be null where no operand is.
    pub(crate) fn is_optional(&self) -> bool {
        match self {
            TextFunction::ParseInt { optional }
            | TextFunction::ParseFloat { optional }
            | TextFunction::ParseBool { optional, .. } => *optional,
            _ => false,
        }
    }

    /// What stands after the arguments in the text of a call.
    pub(crate) fn options(&self, notation: Notation) -> Vec<String> {
        let mut options = Vec::new();
        if let TextFunction::ParseBool { words, .. } = self {
            options.push(match notation {
                Notation::Rust => format!("BoolWords::new({words})"),
                _ => words.to_string(),
            });
        }
        if self.is_optional() && notation != Notation::Rust {
            options.push("optional=True".into());
        }
        options
    }
}

/// `["on"], ["off"]`
impl fmt::Display for BoolWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
        write!(f, "[{}], [{}]", list(&self.yes), list(&self.no))
    }
}
