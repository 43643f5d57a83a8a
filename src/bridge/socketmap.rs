//! The protocol socketmap: Postfix's TLS policy and routes of mail that it is about to send.
//!
//! The map `tls` says what a next hop must meet, the map `transport` which smart host it is. Where
//! no connector says anything, the answer is NOTFOUND, so that what stands behind us decides (DANE,
//! MTA-STS, the settings of Postfix). Where it cannot be known, mail waits: nothing leaves by a way
//! that nobody decided.

mod demand;
mod frame;
mod hosts;

use std::time::Instant;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub use self::frame::{Frame, framed};
use self::{
    demand::{Demand, Unknown},
    hosts::Hosts,
};
use super::{Desk, facts::plain_text};
use crate::{
    config::{listen::Endpoint, settings::bridge::Socketmap},
    mail::Recipient,
    rpc::pb::{
        CheckOutboundRequest, CheckOutboundResponse, SmartHost, SmartHosts, Verdict,
        delivery::Route,
    },
    telemetry::bridge::{Answered, Closed, Protocol},
};

/// The two maps of one `[[socketmap]]`.
#[derive(Debug)]
pub struct Maps {
    settings: Socketmap,
    hosts: Hosts,
}

/// What Postfix is told.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Told {
    /// This is what holds.
    Found(String),
    /// Others decide.
    NotFound,
    /// There is no such map.
    Never(&'static str),
    /// It cannot be known now: mail waits.
    NotNow(String),
}

impl Maps {
    /// Those of `settings`.
    pub fn new(settings: Socketmap) -> Self {
        Self {
            settings,
            hosts: Hosts::default(),
        }
    }

    /// Where Postfix asks.
    pub(super) fn listen(&self) -> &[Endpoint] {
        &self.settings.listen
    }

    async fn answer(&self, question: &str, desk: &Desk) -> Told {
        let Some((map, key)) = question.split_once(' ') else {
            return Told::Never("a question is the name of a map, a blank, and a key");
        };
        match map {
            "tls" => self.tls(key, desk).await,
            "transport" => self.transport(key, desk).await,
            _ => Told::Never("the maps are tls and transport"),
        }
    }

    /// What a session with the next hop `key` must meet.
    async fn tls(&self, key: &str, desk: &Desk) -> Told {
        // Parents: the whole domain was asked about before, and its connector had its say.
        if key.is_empty() || key.starts_with('.') {
            return Told::NotFound;
        }
        // No domain of a recipient, but a host that mail is routed to.
        if key.starts_with('[') || key.contains(':') {
            return self.tls_of_host(key, desk).await;
        }
        let answer = match self.ask(key, desk).await {
            Ok(answer) => answer,
            Err(told) => return told,
        };
        let Some(connector) = &answer.connector else {
            return Told::NotFound;
        };
        if let Some(Route::SmartHosts(_)) = route(&answer) {
            return Told::NotNow(format!(
                "connector {} sends this through its smart hosts: have transport_maps ask the map \
                 transport",
                connector.name
            ));
        }
        match demand(&answer) {
            Ok(Some(demand)) => Told::Found(demand.to_string()),
            Ok(None) => Told::NotFound,
            Err(Unknown) => unknown(),
        }
    }

    /// The same of a smart host, which several connectors may share: what meets them all.
    async fn tls_of_host(&self, host: &str, desk: &Desk) -> Told {
        let mut all: Option<Demand> = None;
        let mut routed = false;
        for (connector, domain) in self.hosts.through(host) {
            let answer = match self.ask(&domain, desk).await {
                Ok(answer) => answer,
                Err(told) => return told,
            };
            let same = answer
                .connector
                .as_ref()
                .is_some_and(|it| it.name == connector);
            let through = matches!(route(&answer), Some(Route::SmartHosts(SmartHosts { hosts }))
                if hosts.iter().any(|it| next_hop(it) == host));
            if !same || !through {
                self.hosts.forget(host, &connector);
                continue;
            }
            routed = true;
            let Ok(demand) = demand(&answer) else {
                return unknown();
            };
            all = match (all, demand) {
                (Some(all), Some(demand)) => match all.and(demand) {
                    Some(both) => Some(both),
                    None => {
                        return Told::NotNow(format!(
                            "connector {connector} and another demand different certificates of \
                             {host}: give each a port of its own, or one demand"
                        ));
                    }
                },
                (all, demand) => all.or(demand),
            };
        }
        match all {
            Some(demand) => Told::Found(demand.to_string()),
            None if routed => Told::NotFound,
            None => Told::NotNow(format!(
                "no connector routes to {host} since the bridge started: if it is yours, write its \
                 level in a table before this one"
            )),
        }
    }

    /// Which smart host mail to `key` goes to.
    async fn transport(&self, key: &str, desk: &Desk) -> Told {
        // What Postfix asks beside addresses: its default, and parents.
        if matches!(key, "" | "*") || key.starts_with('.') {
            return Told::NotFound;
        }
        // No connector can apply to what is no address; senders are looked up here, too.
        let Ok(recipient) = Recipient::parse_or_domain(key) else {
            return Told::NotFound;
        };
        let domain = recipient.domain();
        let Some(domain) = domain else {
            return Told::NotFound;
        };
        let own = &self.settings.own_domains;
        if own.iter().any(|pattern| pattern.covers(Some(domain))) {
            return Told::NotFound;
        }
        let answer = match self.ask(domain.as_str(), desk).await {
            Ok(answer) => answer,
            Err(told) => return told,
        };
        let (Some(connector), Some(Route::SmartHosts(SmartHosts { hosts }))) =
            (&answer.connector, route(&answer))
        else {
            return Told::NotFound;
        };
        let hosts: Vec<_> = hosts.iter().map(next_hop).collect();
        for host in &hosts {
            if !self.hosts.keep(host, &connector.name, domain.as_str()) {
                return Told::NotNow("there are more smart hosts than a bridge keeps".to_owned());
            }
        }
        if hosts.is_empty() {
            return unknown();
        }
        Told::Found(format!("{}:{}", self.settings.transport, hosts.join(", ")))
    }

    /// What the service says of mail to `domain`; or what Postfix is told where that is nothing.
    async fn ask(&self, domain: &str, desk: &Desk) -> Result<CheckOutboundResponse, Told> {
        let question = CheckOutboundRequest {
            connector_set: self.settings.connector_set.clone().unwrap_or_default(),
            rcpt_to: domain.to_owned(),
            ..CheckOutboundRequest::default()
        };
        let answer = desk
            .outbound(question)
            .await
            .map_err(|unanswered| Told::NotNow(format!("Postern gave no answer: {unanswered}")))?;
        match Verdict::try_from(answer.verdict) {
            Ok(Verdict::Accept | Verdict::Conditional) => Ok(answer),
            _ => Err(match &answer.smtp_reply {
                Some(reply) => Told::NotNow(reply.text.clone()),
                None => unknown(),
            }),
        }
    }
}

impl Told {
    fn answered(&self) -> Answered {
        match self {
            Self::Found(_) => Answered::Passed,
            Self::NotFound => Answered::NotFound,
            Self::Never(_) => Answered::Refused,
            Self::NotNow(_) => Answered::Deferred,
        }
    }

    fn reply(&self) -> String {
        match self {
            Self::Found(value) if value.len() <= LONGEST_REPLY => format!("OK {value}"),
            Self::Found(_) => "TEMP the demand is longer than Postfix reads".to_owned(),
            Self::NotFound => "NOTFOUND ".to_owned(),
            Self::Never(why) => format!("PERM {why}"),
            Self::NotNow(why) => format!("TEMP {}", plain_text(why)),
        }
    }
}

/// Answers what comes over `stream` until the peer leaves, has to be cut, or `drain` is cancelled
/// and no question is in hand.
pub(super) async fn converse<S>(
    mut stream: S,
    desk: &Desk,
    maps: &Maps,
    drain: &CancellationToken,
) -> Closed
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut octets = Vec::with_capacity(64);
    loop {
        if octets.is_empty() {
            tokio::select! {
                biased;
                begun = timeout(desk.idle(), stream.read_buf(&mut octets)) => match begun {
                    Ok(Ok(0) | Err(_)) => return Closed::Peer,
                    Ok(Ok(_)) => {}
                    Err(_) => return Closed::Idle,
                },
                () = drain.cancelled() => return Closed::Drained,
            }
        }
        let question = match timeout(desk.request_timeout(), whole(&mut stream, &mut octets)).await
        {
            Ok(Ok(question)) => question,
            Ok(Err(closed)) => return closed,
            Err(_) => return Closed::Late,
        };
        let begin = Instant::now();
        let told = Box::pin(maps.answer(&question, desk)).await;
        if let Told::NotNow(why) = &told {
            tracing::warn!(
                why = plain_text(why),
                question = plain_text(&question),
                "mail waits"
            );
        }
        let reply = framed(&told.reply());
        match timeout(desk.request_timeout(), stream.write_all(reply.as_bytes())).await {
            Ok(Ok(())) => desk.answered(Protocol::Socketmap, told.answered(), begin.elapsed()),
            Ok(Err(_)) => return Closed::Peer,
            Err(_) => return Closed::Late,
        }
    }
}

/// Reads the rest of the question that `octets` begin, and takes it out of them.
async fn whole<S>(stream: &mut S, octets: &mut Vec<u8>) -> Result<String, Closed>
where
    S: AsyncRead + Send + Unpin,
{
    loop {
        match Frame::of(octets) {
            Frame::Garbled => return Err(Closed::Garbled),
            Frame::TooLarge => return Err(Closed::TooLarge),
            Frame::Partial => {}
            Frame::Whole(text) => {
                let end = text.end;
                let question = octets.get(text).unwrap_or_default().to_vec();
                octets.drain(..=end);
                return String::from_utf8(question).map_err(|_| Closed::Garbled);
            }
        }
        match stream.read_buf(octets).await {
            Ok(0) => return Err(Closed::Garbled),
            Ok(_) => {}
            Err(_) => return Err(Closed::Peer),
        }
    }
}

fn route(answer: &CheckOutboundResponse) -> Option<&Route> {
    answer.delivery.as_ref()?.route.as_ref()
}

/// What the connector demands; an answer without any is none that mail could leave by.
fn demand(answer: &CheckOutboundResponse) -> Result<Option<Demand>, Unknown> {
    let delivery = answer.delivery.as_ref();
    let tls = delivery.and_then(|delivery| delivery.tls.as_ref());
    Demand::of(tls.ok_or(Unknown)?)
}

/// A smart host as Postfix writes it: brackets, since no MX is looked up.
fn next_hop(host: &SmartHost) -> String {
    format!("[{}]:{}", host.host, host.port)
}

fn unknown() -> Told {
    Told::NotNow("Postern demands what this bridge does not know: bring it up to date".to_owned())
}

/// How long a value may be: Postfix reads 100,000 octets.
const LONGEST_REPLY: usize = 90_000;
