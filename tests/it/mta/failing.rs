//! What senders are told while the bridge is gone, or hangs: the rows of the recipes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    exim::Exim,
    pki::Pki,
    place::free_port,
    postfix::{Postfix, Service, Setup},
    sendmail::Sendmail,
    smtp::Smtp,
};
use crate::running::{PATIENCE, Running, demands_tls};

const LATER: &str = "connector policy unavailable, try later";

/// What mail that nobody objects to is told, and after how long.
fn asks(at: SocketAddr) -> (String, Duration) {
    let begin = Instant::now();
    let reply = Smtp::connect(at).asks("ann@nobody.test", "bob@contoso.com");
    (reply, begin.elapsed())
}

fn served() -> Running {
    Running::serve(&[("default", &demands_tls("one"))])
}

fn bridge(service: &Running, door: &str) -> Running {
    Running::bridge(&format!(
        "[service]\nendpoints = [\"{}\"]\n[[{door}]]\nlisten = \"127.0.0.1:0\"\n",
        service.listen
    ))
}

#[test]
fn postfix_waits_for_the_bridge_no_longer_than_it_is_told() {
    let (pki, service) = (Pki::new(), served());
    let milter = free_port();
    let mut bridge = Running::bridge(&format!(
        "[service]\nendpoints = [\"{}\"]\n[[policy]]\nlisten = \"127.0.0.1:0\"\n\
         [[milter]]\nlisten = \"127.0.0.1:{milter}\"\n",
        service.listen
    ));
    let policy = |more: &str| {
        let asked = format!("inet:{}, timeout=2s{more}", bridge.listen);
        format!("smtpd_recipient_restrictions = check_policy_service {{ {asked} }}")
    };
    let documented =
        policy(", { default_action = 451 4.7.1 connector policy unavailable, try later }");
    let bare = policy("");
    let by_milter = format!(
        "smtpd_milters = {{ inet:127.0.0.1:{milter}, connect_timeout=2s, command_timeout=2s, \
         default_action=tempfail }}"
    );
    let [documented, bare, by_milter] =
        [documented, bare, by_milter].map(|asks| Service::inbound(free_port()).with(&asks));
    let setup = Setup {
        main: "relay_domains = contoso.com\n".to_owned(),
        services: vec![documented.clone(), bare.clone(), by_milter.clone()],
        ..Setup::default()
    };
    let _postfix = Postfix::start(&pki, &setup);
    let told = format!("451 4.7.1 <bob@contoso.com>: Recipient address rejected: {LATER}");
    let no_milter = "451 4.7.1 Service unavailable - try again later";
    for service in [&documented, &bare, &by_milter] {
        assert_eq!(asks(Postfix::at(service)).0, "250 2.1.5 Ok");
    }
    bridge.signal("STOP");
    let (reply, took) = asks(Postfix::at(&documented));
    assert_eq!(reply, told);
    // Asked twice, a second apart.
    assert!(took >= Duration::from_millis(4_900), "{took:?}");
    assert!(took < Duration::from_secs(5) + PATIENCE, "{took:?}");
    let (reply, took) = asks(Postfix::at(&by_milter));
    assert_eq!(reply, no_milter);
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    bridge.signal("CONT");
    bridge.signal("KILL");
    bridge.end();
    let (reply, took) = asks(Postfix::at(&documented));
    assert_eq!(reply, told);
    assert!(took >= Duration::from_millis(900), "{took:?}");
    let broken =
        "451 4.3.5 <bob@contoso.com>: Recipient address rejected: Server configuration problem";
    assert_eq!(asks(Postfix::at(&bare)).0, broken);
    assert_eq!(asks(Postfix::at(&by_milter)).0, no_milter);
}

#[test]
fn exim_waits_for_the_bridge_five_seconds() {
    let (pki, service) = (Pki::new(), served());
    let mut bridge = bridge(&service, "policy");
    let exim = Exim::start(&pki, bridge.listen);
    let told = format!("451 4.7.1 {LATER}");
    assert_eq!(asks(exim.at()).0, "250 Accepted");
    bridge.signal("STOP");
    let (reply, took) = asks(exim.at());
    assert_eq!(reply, told);
    assert!(took >= Duration::from_millis(4_900), "{took:?}");
    bridge.signal("CONT");
    bridge.signal("KILL");
    bridge.end();
    assert_eq!(asks(exim.at()).0, told);
}

#[test]
fn sendmail_waits_for_the_bridge_ten_seconds() {
    let (pki, service) = (Pki::new(), served());
    let bridge = bridge(&service, "milter");
    let sendmail = Sendmail::start(&pki, bridge.listen);
    let taken = "250 2.1.5 <bob@contoso.com>... Recipient ok";
    assert_eq!(asks(sendmail.at()).0, taken);
    bridge.signal("STOP");
    let (reply, took) = asks(sendmail.at());
    assert_eq!(reply, "451 4.3.2 Please try again later");
    assert!(took >= Duration::from_millis(4_900), "{took:?}");
    bridge.signal("CONT");
    assert_eq!(asks(sendmail.at()).0, taken);
}
