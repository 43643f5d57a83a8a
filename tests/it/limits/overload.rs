//! Ten times what a replica may do at once, on a tenth of its processor.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use postern::rpc::pb;
use tokio::task::JoinSet;
use tonic::Code;

use super::{CHECK, Raw, counter, healthy, overloaded, serve};
use crate::running::{PATIENCE, Running, block_on, plaintext};

/// How many calls it may have in flight, and how many are always open.
const MOST: usize = 100;
const OPEN: usize = 10 * MOST;
const CONNECTIONS: usize = 4;

#[test]
fn ten_times_what_it_may_do_is_turned_away_and_memory_stays_flat() {
    let running = Arc::new(serve(&format!("calls = {MOST}\n")));
    // Once without being overloaded, so that what is there for good is there.
    let warm = ask(&running, MOST / 10, Duration::from_millis(500));
    assert_eq!(warm.shed, 0);
    let before = running.resident();
    let seen = {
        let _slow = Throttle::begin(&running);
        ask(&running, OPEN, Duration::from_secs(4))
    };
    assert!(seen.served.len() > MOST, "{} served", seen.served.len());
    assert!(seen.shed > MOST, "{} shed", seen.shed);
    let most = before + 40_000;
    assert!(seen.memory < most, "from {before} to {} KiB", seen.memory);
    let mut served = seen.served;
    served.sort_unstable();
    let p99 = served[served.len() * 99 / 100];
    assert!(p99 < PATIENCE / 3, "{p99:?}");
    assert!(seen.healthy > 0);
    // All is as before afterwards.
    let calm = ask(&running, MOST / 10, Duration::from_millis(500));
    assert_eq!(calm.shed, 0);
    assert!(running.resident() < most, "{} KiB", running.resident());
    assert_eq!(counter(&running, "postern_calls_in_flight"), 0);
    let shed = counter(&running, "postern_calls_shed_total{limit=\"calls\"}");
    assert_eq!(shed, seen.shed as u64);
    // The log is not what overloads it.
    let warned = running.events();
    let warned = warned.iter().filter(|event| event["limit"] == "calls");
    assert!((1..5).contains(&warned.count()));
}

/// What was seen under load.
struct Seen {
    /// How long each call took that was answered.
    served: Vec<Duration>,
    shed: usize,
    /// At its largest, in KiB.
    memory: u64,
    /// How often health said SERVING.
    healthy: usize,
}

/// Keeps `open` calls open for a while, and looks at every answer.
fn ask(running: &Arc<Running>, open: usize, time: Duration) -> Seen {
    let end = Instant::now() + time;
    block_on(async {
        let mut asking = JoinSet::new();
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Raw::dial(running).await);
        }
        for at in 0..open {
            let mut peer = connections[at % CONNECTIONS].share();
            asking.spawn(async move {
                let (mut served, mut shed) = (Vec::new(), 0);
                while Instant::now() < end {
                    let begin = Instant::now();
                    let answer = peer.ask_for(CHECK, &plaintext()).await;
                    if answer.status().code() == Code::Ok {
                        assert_eq!(answer.inbound().verdict(), pb::Verdict::Reject);
                        served.push(begin.elapsed());
                    } else {
                        overloaded(&answer);
                        shed += 1;
                    }
                }
                (served, shed)
            });
        }
        let mut seen = Seen {
            served: Vec::new(),
            shed: 0,
            memory: 0,
            healthy: 0,
        };
        while Instant::now() < end {
            healthy(running).await;
            seen.healthy += 1;
            seen.memory = seen.memory.max(running.resident());
        }
        while let Some(asked) = asking.join_next().await {
            let (served, shed) = asked.unwrap();
            seen.served.extend(served);
            seen.shed += shed;
        }
        seen
    })
}

/// Gives a server a tenth of the time.
struct Throttle {
    running: Arc<Running>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Throttle {
    fn begin(running: &Arc<Running>) -> Self {
        let stop = Arc::new(AtomicBool::default());
        let (it, stopped) = (Arc::clone(running), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                it.signal("STOP");
                thread::sleep(Duration::from_millis(45));
                it.signal("CONT");
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self {
            running: Arc::clone(running),
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.running.signal("CONT");
    }
}
