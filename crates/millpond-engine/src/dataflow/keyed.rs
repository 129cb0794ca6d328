//! Keyed nodes: the packets of an epoch are collected, and the operator steps once the epoch is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::Result;
use millpond_plan::physical::{OperatorSpec, WindowSpec};
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator as _;

use super::exchange::ByWorker;
use super::fused_sink::FusedSink;
use super::{Context, Edge, SharedOperator};
use crate::changes::{Changes, Epoch};
use crate::epoch_buffer::EpochBuffer;
use crate::operator::Operator;
use crate::route::Packet;

pub(super) fn keyed<'scope>(
    input: Edge<'scope, Packet>,
    operator: SharedOperator,
    fused: Option<FusedSink>,
    key: &[usize],
    schema: &Schema,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let workers = input.scope().peers();
    let (key, schema, context) = (key.to_vec(), schema.clone(), context.clone());
    let pact = DistributorPact(|_| ByWorker);
    input.unary_frontier::<NoopBuilder<Changes>, _, _, _>(pact, "keyed", move |_, _| {
        let mut open: BTreeMap<u64, (Capability<u64>, EpochBuffer)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, packet| {
                let packet = std::mem::take(packet);
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let new = || EpochBuffer::new(context.seed, &key, &schema, workers);
                let (_, buffer) = open.entry(*capability.time()).or_insert_with(|| (capability, new()));
                context.failure.guard("gathering rows", || buffer.push(packet));
            });
            while let Some(entry) = open.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (epoch, (capability, buffer)) = entry.remove_entry();
                context.failure.guard("a keyed operator", || {
                    let mut session = output.session_with_builder(&capability);
                    let mut give = |mut changes| session.give_container(&mut changes);
                    step(operator.borrow_mut().as_mut(), Epoch(epoch), buffer, fused.as_ref(), &context, &mut give)
                });
            }
        }
    })
}

/// Steps an operator over an epoch's rows. What it emits goes into the fused sink, or else to `give`.
pub(super) fn step(
    operator: &mut dyn Operator,
    epoch: Epoch,
    rows: EpochBuffer,
    fused: Option<&FusedSink>,
    context: &Context,
    give: &mut dyn FnMut(Changes),
) -> Result<()> {
    operator.step(epoch, &mut rows.finish(), &mut |changes| match fused {
        _ if changes.is_empty() => {}
        Some(fused) => context.failure.guard("writing results", || {
            let changes = fused.apply(changes, context.seed)?;
            if changes.is_empty() { Ok(()) } else { (context.deliver)(fused.sink, epoch, &changes) }
        }),
        None => give(changes),
    })
}

pub(super) fn key_of(operator: &OperatorSpec, input: &Schema) -> Vec<usize> {
    match operator {
        OperatorSpec::Reduce { spec, .. } => spec.key.clone(),
        OperatorSpec::Session { spec, .. } => spec.instance.clone(),
        OperatorSpec::Windowed { windows: WindowSpec::Numbered { spec, .. }, .. } => spec.key.clone(),
        OperatorSpec::Windowed { windows: WindowSpec::Session(spec), .. } => spec.instance.clone(),
        OperatorSpec::Combine { spec, .. } => spec.key.clone(),
        _ => (0..input.len()).collect(),
    }
}
