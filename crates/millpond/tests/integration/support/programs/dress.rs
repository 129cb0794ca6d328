//! Visits whose columns are of other types, which hold the same in the same order: what a program makes of them is
//! known.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use millpond::{Expr, Literal, Table, Type, col, lit, make_tuple};
use serde_json::json;

use super::{Random, Visit, quoted};

/// The types that users, times and pages are of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dress {
    user: User,
    pub clock: Clock,
    page: Page,
}

#[derive(Clone, Copy, Debug)]
enum User {
    Str,
    Bytes,
    Tuple,
    List,
    Json,
}

/// The type of times.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    Int,
    Naive,
    Utc,
    Duration,
}

#[derive(Clone, Copy, Debug)]
enum Page {
    Tuple,
    List,
    Json,
}

impl Dress {
    pub(super) fn new(random: &mut Random) -> Self {
        Dress {
            user: [User::Str, User::Bytes, User::Tuple, User::List, User::Json][random.below(5) as usize],
            clock: [Clock::Int, Clock::Naive, Clock::Utc, Clock::Duration][random.below(4) as usize],
            page: [Page::Tuple, Page::List, Page::Json][random.below(3) as usize],
        }
    }

    /// The visits in these types; a new column `page` holds their pages and a remainder of their time.
    pub(super) fn on(self, visits: &Table) -> Table {
        let user = match self.user {
            User::Str => col("user"),
            User::Bytes => col("user").cast(Type::Bytes),
            User::Tuple => make_tuple([col("user"), lit(7)]),
            User::List => make_tuple([col("user")]).cast(Type::list(Type::Str)),
            User::Json => make_tuple([col("user")]).cast(Type::Json),
        };
        let page = make_tuple([col("pages"), col("time").floordiv(75) % 3]);
        let page = match self.page {
            Page::Tuple => page,
            Page::List => page.cast(Type::list(Type::Int.optional())),
            Page::Json => page.cast(Type::Json),
        };
        visits.with_columns([("user", user), ("time", self.clock.time()), ("page", page)])
    }

    /// How a result file spells a user.
    pub(super) fn user(self, user: &str) -> String {
        quoted(&match self.user {
            User::Str => user.to_owned(),
            User::Bytes => BASE64_STANDARD.encode(user),
            User::Tuple => json!([user, 7]).to_string(),
            User::List | User::Json => json!([user]).to_string(),
        })
    }

    /// What `page` holds in JSON, behind what it is in order of.
    pub(super) fn page(self, visit: &Visit) -> (String, Option<i64>, String) {
        let text = json!([visit.pages, visit.time / 75 % 3]).to_string();
        match self.page {
            Page::Tuple | Page::List => (String::new(), visit.pages, text),
            Page::Json => (text.clone(), None, text),
        }
    }
}

impl Clock {
    /// The time for windows, which cut no durations, and its type.
    pub(super) fn of_windows(self) -> (Clock, Expr) {
        match self {
            Clock::Duration => (Clock::Utc, lit(Clock::Utc.start()) + col("time")),
            _ => (self, col("time")),
        }
    }

    /// So many seconds.
    pub(super) fn span(self, seconds: i64) -> Literal {
        match self {
            Clock::Int => Literal::Int(seconds),
            _ => Literal::Duration(seconds * 1_000_000_000),
        }
    }

    /// The seconds of a time.
    pub(super) fn seconds(self, time: Expr) -> Expr {
        self.since_start(time).floordiv(self.span(1))
    }

    /// The time from 1970 on.
    pub(super) fn since_start(self, time: Expr) -> Expr {
        match self.start() {
            Literal::DateTimeNaive(_) | Literal::DateTimeUtc(_) => time - self.start(),
            _ => time,
        }
    }

    /// 1970.
    pub(super) fn start(self) -> Literal {
        match self {
            Clock::Naive => Literal::DateTimeNaive(0),
            Clock::Utc => Literal::DateTimeUtc(0),
            _ => self.span(0),
        }
    }

    fn time(self) -> Expr {
        lit(self.start()) + col("time") * self.span(1)
    }
}
