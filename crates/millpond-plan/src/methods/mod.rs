//! The methods of expressions that call functions, and the functions that make expressions.

pub mod nested;
pub mod reducers;
pub mod text;
pub mod time;

pub use nested::make_tuple;
pub use text::Text;
pub use time::Dt;
