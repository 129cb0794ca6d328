//! Nodes without state, batch by batch.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::Result;
use millpond_plan::eval::MapStage;
use millpond_plan::physical::Consolidate;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator as _;

use super::exchange::route;
use super::fused_sink::mapped;
use super::keyed::{KeyedPort, keyed};
use super::{Context, Edge, SharedOperator};
use crate::changes::Changes;
use crate::consolidate::Consolidator;

pub(super) fn map<'scope>(
    input: Edge<'scope, Changes>,
    stage: &Arc<MapStage>,
    mode: Consolidate,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let (stage, context) = (stage.clone(), context.clone());
    input.unary::<NoopBuilder<Changes>, _, _, _>(Pipeline, "map", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                context.failure.guard("a map", || {
                    let mut mapped = mapped(&stage, mode, changes, context.seed)?;
                    if !mapped.is_empty() {
                        output.session_with_builder(&capability).give_container(&mut mapped);
                    }
                    Ok(())
                });
            });
        }
    })
}

/// Brings rows together that cancel, if they may be anywhere.
pub(super) fn consolidated<'scope>(
    input: Edge<'scope, Changes>,
    mode: Consolidate,
    schema: &Schema,
    workers: usize,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    match mode {
        Consolidate::No | Consolidate::InBatch => input,
        Consolidate::ByRow => {
            let (scope, key) = (input.scope(), (0..schema.len()).collect::<Vec<_>>());
            let packets = route(input, &key, schema, workers, context);
            let operator: SharedOperator = Rc::new(RefCell::new(Box::new(Consolidator)));
            let ports = vec![KeyedPort { packets, key, schema: schema.clone() }];
            keyed(scope, ports, None, operator, None, context)
        }
    }
}

/// Rows that are repeated: `repeat` hands on the pieces of a batch.
pub(super) fn repeat<'scope>(
    input: Edge<'scope, Changes>,
    context: &Arc<Context>,
    repeat: impl Fn(&Changes, &mut dyn FnMut(Changes)) -> Result<()> + 'static,
) -> Edge<'scope, Changes> {
    let context = context.clone();
    input.unary::<NoopBuilder<Changes>, _, _, _>(Pipeline, "repeat", move |_, _| {
        move |input, output| {
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                context.failure.guard("repeating rows", || {
                    let mut session = output.session_with_builder(&capability);
                    repeat(&changes, &mut |mut piece| session.give_container(&mut piece))
                });
            });
        }
    })
}
