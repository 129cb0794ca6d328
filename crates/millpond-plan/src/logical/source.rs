//! The rows of an external table.

use std::sync::Arc;

use millpond_error::Result;
use serde_json::{Value, json};

use super::anchor::{Anchor, AnchorOperator};
use super::describe::{self, Described, Read};
use super::lower::Lowering;
use super::pipeline::Pipeline;
use super::saved::{Call, Saver};
use super::{Operation, Table};
use crate::declare::SourceDecl;
use crate::diagnostics;

#[derive(Debug)]
struct Source(Arc<SourceDecl>);

impl Table {
    /// The rows of an external source.
    pub fn source(source: SourceDecl) -> Result<Table> {
        let names = source.schema.columns().iter().map(|column| column.name.as_str());
        diagnostics::unique("a schema", names).map_err(|error| error.at(&source.origin))?;
        let (schema, append_only, origin) = (source.schema.clone(), source.append_only, source.origin.clone());
        Ok(Table::new(Source(Arc::new(source)), Vec::new(), schema, None, append_only, &origin))
    }
}

impl Operation for Source {
    fn describe(&self, of: &Described<'_>) -> Option<Value> {
        let none = Read::default();
        let Read { name, columns } = of.read.get(&Arc::as_ptr(&self.0)).unwrap_or(&none);
        Some(describe::source(&self.0, name, columns))
    }

    fn source(&self) -> Option<&Arc<SourceDecl>> {
        Some(&self.0)
    }

    fn save(&self, _: &mut Saver) -> (&'static str, Value) {
        let SourceDecl { name, kind, schema, append_only, description, .. } = &*self.0;
        let arguments = json!({
            "name": name,
            "kind": kind,
            "schema": schema,
            "append_only": append_only,
            "settings": description,
        });
        ("source", arguments)
    }

    fn lower(&self, table: &Table, lowering: &mut Lowering) -> Result<Pipeline> {
        lowering.pipeline_on(table, |lowering| {
            let step = lowering.source_step(&self.0);
            Ok(Anchor::new(AnchorOperator::Source(self.0.clone()), Vec::new(), table, step))
        })
    }
}

/// The table of a saved source, which nothing reads.
pub(super) fn load(call: &Call<'_>) -> Result<Table> {
    Table::source(SourceDecl {
        name: call.value("name")?,
        kind: call.value::<String>("kind")?.into(),
        schema: call.value("schema")?,
        append_only: call.value("append_only")?,
        description: call.value("settings")?,
        origin: call.origin.clone(),
        connector: Arc::new(()),
    })
}
