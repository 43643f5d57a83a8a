//! Peers must give Postern's answers before their times mean anything: on the five examples of
//! Microsoft's page, and on the generated questions that are timed.

use std::{fs, path::Path};

use postern::{
    cli::expectations::{Asked, Expectations, Question},
    config,
    policy::{ConnectorSet, InboundFacts, Verdict, decide_inbound},
};
use postern_benches::{
    figures::decisions::INBOUND,
    must,
    peers::{
        Meaning,
        cedar::Cedar,
        linear,
        rego::{self, Rego},
    },
    sets::{self, Variety},
};

/// One set in every form.
struct Peers<'s> {
    set: &'s ConnectorSet,
    rego: Rego,
    cedar: Cedar,
}

impl<'s> Peers<'s> {
    fn of(set: &'s ConnectorSet) -> Self {
        Self {
            set,
            rego: must(Rego::new(set)),
            cedar: must(Cedar::new(set)),
        }
    }

    /// Holds all to Postern's answer, which is given back.
    fn agree(&mut self, facts: &InboundFacts<'_>, about: &str) -> Meaning {
        let ours = Meaning::of(&decide_inbound(self.set, facts));
        assert_eq!(
            linear::decide(self.set, facts),
            ours,
            "linear scan: {about}"
        );
        let input = must(self.rego.question(facts));
        let answer = must(self.rego.decide(&input));
        assert_eq!(must(rego::meaning(&answer)), ours, "regorus: {about}");
        let answer = must(self.rego.interpret(&input));
        assert_eq!(
            must(rego::meaning(&answer)),
            ours,
            "regorus, interpreted: {about}"
        );
        cedar_agrees(&self.cedar, facts, ours.verdict, about);
        ours
    }
}

fn cedar_agrees(cedar: &Cedar, facts: &InboundFacts<'_>, verdict: Verdict, about: &str) {
    // Cedar says yes or no; it cannot ask for a recipient.
    if verdict == Verdict::Conditional {
        return;
    }
    let question = must(cedar.question(facts));
    assert_eq!(
        cedar.faults(&question),
        Vec::<String>::new(),
        "Cedar: {about}"
    );
    assert_eq!(
        cedar.allows(&question),
        verdict == Verdict::Accept,
        "Cedar: {about}"
    );
}

#[test]
fn peers_agree_on_the_five_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut accepted, mut refused) = (0, 0, 0);
    for entry in fs::read_dir(root.join("../tests/cases/microsoft")).unwrap() {
        let path = entry.unwrap().path();
        let example = path.file_stem().unwrap().to_str().unwrap();
        let policies = root.join(format!("peers/microsoft/{example}.cedar"));
        let by_hand = Cedar::of_text(&fs::read_to_string(policies).unwrap()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let expectations = Expectations::parse(&text).unwrap();
        let Asked::Written(written) = &expectations.asked else {
            panic!("{example} has no set of its own");
        };
        let (name, text) = written.first().unwrap();
        let set = config::load_str(name, text).set.unwrap();
        let mut peers = Peers::of(&set);
        for case in &expectations.cases {
            let Question::Inbound(question) = &case.question else {
                panic!("{example} speaks of mail that comes in");
            };
            let facts = sets::inbound_facts(question);
            let about = format!("{example}: {}", case.name);
            let ours = peers.agree(&facts, &about);
            assert_eq!(
                Some(ours.verdict.as_str()),
                case.expect.verdict.as_deref(),
                "{about}"
            );
            cedar_agrees(&by_hand, &facts, ours.verdict, &about);
            match ours.verdict {
                Verdict::Accept => accepted += 1,
                Verdict::Reject => refused += 1,
                Verdict::Conditional | Verdict::Defer => {}
            }
        }
        files += 1;
    }
    assert_eq!(files, 6, "example 3 has two halves");
    assert!(
        accepted > 10 && refused > 10,
        "{accepted} accepted, {refused} refused"
    );
}

#[test]
fn peers_agree_on_what_is_timed() {
    for (size, every) in [(10, 8), (1_000, 8)] {
        for world in [sets::world(size), sets::plain(size)] {
            let mut peers = Peers::of(world.set());
            for (name, scenario) in INBOUND {
                let questions = world.inbound(scenario, Variety::All);
                assert!(!questions.is_empty());
                for question in questions.iter().step_by(every) {
                    let about = format!("{name} at {size}: {question:?}");
                    peers.agree(&sets::inbound_facts(question), &about);
                }
            }
        }
    }
}
