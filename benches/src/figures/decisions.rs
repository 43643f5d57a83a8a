//! What a decision costs at each size, and where the time of an answer goes.

use std::{hint::black_box, time::Duration};

use postern::{
    policy::{decide_inbound, decide_outbound},
    rpc::pb,
};
use postern_loadtest::Scenario;
use serde_json::{Value, json};

use super::timing::{BATCH, Times, repeat};
use crate::sets::{self, Variety, World};

/// The scenarios, each with its name.
pub const INBOUND: [(&str, Scenario); 3] = [
    ("inbound accept", Scenario::InboundAccept),
    ("inbound reject", Scenario::InboundReject),
    ("inbound miss", Scenario::Miss),
];

/// The scenarios of mail that goes out.
pub const OUTBOUND: [(&str, Scenario); 3] = [
    ("outbound plan", Scenario::OutboundPlan),
    ("outbound enforce", Scenario::OutboundEnforce),
    ("outbound miss", Scenario::Miss),
];

/// The times of one scenario at one size, in nanoseconds.
#[derive(Debug, Default)]
struct Parts {
    /// A decision, of 1,024 different questions.
    busy: Times,
    /// A decision, of questions about all connectors.
    all: Times,
    /// Reading a message into facts.
    facts: Times,
    /// Message to message, of questions about all connectors.
    answer: Times,
}

/// Measures every scenario for the sets of `sizes`, each for about `patience`.
pub fn measure(sizes: &[usize], patience: Duration, told: &mut dyn FnMut(&str)) -> Vec<Value> {
    let mut rows = Vec::new();
    for &size in sizes {
        for reports in [true, false] {
            told(&format!(
                "decisions at {size} connectors, reports: {reports}"
            ));
            let world = if reports {
                sets::world(size)
            } else {
                sets::plain(size)
            };
            for (name, scenario) in INBOUND {
                rows.push(inbound(world, scenario, patience).row(name, size, reports));
            }
            for (name, scenario) in OUTBOUND {
                rows.push(outbound(world, scenario, patience).row(name, size, reports));
            }
        }
    }
    rows
}

fn inbound(world: &World, scenario: Scenario, patience: Duration) -> Parts {
    let set = world.set();
    let mut parts = Parts::default();
    for variety in [Variety::Busy, Variety::All] {
        let questions = world.inbound(scenario, variety);
        let times = parts.of(variety);
        repeat(patience, || {
            for batch in questions.chunks(BATCH) {
                let facts: Vec<_> = batch.iter().map(sets::inbound_facts).collect();
                times.take(&facts, |facts| {
                    black_box(decide_inbound(set, facts));
                });
            }
        });
        if variety == Variety::All {
            let read = |question: &pb::CheckInboundRequest| {
                black_box(sets::inbound_facts(question));
            };
            let answer = |question: &_| sets::answer_inbound(&world.snapshot, question);
            parts.messages(&questions, patience, read, answer);
        }
    }
    parts
}

fn outbound(world: &World, scenario: Scenario, patience: Duration) -> Parts {
    let set = world.set();
    let mut parts = Parts::default();
    for variety in [Variety::Busy, Variety::All] {
        let questions = world.outbound(scenario, variety);
        let times = parts.of(variety);
        repeat(patience, || {
            for batch in questions.chunks(BATCH) {
                let facts: Vec<_> = batch.iter().map(sets::outbound_facts).collect();
                times.take(&facts, |facts| {
                    black_box(decide_outbound(set, &facts.facts));
                });
            }
        });
        if variety == Variety::All {
            let read = |question: &pb::CheckOutboundRequest| {
                black_box(sets::outbound_facts(question));
            };
            let answer = |question: &_| sets::answer_outbound(&world.snapshot, question);
            parts.messages(&questions, patience, read, answer);
        }
    }
    parts
}

impl Parts {
    fn of(&mut self, variety: Variety) -> &mut Times {
        match variety {
            Variety::Busy => &mut self.busy,
            Variety::All => &mut self.all,
        }
    }

    /// Reading messages into facts, and answering them.
    fn messages<Q: Clone, A>(
        &mut self,
        questions: &[Q],
        patience: Duration,
        mut read: impl FnMut(&Q),
        mut answer: impl FnMut(&Q) -> A,
    ) {
        repeat(patience, || {
            for batch in questions.chunks(BATCH) {
                // Why: a server has just received them, so that they are in its caches.
                let batch = batch.to_vec();
                self.answer.take(&batch, &mut answer);
                self.facts.take(&batch, &mut read);
            }
        });
    }

    fn row(&self, scenario: &str, connectors: usize, reports: bool) -> Value {
        json!({
            "scenario": scenario,
            "connectors": connectors,
            "reports": reports,
            "decide_busy_ns": self.busy.median(),
            "decide_ns": self.all.median(),
            "decide_p90_ns": self.all.p90(),
            "facts_ns": self.facts.median(),
            "answer_ns": self.answer.median(),
        })
    }
}
