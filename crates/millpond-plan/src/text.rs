//! Functions on text, and the methods of [`Expr::str`] that call them.
//!
//! ```
//! use millpond_plan::col;
//!
//! let page = col("url").str().lower().str().starts_with("https://");
//! assert_eq!(page.to_string(), "url.str.lower().str.startswith(\"https://\")");
//! ```

use std::fmt;
use std::sync::Arc;

use crate::expr::{Expr, ExprKind, quoted};
use crate::notation::Notation;
use crate::types::Type;

/// What a method of [`Text`] computes. The first operand is the text, the others are the arguments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoolWords {
    yes: Vec<String>,
    no: Vec<String>,
}

/// The text functions of an expression; see [`Expr::str`].
pub struct Text(Expr);

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

impl Expr {
    /// The functions of a `str` expression. They mean what the methods of Python's `str` mean; a null gives a null.
    pub fn str(&self) -> Text {
        Text(self.clone())
    }
}

macro_rules! methods {
    ($($(#[$doc:meta])+ $method:ident($($argument:ident),*) $function:ident;)*) => {
        impl Text { $(
            $(#[$doc])+
            #[track_caller]
            pub fn $method(&self, $($argument: impl Into<Expr>),*) -> Expr {
                self.call(TextFunction::$function, [$($argument.into()),*])
            }
        )* }
    };
}

methods! {
    /// In lower case, by Unicode's rules.
    lower() Lower;
    /// In upper case, by Unicode's rules.
    upper() Upper;
    /// Without white space at both ends.
    strip() Strip;
    /// Without these characters, in any order, at both ends.
    strip_of(characters) Strip;
    /// The number of code points, an `int`.
    len() Len;
    /// Whether it begins with `prefix`.
    starts_with(prefix) StartsWith;
    /// Whether it ends with `suffix`.
    ends_with(suffix) EndsWith;
    /// Whether `part` is in it.
    contains(part) Contains;
    /// Where `part` is in it for the first time, in code points from 0; -1 if it is not.
    find(part) Find;
    /// How often `part` is in it, without overlap.
    count(part) Count;
    /// With `new` for each `old`.
    replace(old, new) Replace;
    /// With `new` for each of the first `count` `old`s; all if `count` is negative.
    replace_first(old, new, count) Replace;
    /// The code points from `start` up to `end`, which count from the end if they are negative.
    slice(start, end) Slice;
    /// The pieces between separators, a list; an empty one where two stand side by side. An empty separator is an error value.
    split(separator) Split;
    /// The pieces that at most `maxsplit` cuts at separators make, from the left; all if it is negative.
    split_at_most(separator, maxsplit) Split;
    /// The pieces between runs of white space, a list; none of them is empty.
    split_whitespace() SplitWhitespace;
    /// The pieces that at most `maxsplit` cuts at runs of white space make, from the left; all if it is negative. White space at
    /// the end of the last one stays where there is no cut left for it.
    split_whitespace_at_most(maxsplit) SplitWhitespace;
}

impl Text {
    /// The int that it spells, as Python's `int` reads it; an error value for other text.
    #[track_caller]
    pub fn parse_int(&self) -> Expr {
        self.call(TextFunction::ParseInt { optional: false }, [])
    }

    /// The int that it spells, null for other text.
    #[track_caller]
    pub fn try_parse_int(&self) -> Expr {
        self.call(TextFunction::ParseInt { optional: true }, [])
    }

    /// The float that it spells, as Python's `float` reads it; an error value for other text.
    #[track_caller]
    pub fn parse_float(&self) -> Expr {
        self.call(TextFunction::ParseFloat { optional: false }, [])
    }

    /// The float that it spells, null for other text.
    #[track_caller]
    pub fn try_parse_float(&self) -> Expr {
        self.call(TextFunction::ParseFloat { optional: true }, [])
    }

    /// The bool that it spells; an error value for text that is none of the words.
    #[track_caller]
    pub fn parse_bool(&self, words: BoolWords) -> Expr {
        self.call(TextFunction::ParseBool { words: words.into(), optional: false }, [])
    }

    /// The bool that it spells, null for text that is none of the words.
    #[track_caller]
    pub fn try_parse_bool(&self, words: BoolWords) -> Expr {
        self.call(TextFunction::ParseBool { words: words.into(), optional: true }, [])
    }

    /// `function` with these arguments.
    #[track_caller]
    pub fn call(&self, function: TextFunction, arguments: impl IntoIterator<Item = Expr>) -> Expr {
        let operands = std::iter::once(self.0.clone()).chain(arguments).collect();
        Expr::new(ExprKind::Text(function, operands))
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
