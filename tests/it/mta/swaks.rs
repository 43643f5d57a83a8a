//! The command that each recipe shows, run as it stands, and the reply that it promises.

use std::{net::SocketAddr, process::Command};

use super::{
    exim::Exim,
    haraka,
    pki::Pki,
    place::free_port,
    postfix::{Postfix, Service, Setup},
    sendmail::Sendmail,
};
use crate::running::{Running, demands_tls, tool};

/// What the server of the recipe `page` says to its command, at this address; it must be what the
/// page says.
fn is_told(page: &str, server: SocketAddr, promised: &str, more: &[&str]) {
    assert!(page.contains(promised), "{promised}");
    let (_, command) = page.split_once("swaks ").unwrap();
    let command: String = command
        .chars()
        .take_while(|it| !"`\n".contains(*it))
        .collect();
    let words: Vec<_> = command.split_whitespace().collect();
    let ["--server", _, arguments @ ..] = &words[..] else {
        panic!("another server: {command}")
    };
    // It tells bad news on standard error.
    let output = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 2>&1"])
        .arg(tool("swaks"))
        .args(["--server", &server.ip().to_string()])
        .args(["--port", &server.port().to_string()])
        .args(arguments)
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, after) = said.split_once("> RCPT TO:").expect(&said);
    let reply = after.lines().skip(1).find(|line| line.starts_with('<'));
    let (_, reply) = reply.expect(&said).split_once(' ').unwrap();
    assert_eq!(reply.trim(), promised, "{said}");
}

const POSTFIX: &str = include_str!("../../../docs/gateways/postfix.md");
const POSTFIX_MILTER: &str = include_str!("../../../docs/gateways/postfix-milter.md");
const SENDMAIL: &str = include_str!("../../../docs/gateways/sendmail.md");
const EXIM: &str = include_str!("../../../docs/gateways/exim.md");
const HARAKA: &str = include_str!("../../../docs/gateways/haraka.md");

const STARTTLS: &str = "530 5.7.0 Must issue a STARTTLS command first";

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
fn postfix_by_policy_and_by_milter() {
    let (pki, service) = (Pki::new(), served());
    let (policy, milter) = (bridge(&service, "policy"), bridge(&service, "milter"));
    let by_policy = format!(
        "smtpd_recipient_restrictions = check_policy_service {{ inet:{}, timeout=20s }}",
        policy.listen
    );
    let by_milter = format!(
        "smtpd_milters = {{ inet:{}, default_action=tempfail }}",
        milter.listen
    );
    let by_policy = Service::inbound(free_port()).with(&by_policy);
    let by_milter = Service::inbound(free_port()).with(&by_milter);
    let setup = Setup {
        main: "relay_domains = contoso.com\n".to_owned(),
        services: vec![by_policy.clone(), by_milter.clone()],
        ..Setup::default()
    };
    let _postfix = Postfix::start(&pki, &setup);
    let words = "530 5.7.0 <bob@contoso.com>: Recipient address rejected: Must issue a STARTTLS command first";
    is_told(POSTFIX, Postfix::at(&by_policy), words, &[]);
    is_told(POSTFIX_MILTER, Postfix::at(&by_milter), STARTTLS, &[]);
}

#[test]
fn sendmail() {
    let (pki, service) = (Pki::new(), served());
    let bridge = bridge(&service, "milter");
    let sendmail = Sendmail::start(&pki, bridge.listen);
    is_told(SENDMAIL, sendmail.at(), STARTTLS, &[]);
    let taken = "250 2.1.5 <bob@contoso.com>... Recipient ok";
    is_told(SENDMAIL, sendmail.at(), taken, &["--tls"]);
}

#[test]
fn exim() {
    let (pki, service) = (Pki::new(), served());
    let bridge = bridge(&service, "policy");
    let exim = Exim::start(&pki, bridge.listen);
    is_told(EXIM, exim.at(), STARTTLS, &[]);
}

#[test]
fn haraka() {
    let (pki, service) = (Pki::new(), served());
    let haraka = haraka::asking(&pki, &service);
    // It is told the client's address by a proxy, here.
    let proxy = ["--proxy", "TCP4 192.0.2.7 127.0.0.1 41234 25"];
    is_told(HARAKA, haraka.at(), STARTTLS, &proxy);
}
