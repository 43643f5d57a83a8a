//! What one could use instead of Postern, on the same questions; `figures` has them in turns, and
//! the ratios.

use std::{cell::Cell, hint::black_box};

use divan::{AllocProfiler, Bencher};
use postern::policy::decide_inbound;
use postern_benches::{
    must,
    peers::{cedar::Cedar, linear, rego::Rego},
    sets::{self, PEER_SIZES, Variety, within},
};
use postern_loadtest::Scenario;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Calls `work` with one question after the other.
fn each<Q, A>(bencher: Bencher<'_, '_>, questions: &[Q], mut work: impl FnMut(&Q) -> A) {
    let next = Cell::new(0_usize);
    bencher
        .with_inputs(|| {
            let at = next.get();
            next.set((at + 1) % questions.len());
            must(questions.get(at).ok_or("no question"))
        })
        .bench_local_values(|question| {
            black_box(work(question));
        });
}

#[divan::bench(args = within(&PEER_SIZES), sample_size = 64, sample_count = 500)]
fn postern(bencher: Bencher<'_, '_>, connectors: usize) {
    let world = sets::world(connectors);
    let (set, questions) = (
        world.set(),
        world.inbound(Scenario::InboundAccept, Variety::Busy),
    );
    let facts: Vec<_> = questions.iter().map(sets::inbound_facts).collect();
    each(bencher, &facts, |facts| {
        black_box(decide_inbound(set, facts));
    });
}

#[divan::bench(args = within(&PEER_SIZES), sample_size = 64, max_time = 2)]
fn linear_scan(bencher: Bencher<'_, '_>, connectors: usize) {
    let world = sets::world(connectors);
    let (set, questions) = (
        world.set(),
        world.inbound(Scenario::InboundAccept, Variety::Busy),
    );
    let facts: Vec<_> = questions.iter().map(sets::inbound_facts).collect();
    each(bencher, &facts, |facts| linear::decide(set, facts));
}

#[divan::bench(args = within(&PEER_SIZES), sample_size = 16, max_time = 2)]
fn regorus_compiled(bencher: Bencher<'_, '_>, connectors: usize) {
    let world = sets::world(connectors);
    let mut rego = must(Rego::new(world.set()));
    let questions = world.inbound(Scenario::InboundAccept, Variety::Busy);
    let inputs: Vec<_> = questions
        .iter()
        .map(|question| must(rego.question(&sets::inbound_facts(question))))
        .collect();
    each(bencher, &inputs, |input| must(rego.decide(input)));
}

#[divan::bench(args = within(&PEER_SIZES), sample_size = 1, max_time = 2)]
fn cedar_policy(bencher: Bencher<'_, '_>, connectors: usize) {
    let world = sets::world(connectors);
    let cedar = must(Cedar::new(world.set()));
    let questions = world.inbound(Scenario::InboundAccept, Variety::Busy);
    let asked: Vec<_> = questions
        .iter()
        .map(|question| must(cedar.question(&sets::inbound_facts(question))))
        .collect();
    each(bencher, &asked, |asked| cedar.allows(asked));
}
