//! Functions on text, and the methods of [`Expr::str`] that call them.
//!
//! ```
//! use millpond_plan::col;
//!
//! let page = col("url").str().lower().str().starts_with("https://");
//! assert_eq!(page.to_string(), "url.str.lower().str.startswith(\"https://\")");
//! ```

use crate::expr::{Expr, ExprKind};
use crate::functions::text::{BoolWords, TextFunction};

/// The text functions of an expression; see [`Expr::str`].
pub struct Text(Expr);

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
    /// The pieces between separators, a list; an empty one where two stand side by side. An empty separator is an error
    /// value.
    split(separator) Split;
    /// The pieces that at most `maxsplit` cuts at separators make, from the left; all if it is negative.
    split_at_most(separator, maxsplit) Split;
    /// The pieces between runs of white space, a list; none of them is empty.
    split_whitespace() SplitWhitespace;
    /// The pieces that at most `maxsplit` cuts at runs of white space make, from the left; all if it is negative. White
    /// space at the end of the last one stays where there is no cut left for it.
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
