//! Measures how late a core is.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use crate::telemetry::Lag;

/// Measures the core that this is run on, without end. What runs it must be looked at once in each
/// turn of the runtime, before what waits there: then a wait is known to be too long before it ends.
pub(super) async fn measure(lag: &Arc<Lag>) {
    if lag.limit().is_none() {
        return pending().await;
    }
    let mut probes = JoinSet::new();
    loop {
        sleep(EVERY).await;
        lag.begin();
        let end = Arc::clone(lag);
        // A task that is new is run when all have been that wait now.
        probes.spawn(async move { end.end() });
        while !probes.is_empty() {
            tokio::select! {
                biased;
                _ = probes.join_next() => {}
                () = sleep(LOOK) => lag.look(),
            }
        }
    }
}

/// How often: a tenth of what makes a gateway wait.
const EVERY: Duration = Duration::from_millis(50);

/// How often it is seen whether a probe still waits.
const LOOK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use tokio::task::yield_now;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    /// Runs so many tasks at a time, each of which keeps the core for a while, for as long as
    /// `lag` is to be seen.
    async fn busy(tasks: usize, keeps: Duration) {
        let mut all = JoinSet::new();
        for _ in 0..tasks {
            all.spawn(async move {
                loop {
                    thread::sleep(keeps);
                    yield_now().await;
                }
            });
        }
        pending::<()>().await;
    }

    async fn until(wanted: bool, lag: &Lag) {
        let begin = Instant::now();
        while lag.is_over() != wanted {
            assert!(begin.elapsed() < Duration::from_secs(30), "{lag:?}");
            sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_core_with_too_much_to_do_is_late_and_then_on_time_again() {
        let lag = Arc::new(Lag::new(Some(LIMIT)));
        let seen = async {
            // Each task waits for 200 others: a fifth of a second.
            tokio::select! {
                () = busy(200, Duration::from_millis(1)) => {}
                () = until(true, &lag) => {}
            }
            assert!(lag.now() > LIMIT);
            until(false, &lag).await;
            // Much to do is not too much.
            tokio::select! {
                () = busy(2, Duration::from_millis(1)) => {}
                () = sleep(EVERY * 4) => {}
            }
            until(false, &lag).await;
        };
        tokio::select! {
            () = measure(&lag) => {}
            () = seen => {}
        }
    }
}
