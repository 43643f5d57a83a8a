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
use tokio::{sync::Semaphore, task::JoinSet};
use tonic::Code;

use super::{CHECK, Raw, counter, healthy, overloaded, serve};
use crate::running::{PATIENCE, Running, block_on, plaintext};

/// How many calls it may have in flight, and how many are always open.
const MOST: usize = 100;
const OPEN: usize = 10 * MOST;
const CONNECTIONS: usize = 4;

/// How many calls of a connection a client has open: fewer than it may, since a call that was turned
/// away before its message had left counts for a moment longer.
const AT_ONCE: usize = 400;

#[test]
fn ten_times_what_it_may_do_is_turned_away_and_memory_stays_flat() {
    // What its cores are late for is another test.
    let running = Arc::new(serve(&format!("calls = {MOST}\nlag = \"0s\"\n")));
    // Once without being overloaded, so that what is there for good is there.
    let warm = ask(&running, MOST / 10, Duration::from_millis(500));
    assert_eq!(warm.shed, 0);
    let before = running.resident();
    let seen = {
        let _slow = Throttle::begin(&running, 45, 5);
        ask(&running, OPEN, Duration::from_secs(4))
    };
    assert!(seen.served.len() > MOST, "{} served", seen.served.len());
    assert!(seen.shed > MOST, "{} shed", seen.shed);
    let most = before + 40_000;
    assert!(seen.memory < most, "from {before} to {} KiB", seen.memory);
    let p99 = percentile(seen.served, 99);
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

#[test]
fn a_core_that_is_late_turns_calls_away_until_it_is_on_time_again() {
    let running = Arc::new(serve("lag = \"250ms\"\ncalls = 100000\n"));
    let calm = ask(&running, MOST / 10, Duration::from_millis(500));
    assert_eq!(calm.shed, 0);
    let before = running.resident();
    let seen = {
        let _slow = Throttle::begin(&running, 90, 4);
        // Ten times what it can do; more than some thousands cannot be offered from here.
        let able = ask(&running, 64, Duration::from_secs(1));
        let rate = (10 * able.served.len()).min(3_000);
        offer(&running, rate, Duration::from_secs(4))
    };
    let shed = counter(&running, LATE);
    assert!(shed >= seen.shed as u64, "{shed} and {}", seen.shed);
    assert!(shed > 100, "{shed} of {}", seen.shed + seen.served.len());
    assert!(seen.healthy > 0);
    let most = before + 60_000;
    assert!(seen.memory < most, "from {before} to {} KiB", seen.memory);
    let p99 = percentile(seen.served, 99);
    // So generous since all here share two cores; what it is alone is in docs/performance.md.
    assert!(p99 < PATIENCE * 2 / 3, "{p99:?}");
    // It ends by itself, and says how it stands meanwhile.
    let begin = Instant::now();
    while block_on(async {
        let mut peer = Raw::dial(&running).await;
        let answer = peer.ask_for(CHECK, &plaintext()).await;
        answer.status().code() != Code::Ok
    }) {
        assert!(begin.elapsed() < PATIENCE, "it stays late");
    }
    let calm = ask(&running, MOST / 10, Duration::from_millis(500));
    assert_eq!(calm.shed, 0);
    let (_, page) = running.page("/metrics");
    let lags = page
        .lines()
        .filter(|line| line.starts_with("postern_core_lag_seconds{"));
    let lags: Vec<f64> = lags
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(
        !lags.is_empty() && lags.iter().all(|lag| *lag < 0.25),
        "{lags:?}"
    );
    let warned = running.events();
    let warned = warned.iter().filter(|event| event["limit"] == "lag");
    assert!((1..5).contains(&warned.count()));
}

#[test]
fn one_pause_turns_nobody_away() {
    let running = Arc::new(serve("lag = \"100ms\"\n"));
    for _ in 0..3 {
        // A debugger, or a virtual machine that is moved: nothing waits but what came meanwhile.
        running.signal("STOP");
        thread::sleep(Duration::from_millis(400));
        running.signal("CONT");
        let seen = ask(&running, 4, Duration::from_millis(200));
        assert!(!seen.served.is_empty());
    }
    assert_eq!(counter(&running, LATE), 0);
}

const LATE: &str = "postern_calls_shed_total{limit=\"lag\"}";

/// The longest but for so many of a hundred.
fn percentile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times[times.len() * percent / 100]
}

/// Asks so many questions in each second, whatever becomes of those before.
fn offer(running: &Arc<Running>, rate: usize, time: Duration) -> Seen {
    block_on(async {
        let mut asking = JoinSet::new();
        let mut connections = Vec::new();
        // What comes while this is busy waits, and is not taken for a flood.
        let mut settings = h2::client::Builder::new();
        settings.initial_connection_window_size(1 << 24);
        for _ in 0..CONNECTIONS {
            let peer = Raw::dial_as(running, &settings).await;
            connections.push((peer, Arc::new(Semaphore::new(AT_ONCE))));
        }
        let begin = Instant::now();
        let mut seen = Seen {
            served: Vec::new(),
            shed: 0,
            memory: 0,
            healthy: 0,
        };
        let (mut asked, mut health) = (0, JoinSet::new());
        while begin.elapsed() < time {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let due = rate * usize::try_from(begin.elapsed().as_millis()).unwrap() / 1000;
            for at in asked..due {
                let (peer, places) = &connections[at % CONNECTIONS];
                let (mut peer, places) = (peer.share(), Arc::clone(places));
                asking.spawn(async move {
                    let _place = places.acquire_owned().await.unwrap();
                    let begin = Instant::now();
                    let answer = peer.ask_for(CHECK, &plaintext()).await;
                    (answer, begin.elapsed())
                });
            }
            asked = due;
            seen.memory = seen.memory.max(running.resident());
            if health.is_empty() {
                let running = Arc::clone(running);
                health.spawn(async move { healthy(&running).await });
            }
            while let Some(said) = health.try_join_next() {
                said.unwrap();
                seen.healthy += 1;
            }
        }
        while let Some(answered) = asking.join_next().await {
            let (answer, took) = answered.unwrap();
            if answer.status().code() == Code::Ok {
                assert_eq!(answer.inbound().verdict(), pb::Verdict::Reject);
                seen.served.push(took);
            } else {
                overloaded(&answer);
                seen.shed += 1;
            }
        }
        while let Some(said) = health.join_next().await {
            said.unwrap();
            seen.healthy += 1;
        }
        seen
    })
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

/// Gives a server little time.
struct Throttle {
    running: Arc<Running>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Throttle {
    /// Stops it for so many milliseconds, then lets it run for so many, and so on.
    fn begin(running: &Arc<Running>, stop: u64, run: u64) -> Self {
        let ended = Arc::new(AtomicBool::default());
        let (it, stopped) = (Arc::clone(running), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) {
                it.signal("STOP");
                thread::sleep(Duration::from_millis(stop));
                it.signal("CONT");
                thread::sleep(Duration::from_millis(run));
            }
        });
        Self {
            running: Arc::clone(running),
            stop: ended,
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
