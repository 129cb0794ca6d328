//! Where changes leave the dataflow.

use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator as _;

use super::{Context, Edge};
use crate::changes::{Changes, Epoch};

pub(super) fn sink<'scope>(
    input: Edge<'scope, Changes>,
    index: usize,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let context = context.clone();
    input.unary::<NoopBuilder<Changes>, _, _, _>(Pipeline, "sink", move |_, _| {
        move |input, _| {
            input.for_each(|capability, changes| {
                let epoch = Epoch(capability.stamp().iter().next().copied().unwrap_or_default());
                context.failure.guard("writing results", || (context.deliver)(index, epoch, changes));
            });
        }
    })
}
