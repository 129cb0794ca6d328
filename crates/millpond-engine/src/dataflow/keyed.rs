//! Keyed operators: each steps once an epoch is over at all of its ports. One with a clock also steps wherever that
//! moves.

use std::sync::Arc;

use millpond_error::Result;
use millpond_plan::physical::NodeId;
use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::breakers::Port;
use super::inbox::{ByWorker, Inbox};
use super::pipeline::{Pipeline, Send};
use super::{Context, Edge, SharedOperator};
use crate::changes::Epoch;
use crate::epoch_buffer::EpochBuffer;
use crate::hot_key;
use crate::operator::{Operator, StepContext};
use crate::route::Message;

/// Adds a keyed operator that takes what is in its inbox, and what comes from other processes by `inputs`. Returns the
/// streams to the targets of the pipeline behind it; there is one at least, which tells how far the operator is.
pub(super) fn keyed<'scope>(
    scope: Scope<'scope, u64>,
    inputs: Vec<(Port, Edge<'scope, Message>)>,
    inbox: Arc<Inbox>,
    operator: SharedOperator,
    mut pipeline: Pipeline,
    (node, context): (NodeId, &Arc<Context>),
) -> Vec<Edge<'scope, Message>> {
    let (workers, context) = (scope.peers(), context.clone());
    let mut builder = OperatorBuilder::new("keyed".to_owned(), scope);
    let mut inputs: Vec<_> = inputs
        .into_iter()
        .map(|(port, stream)| (port, builder.new_input(stream, DistributorPact(|_| ByWorker))))
        .collect();
    let (mut outputs, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..pipeline.targets().len().max(1) {
        let (output, stream) = builder.new_output();
        outputs.push(OutputBuilder::<u64, NoopBuilder<Message>>::from(output));
        streams.push(stream);
    }
    builder.build(move |mut capabilities| {
        // Held for all epochs to come, since most of what an operator gets passes by the inbox, and without a capability.
        move |frontiers| {
            for (port, input) in &mut inputs {
                let port = if let Port::Rows(port) = port { *port } else { 0 };
                input.for_each(|capability, message| {
                    let Some(epoch) = capability.stamp().iter().next().copied() else { return };
                    let message = std::mem::take(message);
                    context.failure.guard("gathering rows", || inbox.push(Epoch(epoch), port, message));
                });
            }
            let end = frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied()).min();
            let mut outputs: Vec<_> = outputs.iter_mut().map(|output| output.activate()).collect();
            while let Some((epoch, rows, watermark)) = inbox.take_before(end) {
                capabilities.iter_mut().for_each(|capability| capability.downgrade(&epoch.0));
                let step_context = StepContext { epoch, watermark };
                let mut send = |target: usize, mut message: Message| {
                    outputs[target].session_with_builder(&capabilities[target]).give_container(&mut message);
                };
                context.failure.guard("a keyed operator", || {
                    let mut operator = operator.borrow_mut();
                    step(operator.as_mut(), &step_context, (rows, node), &mut pipeline, &context, &mut send)?;
                    pipeline.end_epoch(epoch, workers, &mut send)
                });
            }
            match end {
                Some(end) => capabilities.iter_mut().for_each(|capability| capability.downgrade(&end)),
                None => capabilities.clear(),
            }
        }
    });
    streams
}

/// Steps an operator over an epoch's rows. What it emits goes through the pipeline.
fn step(
    operator: &mut dyn Operator,
    step_context: &StepContext,
    (rows, node): (EpochBuffer, NodeId),
    pipeline: &mut Pipeline,
    context: &Context,
    send: &mut Send<'_>,
) -> Result<()> {
    let check = || context.check();
    let mut emit = |changes| {
        check()?;
        pipeline.push(step_context.epoch, changes, send)
    };
    let mut rows = rows.finish(&check)?;
    while let Some(hot) = rows.take_hot() {
        hot_key::step(operator, step_context.epoch, hot, &context.plan.nodes[node.0].schema, &mut emit)?;
    }
    operator.step(step_context, &mut rows, &mut emit)
}
