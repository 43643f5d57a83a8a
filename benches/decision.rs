//! Decisions, their facts and whole answers, at every size, with allocations counted.
//!
//! As each allocation is counted, what allocates seems slower than it is: `figures` has the times.

use std::{cell::Cell, hint::black_box};

use divan::{AllocProfiler, Bencher};
use postern::policy::{decide_inbound, decide_outbound};
use postern_benches::{
    must,
    sets::{self, SIZES, Variety, World, within},
};
use postern_loadtest::Scenario;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// How many questions are read before as many are timed.
const BATCH: u32 = 64;

fn main() {
    divan::main();
}

/// What is asked one after the other, for ever.
fn turns<'q, T>(questions: &'q [T]) -> impl Fn() -> &'q T {
    let next = Cell::new(0_usize);
    move || {
        let at = next.get();
        next.set((at + 1) % questions.len());
        must(questions.get(at).ok_or("no question"))
    }
}

fn inbound(bencher: Bencher<'_, '_>, world: &World, scenario: Scenario) {
    let questions = world.inbound(scenario, Variety::All);
    let (set, next) = (world.set(), turns(&questions));
    bencher
        .with_inputs(|| sets::inbound_facts(next()))
        .bench_local_refs(|facts| {
            black_box(decide_inbound(set, facts));
        });
}

fn outbound(bencher: Bencher<'_, '_>, world: &World, scenario: Scenario) {
    let questions = world.outbound(scenario, Variety::All);
    let (set, next) = (world.set(), turns(&questions));
    bencher
        .with_inputs(|| sets::outbound_facts(next()))
        .bench_local_refs(|facts| {
            black_box(decide_outbound(set, &facts.facts));
        });
}

/// `policy` alone, facts in and decision out; two in a hundred connectors are in report.
mod policy {
    use super::{BATCH, Bencher, SIZES, Scenario, inbound, outbound, sets, within};

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn inbound_accept(bencher: Bencher<'_, '_>, connectors: usize) {
        inbound(bencher, sets::world(connectors), Scenario::InboundAccept);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn inbound_accept_without_reports(bencher: Bencher<'_, '_>, connectors: usize) {
        inbound(bencher, sets::plain(connectors), Scenario::InboundAccept);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn inbound_reject(bencher: Bencher<'_, '_>, connectors: usize) {
        inbound(bencher, sets::world(connectors), Scenario::InboundReject);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn inbound_miss(bencher: Bencher<'_, '_>, connectors: usize) {
        inbound(bencher, sets::world(connectors), Scenario::Miss);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn outbound_plan(bencher: Bencher<'_, '_>, connectors: usize) {
        outbound(bencher, sets::world(connectors), Scenario::OutboundPlan);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn outbound_enforce(bencher: Bencher<'_, '_>, connectors: usize) {
        outbound(bencher, sets::world(connectors), Scenario::OutboundEnforce);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn outbound_miss(bencher: Bencher<'_, '_>, connectors: usize) {
        outbound(bencher, sets::world(connectors), Scenario::Miss);
    }
}

/// What is around it: reading a message into facts, and message to message.
mod messages {
    use super::{BATCH, Bencher, SIZES, Scenario, Variety, black_box, sets, turns, within};

    #[divan::bench(sample_size = BATCH, sample_count = 1000)]
    fn facts_inbound(bencher: Bencher<'_, '_>) {
        let questions = sets::world(1_000).inbound(Scenario::InboundAccept, Variety::All);
        let next = turns(&questions);
        bencher
            .with_inputs(|| next().clone())
            .bench_local_refs(|question| {
                black_box(sets::inbound_facts(question));
            });
    }

    #[divan::bench(sample_size = BATCH, sample_count = 1000)]
    fn facts_outbound(bencher: Bencher<'_, '_>) {
        let questions = sets::world(1_000).outbound(Scenario::OutboundEnforce, Variety::All);
        let next = turns(&questions);
        bencher
            .with_inputs(|| next().clone())
            .bench_local_refs(|question| {
                black_box(sets::outbound_facts(question));
            });
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn answer_accept(bencher: Bencher<'_, '_>, connectors: usize) {
        answer(bencher, connectors, Scenario::InboundAccept);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn answer_reject(bencher: Bencher<'_, '_>, connectors: usize) {
        answer(bencher, connectors, Scenario::InboundReject);
    }

    #[divan::bench(args = within(&SIZES), sample_size = BATCH, sample_count = 1000)]
    fn answer_plan(bencher: Bencher<'_, '_>, connectors: usize) {
        let world = sets::world(connectors);
        let questions = world.outbound(Scenario::OutboundPlan, Variety::All);
        let next = turns(&questions);
        bencher
            .with_inputs(|| next().clone())
            .bench_local_refs(|question| sets::answer_outbound(&world.snapshot, question));
    }

    fn answer(bencher: Bencher<'_, '_>, connectors: usize, scenario: Scenario) {
        let world = sets::world(connectors);
        let questions = world.inbound(scenario, Variety::All);
        let next = turns(&questions);
        bencher
            .with_inputs(|| next().clone())
            .bench_local_refs(|question| sets::answer_inbound(&world.snapshot, question));
    }
}
