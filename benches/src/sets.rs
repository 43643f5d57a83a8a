//! Connector sets of several sizes in force, each made once for a process, with questions about it.

use std::{collections::BTreeMap, env, fmt, sync::OnceLock};

use postern::{
    config,
    live::Snapshot,
    policy::{Catalog, ConnectorSet, Entry, InboundFacts},
    rpc::{
        answer,
        facts::{self, Sending, Understood},
        pb,
    },
};
use postern_loadtest::Scenario;

use crate::must;

/// How many connectors the sets have that are measured.
pub const SIZES: [usize; 4] = [10, 1_000, 100_000, MOST];

/// The most that is measured. A file of so many would be longer than a file may be (64 MiB): this
/// is what several sets come to.
pub const MOST: usize = 1_000_000;

/// How many connectors a set has that peers are measured by too.
pub const PEER_SIZES: [usize; 3] = [10, 1_000, 10_000];

/// One set in force.
pub struct World {
    /// How many connectors it has.
    pub connectors: usize,
    /// Some of them are in report.
    pub reports: bool,
    /// All that calls are answered from.
    pub snapshot: Snapshot,
}

/// How many different questions are asked, over and over.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Variety {
    /// 1,024: the partners that write all day, whose connectors stay in the processor's caches.
    Busy,
    /// As many as there are connectors, up to 65,536: what a large set holds of them must come
    /// from memory each time.
    All,
}

/// Those of `sizes` that are to be measured: up to `POSTERN_BENCH_MOST` connectors, where it is
/// set.
pub fn within(sizes: &[usize]) -> Vec<usize> {
    let most = most();
    sizes.iter().copied().filter(|size| *size <= most).collect()
}

/// The most connectors that any set may have.
pub fn most() -> usize {
    match env::var("POSTERN_BENCH_MOST") {
        Ok(text) => must(text.replace('_', "").parse()),
        Err(_) => usize::MAX,
    }
}

/// The set of so many connectors, in force; two in a hundred of them are in report.
pub fn world(connectors: usize) -> &'static World {
    static WORLDS: [OnceLock<World>; PLACES] = [const { OnceLock::new() }; PLACES];
    kept(&WORLDS, connectors, true)
}

/// The same without a connector in report, so that there is one answer to weigh.
pub fn plain(connectors: usize) -> &'static World {
    static WORLDS: [OnceLock<World>; PLACES] = [const { OnceLock::new() }; PLACES];
    kept(&WORLDS, connectors, false)
}

fn kept(
    worlds: &'static [OnceLock<World>; PLACES],
    connectors: usize,
    reports: bool,
) -> &'static World {
    let at = match connectors {
        10 => 0,
        1_000 => 1,
        10_000 => 2,
        100_000 => 3,
        MOST => 4,
        _ => PLACES,
    };
    let world = worlds.get(at).map(|world| {
        world.get_or_init(|| {
            let text = text(connectors, reports);
            World {
                connectors,
                reports,
                snapshot: must(load(&text)),
            }
        })
    });
    must(world.ok_or("no sets of this size are kept"))
}

/// The text of a set of so many connectors, some in report or none.
pub fn text(connectors: usize, reports: bool) -> String {
    let shape = postern_loadtest::Shape::of(connectors);
    postern_loadtest::Shape { reports, ..shape }.text()
}

/// The state that calls are answered from where `text` is the only connector set.
pub fn load(text: &str) -> Result<Snapshot, String> {
    let outcome = config::load_str(NAME, text);
    let Some(set) = outcome.set else {
        let faults = config::render::plain(NAME, text, &outcome.findings);
        return Err(faults.chars().take(2_000).collect());
    };
    Ok(Snapshot {
        catalog: Catalog::new(vec![Entry::new(set)], None),
        status: BTreeMap::new(),
        directory_fault: None,
    })
}

impl World {
    /// The set itself.
    pub fn set(&self) -> &ConnectorSet {
        let entry = self.snapshot.catalog.entries().first();
        &must(entry.ok_or("a catalog of one set")).set
    }

    /// Questions about a sending server, spread over the whole set.
    pub fn inbound(&self, scenario: Scenario, variety: Variety) -> Vec<pb::CheckInboundRequest> {
        postern_loadtest::inbound(
            scenario,
            self.connectors,
            variety.questions(self.connectors),
        )
    }

    /// Questions about a next hop, spread over the whole set.
    pub fn outbound(&self, scenario: Scenario, variety: Variety) -> Vec<pb::CheckOutboundRequest> {
        postern_loadtest::outbound(
            scenario,
            self.connectors,
            variety.questions(self.connectors),
        )
    }
}

impl Variety {
    fn questions(self, connectors: usize) -> usize {
        match self {
            Self::Busy => 1_024,
            Self::All => connectors.clamp(1_024, 65_536),
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({})", self.connectors)
    }
}

/// The facts of a question about a sending server.
pub fn inbound_facts(question: &pb::CheckInboundRequest) -> InboundFacts<'_> {
    match facts::inbound(&question.into()) {
        Ok(Understood::Facts(facts)) => facts,
        _ => must(Err(format!("no facts: {question:?}"))),
    }
}

/// The facts of a question about a next hop.
pub fn outbound_facts(question: &pb::CheckOutboundRequest) -> Sending<'_> {
    match facts::outbound(&question.into()) {
        Ok(Understood::Facts(facts)) => facts,
        _ => must(Err(format!("no facts: {question:?}"))),
    }
}

/// The answer to a question about a sending server, message to message.
pub fn answer_inbound(
    snapshot: &Snapshot,
    question: &pb::CheckInboundRequest,
) -> pb::CheckInboundResponse {
    let answer = answer::inbound(snapshot, question);
    must(answer.map_err(|failure| format!("{failure:?}")))
}

/// The answer to a question about a next hop, message to message.
pub fn answer_outbound(
    snapshot: &Snapshot,
    question: &pb::CheckOutboundRequest,
) -> pb::CheckOutboundResponse {
    let answer = answer::outbound(snapshot, question);
    must(answer.map_err(|failure| format!("{failure:?}")))
}

/// How many sizes there are.
const PLACES: usize = 5;

const NAME: &str = "contoso";
