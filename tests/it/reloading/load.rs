//! Gateways that ask all the time, while files are saved.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use postern::{
    config,
    rpc::{client::Client, pb},
};
use tokio::task::JoinSet;

use crate::running::{PATIENCE, Running, block_on, plaintext};

/// Four connections that ask for some sets all the time; no call of theirs may fail.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Answers>>,
}

/// The texts of a set in the order in which they came into force, each with a moment from which
/// on it was.
pub(super) struct History(Vec<(String, Instant)>);

/// What one connection was told of each set, in order.
type Answers = HashMap<String, Vec<Run>>;

/// Answers in a row that are of the same text.
#[derive(Clone, Debug)]
struct Run {
    digest: String,
    /// When the last of them was asked for.
    last_asked: Instant,
}

impl Load {
    /// Begins to ask for `sets`; by the end of this each connection has had its first answers.
    pub(super) fn begin(running: &Running, sets: &[&str]) -> Self {
        let server = running.listen.to_string();
        let sets: Vec<String> = sets.iter().map(|&set| set.into()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (ready, begun) = mpsc::channel();
        let asking = thread::spawn(move || {
            block_on(async {
                let mut connections = JoinSet::new();
                for _ in 0..CONNECTIONS {
                    let client = Client::dial(&server).await.unwrap();
                    connections.spawn(ask(
                        client,
                        sets.clone(),
                        Arc::clone(&stopped),
                        ready.clone(),
                    ));
                }
                connections.join_all().await
            })
        });
        for _ in 0..CONNECTIONS {
            begun.recv_timeout(PATIENCE).unwrap();
        }
        Self { stop, asking }
    }

    /// Ends it: each connection saw the texts of each history one after the other, to the last,
    /// and had no answer of a text for a question that it asked when a later one was in force.
    pub(super) fn end(self, histories: &[(&str, &History)]) {
        self.stop.store(true, Ordering::SeqCst);
        let connections = self.asking.join().unwrap();
        for answers in &connections {
            for (set, history) in histories {
                let explained = history.explains(&answers[*set]);
                assert_eq!(explained, Ok(()), "`{set}`: {:?}", answers[*set]);
            }
        }
    }
}

/// Asks for each set in turn until it is stopped, and once more after that.
async fn ask(
    mut client: Client,
    sets: Vec<String>,
    stop: Arc<AtomicBool>,
    ready: mpsc::Sender<()>,
) -> Answers {
    let mut answers = Answers::new();
    let mut begun = false;
    loop {
        let last = stop.load(Ordering::SeqCst);
        for set in &sets {
            let request = pb::CheckInboundRequest {
                connector_set: set.clone(),
                ..plaintext()
            };
            let last_asked = Instant::now();
            let answer = client.decisions.check_inbound(request).await;
            let answer = answer.unwrap_or_else(|status| panic!("a call for `{set}`: {status}"));
            let digest = answer.into_inner().revision.unwrap().digest;
            let runs = answers.entry(set.clone()).or_default();
            match runs.last_mut() {
                Some(run) if run.digest == digest => run.last_asked = last_asked,
                _ => runs.push(Run { digest, last_asked }),
            }
        }
        if last {
            return answers;
        }
        if !begun {
            begun = true;
            ready.send(()).unwrap();
        }
    }
}

impl History {
    /// One that begins with `text`, which is in force.
    pub(super) fn of(text: &str) -> Self {
        let mut history = Self(Vec::new());
        history.seen(text);
        history
    }

    /// `text` is seen in force now.
    pub(super) fn seen(&mut self, text: &str) {
        self.0.push((config::digest(text), Instant::now()));
    }

    /// Whether this history can have given these answers; else what speaks against it.
    fn explains(&self, runs: &[Run]) -> Result<(), &'static str> {
        let mut places = self.0.iter().enumerate();
        let mut reached = None;
        for run in runs {
            let place = places.find(|(_, (digest, _))| *digest == run.digest);
            let (at, _) = place.ok_or("an old answer came after a new one")?;
            reached = Some(at);
            // Whoever asks when the next text is in force is answered from that, or a later one.
            if let Some((_, next)) = self.0.get(at + 1)
                && run.last_asked > *next
            {
                return Err("a text still answered after the next was in force");
            }
        }
        if reached == Some(self.0.len() - 1) {
            Ok(())
        } else {
            Err("the last text did not answer in the end")
        }
    }
}

const CONNECTIONS: usize = 4;

#[test]
fn what_a_history_cannot_explain_is_seen() {
    let begin = run("one", 0);
    let mut history = History::of("one");
    history.seen("two");
    for (runs, fault) in [
        (
            vec![run("one", 1), run("two", 2)],
            "a text still answered after the next was in force",
        ),
        (
            vec![begin.clone(), run("two", 1), run("one", 2)],
            "an old answer came after a new one",
        ),
        (
            vec![begin.clone()],
            "the last text did not answer in the end",
        ),
    ] {
        assert_eq!(history.explains(&runs), Err(fault));
    }
    assert_eq!(history.explains(&[begin, run("two", 1)]), Ok(()));
}

/// Answers of `text`, the last of them asked for in so many seconds.
fn run(text: &str, seconds: u64) -> Run {
    Run {
        digest: config::digest(text),
        last_asked: Instant::now() + Duration::from_secs(seconds),
    }
}
