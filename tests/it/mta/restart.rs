//! A bridge that is restarted under load, and connectors that are edited, with Postfix in front.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    pki::Pki,
    place::free_port,
    postfix::{Postfix, Service, Setup},
    smtp::Smtp,
};
use crate::running::{PATIENCE, Running, demands_tls};

const WORKERS: usize = 4;

/// What mail is told that contosobank.com sends in plaintext.
const REFUSED: &str = "530 5.7.0 <bob@gateway.test>: Recipient address rejected: ";
const PASSED: &str = "250 2.1.5 Ok";

/// Sessions with Postfix, one after the other, by several clients.
struct Load {
    stop: AtomicBool,
    counts: [AtomicUsize; WORKERS],
}

impl Load {
    /// Keeps asking, and says each reply.
    fn client(&self, at: SocketAddr, count: &AtomicUsize, replied: &mpsc::Sender<String>) {
        while !self.stop.load(Relaxed) {
            // Each in a session of its own: Postfix slows down who is refused too often.
            let reply = Smtp::connect(at).asks("ann@contosobank.com", "bob@gateway.test");
            replied.send(reply).unwrap();
            count.fetch_add(1, Relaxed);
        }
    }

    /// Waits until every client had two more replies: the second was asked for after now.
    fn settle(&self) {
        let begin = Instant::now();
        for count in &self.counts {
            let before = count.load(Relaxed);
            while count.load(Relaxed) < before + 2 {
                assert!(begin.elapsed() < PATIENCE);
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Stops the clients also where the test fails.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}

#[test]
fn no_mail_waits_for_a_restart_within_a_second_or_for_an_edit() {
    let service = Running::serve(&[("default", &demands_tls("first"))]);
    let port = free_port();
    let start = || {
        Running::bridge(&format!(
            "[service]\nendpoints = \"{}\"\ndeadline = \"20s\"\n[[policy]]\n\
             listen = \"127.0.0.1:{port}\"\n",
            service.listen
        ))
    };
    let mut bridge = start();
    let door = Service::inbound(free_port()).with(&format!(
        "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{port}"
    ));
    let setup = Setup {
        services: vec![door.clone()],
        ..Setup::default()
    };
    let _postfix = Postfix::start(&Pki::new(), &setup);
    let load = Load {
        stop: AtomicBool::new(false),
        counts: Default::default(),
    };
    let (say, replies) = mpsc::channel();
    thread::scope(|scope| {
        let _stop = Stop(&load);
        for count in &load.counts {
            let (load, door, say) = (&load, &door, say.clone());
            scope.spawn(move || load.client(Postfix::at(door), count, &say));
        }
        load.settle();
        // Postfix asks twice, a second apart: a restart that takes longer proves nothing.
        let mut rounds = 0;
        loop {
            let before = replies.try_iter().find(|it| !it.starts_with(REFUSED));
            assert_eq!(before.filter(|_| rounds == 0), None);
            let begin = Instant::now();
            bridge.signal("TERM");
            assert!(bridge.end().0.success());
            bridge = start();
            let away = begin.elapsed();
            load.settle();
            let wrong: Vec<_> = replies
                .try_iter()
                .filter(|it| !it.starts_with(REFUSED))
                .collect();
            println!("away for {away:?}, {} told otherwise", wrong.len());
            if away < Duration::from_millis(900) {
                assert_eq!(wrong, [""; 0]);
                break;
            }
            rounds += 1;
            assert!(rounds < 20, "the machine is too slow: {away:?}");
        }

        let edits = [("elsewhere.test", PASSED), ("contosobank.com", REFUSED)];
        for (domain, wanted) in edits.iter().cycle().take(6) {
            let text = demands_tls("edited").replace("contosobank.com", domain);
            fs::write(service.file("default"), text).unwrap();
            let begin = Instant::now();
            loop {
                let reply = replies.recv_timeout(PATIENCE).unwrap();
                let right = reply == PASSED || reply.starts_with(REFUSED);
                assert!(right, "{reply}");
                if reply.starts_with(wanted) {
                    break;
                }
                assert!(begin.elapsed() < PATIENCE, "{reply}");
            }
        }
    });
}
