//! Keyed nodes: the packets of an epoch are collected at every port, and the operator steps once the epoch is over at
//! all of them. A node with a clock also steps wherever that moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_columns::types::Schema;
use millpond_error::Result;
use timely::container::NoopBuilder;
use timely::dataflow::Scope;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::exchange::ByWorker;
use super::fused_sink::FusedSink;
use super::{Context, Edge, SharedOperator};
use crate::changes::{Changes, Epoch};
use crate::epoch_buffer::EpochBuffer;
use crate::operator::{Operator, StepContext};
use crate::route::Packet;

/// An input of a keyed node.
pub(super) struct KeyedPort<'scope> {
    /// Its rows, divided by the hash of the key.
    pub packets: Edge<'scope, Packet>,
    /// The positions of the key columns.
    pub key: Vec<usize>,
    /// The columns.
    pub schema: Schema,
}

/// What waits for the end of an epoch.
struct OpenEpoch {
    capability: Capability<u64>,
    buffer: EpochBuffer,
    watermark: Option<i64>,
}

pub(super) fn keyed<'scope>(
    scope: Scope<'scope, u64>,
    ports: Vec<KeyedPort<'scope>>,
    clock: Option<Edge<'scope, Vec<i64>>>,
    operator: SharedOperator,
    fused: Option<FusedSink>,
    context: &Arc<Context>,
) -> Edge<'scope, Changes> {
    let (workers, context) = (scope.peers(), context.clone());
    let mut builder = OperatorBuilder::new("keyed".to_owned(), scope);
    let (mut inputs, mut shapes) = (Vec::with_capacity(ports.len()), Vec::with_capacity(ports.len()));
    for KeyedPort { packets, key, schema } in ports {
        inputs.push(builder.new_input(packets, DistributorPact(|_| ByWorker)));
        shapes.push((key, schema));
    }
    let mut clock = clock.map(|clock| builder.new_input(clock, Pipeline));
    let (output, changes) = builder.new_output();
    let mut output: OutputBuilder<u64, NoopBuilder<Changes>> = OutputBuilder::from(output);
    builder.build(move |_| {
        let mut open: BTreeMap<u64, OpenEpoch> = BTreeMap::new();
        move |frontiers| {
            let mut output = output.activate();
            let port = output.output_index();
            let ports = || shapes.iter().map(|(key, schema)| (key.as_slice(), schema));
            let opened = |capability| OpenEpoch {
                capability,
                buffer: EpochBuffer::new(context.seed, ports(), workers),
                watermark: None,
            };
            for (number, input) in inputs.iter_mut().enumerate() {
                input.for_each(|capability, packet| {
                    let packet = std::mem::take(packet);
                    let Some(capability) = capability.retain_least(port) else { return };
                    let epoch = open.entry(*capability.time()).or_insert_with(|| opened(capability));
                    context.failure.guard("gathering rows", || epoch.buffer.push(number, packet));
                });
            }
            if let Some(clock) = &mut clock {
                clock.for_each(|capability, times| {
                    let Some(capability) = capability.retain_least(port) else { return };
                    let epoch = open.entry(*capability.time()).or_insert_with(|| opened(capability));
                    epoch.watermark = times.iter().copied().max().max(epoch.watermark);
                });
            }
            while let Some(entry) = open.first_entry() {
                if frontiers.iter().any(|frontier| frontier.less_equal(entry.key())) {
                    break;
                }
                let (epoch, OpenEpoch { capability, buffer, watermark }) = entry.remove_entry();
                let step_context = StepContext { epoch: Epoch(epoch), watermark };
                context.failure.guard("a keyed operator", || {
                    let mut session = output.session_with_builder(&capability);
                    let mut give = |mut changes| session.give_container(&mut changes);
                    let mut operator = operator.borrow_mut();
                    step(operator.as_mut(), &step_context, buffer, fused.as_ref(), &context, &mut give)
                });
            }
        }
    });
    changes
}

/// Steps an operator over an epoch's rows. What it emits goes into the fused sink, or else to `give`.
fn step(
    operator: &mut dyn Operator,
    step_context: &StepContext,
    rows: EpochBuffer,
    fused: Option<&FusedSink>,
    context: &Context,
    give: &mut dyn FnMut(Changes),
) -> Result<()> {
    operator.step(step_context, &mut rows.finish(), &mut |changes| match fused {
        // Whoever failed has said so: the run is over, and a large output need not be made.
        _ if context.failure.is_set() => context.failure.check(),
        _ if changes.is_empty() => Ok(()),
        Some(fused) => {
            let changes = fused.apply(changes, context.seed)?;
            if changes.is_empty() { Ok(()) } else { (context.deliver)(fused.sink, step_context.epoch, &changes) }
        }
        None => {
            give(changes);
            Ok(())
        }
    })
}
