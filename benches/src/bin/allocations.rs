//! Counts allocations, apart from what is timed since counting takes time: what a decision
//! allocates, and what a loaded set keeps. Prints JSON for `figures`, which runs it.

use std::{alloc::System, env, hint::black_box};

use postern::policy::{decide_inbound, decide_outbound};
use postern_benches::{
    figures::decisions::{INBOUND, OUTBOUND},
    must,
    peers::{cedar::Cedar, linear, rego::Rego},
    sets::{self, Variety, World},
};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[expect(clippy::print_stdout, reason = "what it counts is its output")]
fn main() {
    let sizes = env::args().skip(1).map(|size| must(size.parse()));
    let (mut decisions, mut memory) = (Vec::new(), Vec::new());
    for size in sizes {
        memory.push(kept(size));
        for world in [sets::world(size), sets::plain(size)] {
            decisions.extend(of_decisions(world));
        }
    }
    let peers = of_peers(sets::plain(10));
    println!(
        "{}",
        json!({ "decisions": decisions, "memory": memory, "peers": peers })
    );
}

/// The octets that a loaded set keeps once its text is dropped.
fn kept(connectors: usize) -> Value {
    let bytes = |reports: bool| {
        let text = sets::text(connectors, reports);
        let region = Region::new(GLOBAL);
        let snapshot = must(sets::load(&text));
        let change = region.change();
        black_box(&snapshot);
        change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated)
            / connectors
    };
    json!({
        "connectors": connectors,
        "bytes_per_connector": bytes(true),
        "bytes_per_connector_without_reports": bytes(false),
    })
}

/// How often a decision, and a whole answer, allocates.
fn of_decisions(world: &World) -> Vec<Value> {
    let (set, snapshot) = (world.set(), &world.snapshot);
    let reports = world.reports;
    let mut rows = Vec::new();
    for (name, scenario) in INBOUND {
        let questions = world.inbound(scenario, Variety::Busy);
        let facts: Vec<_> = questions.iter().map(sets::inbound_facts).collect();
        rows.push(json!({
            "scenario": name,
            "connectors": world.connectors,
            "reports": reports,
            "decide": each(&facts, |facts| drop(black_box(decide_inbound(set, facts)))),
            "facts": each(&questions, |asked| drop(black_box(sets::inbound_facts(asked)))),
            "answer": each(&questions, |asked| {
                drop(black_box(sets::answer_inbound(snapshot, asked)));
            }),
        }));
    }
    for (name, scenario) in OUTBOUND {
        let questions = world.outbound(scenario, Variety::Busy);
        let facts: Vec<_> = questions.iter().map(sets::outbound_facts).collect();
        rows.push(json!({
            "scenario": name,
            "connectors": world.connectors,
            "reports": reports,
            "decide": each(&facts, |facts| drop(black_box(decide_outbound(set, &facts.facts)))),
            "facts": each(&questions, |asked| drop(black_box(sets::outbound_facts(asked)))),
            "answer": each(&questions, |asked| {
                drop(black_box(sets::answer_outbound(snapshot, asked)));
            }),
        }));
    }
    rows
}

/// How often a peer allocates for an answer.
fn of_peers(world: &World) -> Value {
    let set = world.set();
    let mut rego = must(Rego::new(set));
    let cedar = must(Cedar::new(set));
    let questions = world.inbound(INBOUND[0].1, Variety::Busy);
    let facts: Vec<_> = questions.iter().map(sets::inbound_facts).collect();
    let inputs: Vec<_> = facts
        .iter()
        .map(|facts| must(rego.question(facts)))
        .collect();
    let asked: Vec<_> = facts
        .iter()
        .map(|facts| must(cedar.question(facts)))
        .collect();
    json!({
        "connectors": world.connectors,
        "linear scan": each(&facts, |facts| drop(black_box(linear::decide(set, facts)))),
        "regorus, compiled": each(&inputs, |input| drop(black_box(rego.decide(input)))),
        "cedar-policy": each(&asked, |asked| { black_box(cedar.allows(asked)); }),
    })
}

/// The mean number of allocations that `work` makes for one of `questions`.
#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn each<Q>(questions: &[Q], mut work: impl FnMut(&Q)) -> f64 {
    let region = Region::new(GLOBAL);
    for question in questions {
        work(question);
    }
    let change = region.change();
    (change.allocations + change.reallocations) as f64 / questions.len().max(1) as f64
}
