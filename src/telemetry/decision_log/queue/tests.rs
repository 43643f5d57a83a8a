//! What waits, what goes first, and in which order the rest is taken.

use proptest::prelude::*;

use super::*;

const RECORD: usize = 1_000;

/// A queue with room for so many records of [`RECORD`] octets.
fn queue(records: usize) -> Queue<usize> {
    let weight = RECORD + OWN + size_of::<Waiting<usize>>();
    Queue::new(records * weight, Arc::default())
}

fn all(queue: &Queue<usize>) -> Vec<usize> {
    let mut front = Front::default();
    std::iter::from_fn(|| queue.take(&mut front)).collect()
}

fn lost(queue: &Queue<usize>) -> Vec<u64> {
    let dropped = queue.state.dropped();
    dropped.into_iter().map(|(_, count)| count).collect()
}

#[test]
fn accepts_go_before_rejects() {
    let queue = queue(8);
    for at in 0..20 {
        queue.offer(Verdict::Accept, Worth::Little, RECORD, || at);
    }
    for at in 20..24 {
        queue.offer(Verdict::Reject, Worth::Much, RECORD, || at);
    }
    // There was room for two of them; for the others the oldest accepts went.
    assert_eq!(lost(&queue), [16, 0, 0, 0]);
    assert_eq!(all(&queue), [2, 3, 4, 5, 20, 21, 22, 23]);
    assert_eq!(queue.octets.load(Relaxed), 0);
}

#[test]
fn rejects_go_when_no_accept_is_left() {
    let queue = queue(8);
    for at in 0..6 {
        queue.offer(Verdict::Conditional, Worth::Little, RECORD, || at);
    }
    for at in 6..20 {
        queue.offer(Verdict::Reject, Worth::Much, RECORD, || at);
    }
    assert_eq!(lost(&queue), [0, 6, 0, 6]);
    assert_eq!(all(&queue), [6, 7, 8, 9, 10, 11, 12, 13]);
}

#[test]
fn what_was_taken_leaves_room() {
    let queue = queue(4);
    let mut front = Front::default();
    for at in 0..100 {
        queue.offer(Verdict::Accept, Worth::Little, RECORD, || at);
        assert_eq!(queue.take(&mut front), Some(at));
    }
    assert!(queue.is_empty(&front));
    assert_eq!(lost(&queue), [0; 4]);
    assert_eq!(queue.octets.load(Relaxed), 0);
}

#[test]
fn a_record_larger_than_all_room_is_lost_alone() {
    let queue = queue(4);
    queue.offer(Verdict::Accept, Worth::Little, RECORD, || 0);
    queue.offer(Verdict::Defer, Worth::Much, 5 * RECORD, || 1);
    queue.offer(Verdict::Defer, Worth::Much, RECORD, || 2);
    assert_eq!(all(&queue), [0, 2]);
    assert_eq!(lost(&queue), [0, 0, 1, 0]);
}

#[test]
fn each_thread_keeps_its_order_whoever_takes() {
    const THREADS: usize = 4;
    const EACH: usize = 2_000;
    let queue = queue(THREADS * EACH * 2);
    let mut front = Front::default();
    let mut next = [0; THREADS];
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let queue = &queue;
            scope.spawn(move || {
                for at in 0..EACH {
                    let (verdict, worth) = match (at + thread) % 3 {
                        0 => (Verdict::Reject, Worth::Much),
                        _ => (Verdict::Accept, Worth::Little),
                    };
                    queue.offer(verdict, worth, RECORD, || thread * EACH + at);
                }
            });
        }
        // Taken while they come.
        while next != [EACH; THREADS] {
            let Some(record) = queue.take(&mut front) else {
                std::thread::yield_now();
                continue;
            };
            assert_eq!(record % EACH, next[record / EACH]);
            next[record / EACH] += 1;
        }
    });
    assert_eq!(lost(&queue), [0; 4]);
    assert!(queue.is_empty(&front));
}

#[test]
fn threads_that_make_room_for_each_other_lose_and_keep_all_there_is() {
    const THREADS: usize = 4;
    const EACH: usize = 2_000;
    let queue = queue(20);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let queue = &queue;
            scope.spawn(move || {
                for at in 0..EACH {
                    let (verdict, worth) = match (at + thread) % 2 {
                        0 => (Verdict::Reject, Worth::Much),
                        _ => (Verdict::Accept, Worth::Little),
                    };
                    queue.offer(verdict, worth, RECORD, || at);
                }
            });
        }
    });
    let lost: u64 = lost(&queue).into_iter().sum();
    let kept = all(&queue).len();
    assert!((1..=20).contains(&kept), "{kept}");
    assert_eq!(lost + kept as u64, (THREADS * EACH) as u64);
    assert_eq!(queue.octets.load(Relaxed), 0);
}

#[test]
fn what_it_is_told_is_heard_once() {
    let queue = queue(1);
    assert!(!queue.is_to_reopen() && !queue.is_to_stop());
    queue.reopen();
    queue.stop();
    assert!(queue.is_to_reopen() && !queue.is_to_reopen());
    assert!(queue.is_to_stop());
}
/// What is done to a queue.
#[derive(Clone, Copy, Debug)]
enum Step {
    Offer(Worth, usize),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let worth = prop_oneof![Just(Worth::Little), Just(Worth::Much)];
    prop_oneof![
        4 => (worth, 0..3 * RECORD).prop_map(|(worth, octets)| Step::Offer(worth, octets)),
        1 => Just(Step::Take),
    ]
}

proptest! {
    #[test]
    fn no_reject_is_lost_while_an_accept_waits(
        steps in proptest::collection::vec(step(), 0..200),
        room in 1..12_usize,
    ) {
        let queue = queue(room);
        let mut front = Front::default();
        let (mut offered, mut taken) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Take => taken.extend(queue.take(&mut front)),
                Step::Offer(worth, octets) => {
                    let verdict = match worth {
                        Worth::Little => Verdict::Accept,
                        Worth::Much => Verdict::Reject,
                    };
                    let before = lost(&queue)[Verdict::Reject as usize];
                    let waiting = queue.octets.load(Relaxed);
                    queue.offer(verdict, worth, octets, || offered);
                    offered += 1;
                    let fits = octets + OWN + size_of::<Waiting<usize>>() <= queue.most_octets;
                    if lost(&queue)[Verdict::Reject as usize] > before && fits {
                        prop_assert!(queue.little.is_empty());
                    } else if !fits {
                        prop_assert_eq!(queue.octets.load(Relaxed), waiting);
                    }
                }
            }
            prop_assert!(queue.octets.load(Relaxed) <= queue.most_octets);
        }
        taken.extend(std::iter::from_fn(|| queue.take(&mut front)));
        prop_assert!(taken.is_sorted(), "{:?}", taken);
        let lost: u64 = lost(&queue).into_iter().sum();
        prop_assert_eq!(taken.len() as u64 + lost, offered as u64);
        prop_assert_eq!(queue.octets.load(Relaxed), 0);
    }
}
