//! Keyed nodes with a watermark, which all workers agree on before each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_columns::types::Schema;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator as _;
use timely::dataflow::operators::vec::Broadcast;

use super::exchange::ByWorker;
use super::fused_sink::FusedSink;
use super::keyed::step;
use super::{Context, Edge, SharedOperator};
use crate::changes::{Changes, Epoch};
use crate::epoch_buffer::EpochBuffer;
use crate::instant;
use crate::route::Packet;

/// The greatest time that each epoch added on any worker, as instants, on every worker; not those that move nothing.
pub(super) fn clock<'scope>(
    input: Edge<'scope, Changes>,
    time: usize,
    context: &Arc<Context>,
) -> Edge<'scope, Vec<i64>> {
    let context = context.clone();
    let greatest =
        input.unary_frontier::<CapacityContainerBuilder<Vec<i64>>, _, _, _>(Pipeline, "clock", move |_, _| {
            let mut open: BTreeMap<u64, (Capability<u64>, i64)> = BTreeMap::new();
            let mut seen = None;
            move |(input, frontier), output| {
                input.for_each(|capability, changes| {
                    context.failure.guard("reading times", || {
                        let (Some(time), Some(capability)) =
                            (instant::greatest(changes, time), capability.retain_least(output.output_index()))
                        else {
                            return Ok(());
                        };
                        let (_, greatest) = open.entry(*capability.time()).or_insert((capability, time));
                        *greatest = time.max(*greatest);
                        Ok(())
                    });
                });
                while let Some(entry) = open.first_entry() {
                    if frontier.less_equal(entry.key()) {
                        break;
                    }
                    let (capability, greatest) = entry.remove();
                    if seen < Some(greatest) {
                        seen = Some(greatest);
                        output.session_with_builder(&capability).give(greatest);
                    }
                }
            }
        });
    greatest.broadcast()
}

/// As [`keyed`], for an operator that follows a watermark: it steps where it has input, and wherever the clock moves.
pub(super) fn windowed<'scope>(
    input: Edge<'scope, Packet>,
    clock: Edge<'scope, Vec<i64>>,
    operator: SharedOperator,
    fused: Option<FusedSink>,
    key: &[usize],
    schema: &Schema,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let workers = input.scope().peers();
    let (key, schema, context) = (key.to_vec(), schema.clone(), context.clone());
    let pact = DistributorPact(|_| ByWorker);
    input.binary_frontier::<_, NoopBuilder<Changes>, _, _, _, _>(clock, pact, Pipeline, "windowed", move |_, _| {
        let mut open: BTreeMap<u64, (Capability<u64>, EpochBuffer, Option<i64>)> = BTreeMap::new();
        move |(input, frontier), (clock, clock_frontier), output| {
            let new = || EpochBuffer::new(context.seed, &key, &schema, workers);
            input.for_each(|capability, packet| {
                let packet = std::mem::take(packet);
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let (_, buffer, _) = open.entry(*capability.time()).or_insert_with(|| (capability, new(), None));
                context.failure.guard("gathering rows", || buffer.push(packet));
            });
            clock.for_each(|capability, times| {
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let (_, _, watermark) = open.entry(*capability.time()).or_insert_with(|| (capability, new(), None));
                *watermark = times.iter().copied().max().max(*watermark);
            });
            while let Some(entry) = open.first_entry() {
                if frontier.less_equal(entry.key()) || clock_frontier.less_equal(entry.key()) {
                    break;
                }
                let (epoch, (capability, buffer, watermark)) = entry.remove_entry();
                context.failure.guard("a window operator", || {
                    let mut session = output.session_with_builder(&capability);
                    let mut operator = operator.borrow_mut();
                    if let (Some(windowed), Some(watermark)) = (operator.windowed(), watermark) {
                        windowed.advance(watermark);
                    }
                    let mut give = |mut changes| session.give_container(&mut changes);
                    step(operator.as_mut(), Epoch(epoch), buffer, fused.as_ref(), &context, &mut give)
                });
            }
        }
    })
}
