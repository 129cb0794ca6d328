//! From changes to packets by owner of the key, and to the worker that owns them.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_columns::types::Schema;
use timely::Accountable;
use timely::communication::Push;
use timely::container::NoopBuilder;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator as _;
use timely::progress::Stamp;

use super::{Context, Edge};
use crate::changes::Changes;
use crate::route::{Packet, Router};

pub(super) fn route<'scope>(
    input: Edge<'scope, Changes>,
    key: &[usize],
    schema: &Schema,
    workers: usize,
    context: &Arc<Context>,
) -> Edge<'scope, Packet> {
    let (key, schema, context) = (key.to_vec(), schema.clone(), context.clone());
    input.unary_frontier::<NoopBuilder<Packet>, _, _, _>(Pipeline, "route", move |_, _| {
        let mut open: BTreeMap<u64, (Capability<u64>, Router)> = BTreeMap::new();
        move |(input, frontier), output| {
            input.for_each(|capability, changes| {
                let changes = std::mem::take(changes);
                let Some(capability) = capability.retain_least(output.output_index()) else { return };
                let (capability, router) = open
                    .entry(*capability.time())
                    .or_insert_with(|| (capability, Router::new(context.seed, key.clone(), schema.clone(), workers)));
                context.failure.guard("routing", || {
                    let mut session = output.session_with_builder(&*capability);
                    router.push(changes, &mut |mut packet| session.give_container(&mut packet));
                    Ok(())
                });
            });
            while let Some(entry) = open.first_entry() {
                if frontier.less_equal(entry.key()) {
                    break;
                }
                let (capability, mut router) = entry.remove();
                context.failure.guard("routing", || {
                    let mut session = output.session_with_builder(&capability);
                    router.flush(&mut |mut packet| session.give_container(&mut packet));
                    Ok(())
                });
            }
        }
    })
}

/// Moves whole packets to the worker that they name.
pub(super) struct ByWorker;

impl Distributor<Packet> for ByWorker {
    fn partition<T: Clone, P: Push<Message<T, Packet>>>(
        &mut self,
        packet: &mut Packet,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let worker = packet.worker;
        Message::push_at(packet, stamp.clone(), &mut pushers[worker]);
    }

    fn flush<T: Clone, P: Push<Message<T, Packet>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}

impl Accountable for Changes {
    fn record_count(&self) -> i64 {
        self.rows as i64
    }
}

impl Accountable for Packet {
    fn record_count(&self) -> i64 {
        self.count as i64
    }
}
