//! A flatten: the column becomes lists where it is none, in the map before, and one node takes any list apart.

use std::collections::BTreeSet;

use millpond_columns::types::Schema;
use millpond_error::Result;

use super::{Anchor, AnchorOperator, Lowering};
use crate::eval::Root;
use crate::expr::col;
use crate::table::Table;
use crate::typing::nested;

impl Lowering {
    /// The base that a flatten of a column of `input` is.
    pub(super) fn flatten(&mut self, table: &Table, input: &Table, name: &str) -> Result<Anchor> {
        let mut rows = self.fuse(input)?;
        let column = input.schema().index_of(name).expect("the name is checked");
        let known = rows.columns[column].1.clone();
        let (term, _) = nested::elements(&mut rows.terms, (&col(name), known.term))?;
        if term != known.term {
            rows.columns[column].1 = Root { term, origin: Some(table.origin().clone()) };
            let lists = rows.terms.ty(term).column().expect("lists have a type");
            let types = input.schema().columns().iter().enumerate();
            rows.schema = Schema::new(types.map(|(i, c)| (c.name.clone(), if i == column { lists } else { c.ty })));
        }
        let cancels = self.bases[rows.base].cancels();
        let step = self.stateless_step(rows.base, "flatten");
        let (schema, append_only) = (table.schema().clone(), table.append_only());
        let operator = AnchorOperator::Flatten { rows, column, cancels };
        Ok(Anchor { operator, schema, append_only, step, used: BTreeSet::from([column]) })
    }
}
