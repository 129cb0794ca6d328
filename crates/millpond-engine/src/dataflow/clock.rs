//! How far event time has come, on all workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator as _;
use timely::dataflow::operators::vec::Broadcast;

use super::{Context, Edge};
use crate::changes::Changes;
use crate::instant;

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
