//! Postern beside what one could use instead: in turns, on the same questions.

use std::{hint::black_box, time::Duration};

use postern::policy::{InboundFacts, decide_inbound};
use serde_json::{Value, json};

use super::{
    decisions::INBOUND,
    timing::{Times, repeat},
};
use crate::{
    must,
    peers::{
        cedar::{self, Cedar},
        linear,
        rego::{self, Rego},
    },
    sets::{self, Variety},
};

/// How many questions each is asked in its turn.
const TURN: usize = 256;

/// One batch of questions, in the form that each likes best.
struct Batch<'q> {
    facts: Vec<InboundFacts<'q>>,
    rego: Vec<rego::Input>,
    cedar: Vec<cedar::Question>,
}

/// Measures every inbound scenario for the sets of `sizes`, each for about `patience`; who is slow
/// is asked fewer questions.
pub fn measure(sizes: &[usize], patience: Duration, told: &mut dyn FnMut(&str)) -> Vec<Value> {
    let mut rows = Vec::new();
    for &size in sizes {
        told(&format!("peers at {size} connectors"));
        let world = sets::world(size);
        let set = world.set();
        let mut rego = must(Rego::new(set));
        let cedar = must(Cedar::new(set));
        for (name, scenario) in INBOUND {
            let questions = world.inbound(scenario, Variety::All);
            let [
                mut ours,
                mut scan,
                mut compiled,
                mut interpreted,
                mut policies,
            ] = std::array::from_fn(|_| Times::default());
            let mut batches = questions.chunks(TURN).cycle();
            repeat(patience, || {
                let Some(batch) = batches.next() else { return };
                let batch = Batch::new(batch, &rego, &cedar);
                let facts = &batch.facts;
                ours.take(facts, |facts| {
                    black_box(decide_inbound(set, facts));
                });
                scan.take_within(TURN_PATIENCE, facts, |facts| linear::decide(set, facts));
                compiled.take_within(TURN_PATIENCE, &batch.rego, |input| rego.decide(input));
                let input = &batch.rego;
                interpreted.take_within(TURN_PATIENCE, input, |input| rego.interpret(input));
                policies.take_within(TURN_PATIENCE, &batch.cedar, |asked| cedar.allows(asked));
            });
            let times = [
                ("postern", ours),
                ("linear scan", scan),
                ("regorus, compiled", compiled),
                ("regorus, interpreted", interpreted),
                ("cedar-policy", policies),
            ];
            for (peer, times) in times {
                rows.push(json!({
                    "scenario": name,
                    "connectors": size,
                    "peer": peer,
                    "decide_ns": times.median(),
                }));
            }
        }
    }
    rows
}

impl<'q> Batch<'q> {
    fn new(
        questions: &'q [postern::rpc::pb::CheckInboundRequest],
        rego: &Rego,
        cedar: &Cedar,
    ) -> Self {
        let facts: Vec<_> = questions.iter().map(sets::inbound_facts).collect();
        let rego = facts
            .iter()
            .map(|facts| must(rego.question(facts)))
            .collect();
        let cedar = facts
            .iter()
            .map(|facts| must(cedar.question(facts)))
            .collect();
        // Why: anew, so that they are in the processor's caches as in a server.
        let facts = questions.iter().map(sets::inbound_facts).collect();
        Self { facts, rego, cedar }
    }
}

/// How long one may take for its turn.
const TURN_PATIENCE: Duration = Duration::from_millis(60);
