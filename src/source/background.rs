//! Work beside serving: on a thread of its own that waits for those that answer calls.

use std::{io, thread};

use tokio::sync::oneshot;

/// Does `work` on a thread of its own at a lower priority; what it comes to is sent.
pub(super) fn work<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new()
        .name("reload".to_owned())
        .spawn(move || {
            step_back();
            // Why: where nobody waits any longer, the service is about to stop.
            sender.send(work()).ok();
        })?;
    Ok(receiver)
}

/// Lowers the priority of this thread, and of those that it begins.
#[cfg(target_os = "linux")]
fn step_back() {
    // Why: on Linux a priority is a thread's, and nobody may be kept from lowering its own.
    rustix::process::setpriority_process(None, NICE).ok();
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}

/// A tenth of a serving thread's share where both want the same processor, and no less: a save is
/// to be in force soon under any load.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_work_comes_to_is_sent() {
        assert_eq!(work(|| 7).unwrap().await, Ok(7));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn only_its_own_threads_step_back() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let inside = move || {
            (
                nice(),
                thread::scope(|scope| scope.spawn(nice).join().unwrap()),
            )
        };
        let (own, its) = work(inside).unwrap().await.unwrap();
        assert_eq!((own, its), (own.max(NICE), own.max(NICE)));
        assert_eq!(nice(), before);
    }
}
