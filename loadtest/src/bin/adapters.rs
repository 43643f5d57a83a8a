//! Asks one question after the other in the way of each adapter, over so many connections, and tells
//! how many were answered and how long they took: `adapters KIND ADDRESS CONNECTIONS SECONDS`.
//!
//! Every answer is looked at: anything but the one that is expected ends it with an error.

use std::{
    env,
    error::Error,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use postern::rpc::pb::{
    CheckInboundRequest, TlsSession, Verdict,
    policy_decision_service_client::PolicyDecisionServiceClient,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    sync::Barrier,
    task::JoinSet,
};

type Fault = Box<dyn Error + Send + Sync>;

/// A way to ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Grpc,
    Http,
    Policy,
    Exim,
    Socketmap,
    Milter,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "grpc" => Self::Grpc,
            "http" => Self::Http,
            "policy" | "policy-unix" => Self::Policy,
            "exim" => Self::Exim,
            "socketmap" => Self::Socketmap,
            "milter" => Self::Milter,
            _ => return None,
        })
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it tells what it measured"
)]
fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("adapters: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<serde_json::Value, Fault> {
    let [kind, address, connections, seconds] = arguments else {
        return Err("adapters KIND ADDRESS CONNECTIONS SECONDS".into());
    };
    let kind = Kind::named(kind).ok_or_else(|| format!("`{kind}` is no kind"))?;
    let connections: usize = connections.parse()?;
    let time = Duration::from_secs_f64(seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut asking = JoinSet::new();
        // All are connected before the first question.
        let ready = Arc::new(Barrier::new(connections + 1));
        for at in 0..connections {
            let when = When {
                ready: Arc::clone(&ready),
                time,
            };
            asking.spawn(ask(kind, address.clone(), at, when));
        }
        let begin = tokio::select! {
            _ = ready.wait() => Instant::now(),
            Some(failed) = asking.join_next() => {
                failed??;
                return Err("it ended before it began".into());
            }
        };
        let mut took: Vec<Duration> = Vec::new();
        while let Some(asked) = asking.join_next().await {
            took.extend(asked??);
        }
        let seconds = begin.elapsed().as_secs_f64();
        took.sort_unstable();
        let at = |share: usize| {
            let place = (took.len() * share / 1000).min(took.len().saturating_sub(1));
            took.get(place).map_or(0.0, |it| it.as_secs_f64() * 1e6)
        };
        Ok(serde_json::json!({
            "calls": took.len(), "seconds": seconds, "p50_us": at(500), "p99_us": at(990),
        }))
    })
}

/// When to ask: once all are ready, for so long.
struct When {
    ready: Arc<Barrier>,
    time: Duration,
}

impl When {
    async fn begins(self) -> Instant {
        self.ready.wait().await;
        Instant::now() + self.time
    }
}

/// Asks over one connection until it is time; how long each answer took.
async fn ask(kind: Kind, address: String, at: usize, when: When) -> Result<Vec<Duration>, Fault> {
    let mut took = Vec::new();
    match kind {
        Kind::Grpc => {
            let mut client =
                PolicyDecisionServiceClient::connect(format!("http://{address}")).await?;
            let end = when.begins().await;
            while Instant::now() < end {
                let question = question(at + took.len());
                let begin = Instant::now();
                let answer = client.check_inbound(question).await?.into_inner();
                took.push(begin.elapsed());
                expect(answer.verdict() == Verdict::Accept, &[])?;
            }
        }
        Kind::Exim => {
            let end = when.begins().await;
            while Instant::now() < end {
                let text = attributes(at + took.len(), "policy_context=exim\nx_ccert_verified=0\n");
                let begin = Instant::now();
                let mut stream = TcpStream::connect(&address).await?;
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await?;
                took.push(begin.elapsed());
                expect(answer.starts_with(b"action=DUNNO"), &answer)?;
            }
        }
        _ => {
            if let Some(path) = address.strip_prefix("unix:") {
                return over(kind, UnixStream::connect(path).await?, at, when).await;
            }
            let stream = TcpStream::connect(&address).await?;
            stream.set_nodelay(true)?;
            return over(kind, stream, at, when).await;
        }
    }
    Ok(took)
}

/// The same over a stream of octets that is kept.
async fn over(
    kind: Kind,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    at: usize,
    when: When,
) -> Result<Vec<Duration>, Fault> {
    let mut took = Vec::new();
    if kind == Kind::Milter {
        let offer = [0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff];
        stream.write_all(&frame(b'O', &offer)).await?;
        hear(&mut stream).await?;
        let connect = frame(b'C', b"mx.adatum.test\x004\x30\x39192.0.2.7\0");
        stream.write_all(&connect).await?;
        stream.write_all(&frame(b'H', b"mx.adatum.test\0")).await?;
    }
    let end = when.begins().await;
    while Instant::now() < end {
        let number = at + took.len();
        let asked = match kind {
            Kind::Http => over_http(number),
            Kind::Socketmap => netstring(&format!("tls partner{}.test", number % SENDERS)),
            Kind::Milter => [
                frame(b'A', b""),
                // One that no connector is for: TLS would come as macros, which nobody sends here.
                frame(
                    b'M',
                    format!("<ann@{}.test>\0", number % SENDERS).as_bytes(),
                ),
                frame(b'R', b"<bob@contoso.com>\0"),
            ]
            .concat(),
            Kind::Policy | Kind::Exim | Kind::Grpc => attributes(number, "").into_bytes(),
        };
        let begin = Instant::now();
        stream.write_all(&asked).await?;
        let answer = match kind {
            Kind::Http => http_answer(&mut stream).await?,
            Kind::Socketmap => until(&mut stream, b",").await?,
            Kind::Milter => hear(&mut stream).await?,
            Kind::Policy | Kind::Exim | Kind::Grpc => until(&mut stream, b"\n\n").await?,
        };
        took.push(begin.elapsed());
        let good = match kind {
            Kind::Http => answer.windows(14).any(|it| it == b"VERDICT_ACCEPT"),
            Kind::Socketmap => answer.ends_with(b":NOTFOUND ,"),
            Kind::Milter => answer == b"c",
            Kind::Policy | Kind::Exim | Kind::Grpc => answer == b"action=DUNNO\n\n",
        };
        expect(good, &answer)?;
    }
    Ok(took)
}

fn expect(good: bool, answer: &[u8]) -> Result<(), Fault> {
    let told = || format!("not the expected answer: {}", answer.escape_ascii()).into();
    good.then_some(()).ok_or_else(told)
}

/// How many senders ask: one question for ever would flatter caches.
const SENDERS: usize = 500;

fn sender(number: usize) -> String {
    format!("ann@partner{}.test", number % SENDERS)
}

fn question(number: usize) -> CheckInboundRequest {
    CheckInboundRequest {
        client_ip: "192.0.2.7".to_owned(),
        helo: "mx.adatum.test".to_owned(),
        mail_from: sender(number),
        rcpt_to: "bob@contoso.com".to_owned(),
        tls: Some(TlsSession {
            version: "TLSv1.3".to_owned(),
            ..TlsSession::default()
        }),
        ..CheckInboundRequest::default()
    }
}

fn attributes(number: usize, first: &str) -> String {
    format!(
        "request=smtpd_access_policy\n{first}protocol_state=RCPT\nprotocol_name=ESMTP\n\
         client_address=192.0.2.7\nhelo_name=mx.adatum.test\nsender={}\nrecipient=bob@contoso.com\n\
         instance=1.{number}.0\nencryption_protocol=TLSv1.3\nencryption_cipher=TLS_AES_128_GCM_SHA256\n\n",
        sender(number)
    )
}

fn over_http(number: usize) -> Vec<u8> {
    let body = serde_json::json!({
        "clientIp": "192.0.2.7", "helo": "mx.adatum.test", "mailFrom": sender(number),
        "rcptTo": "bob@contoso.com", "tls": {"version": "TLSv1.3"},
    })
    .to_string();
    format!(
        "POST /postern.v1.PolicyDecisionService/CheckInbound HTTP/1.1\r\nhost: postern\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn netstring(text: &str) -> Vec<u8> {
    format!("{}:{text},", text.len()).into_bytes()
}

fn frame(letter: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), &[letter][..], data].concat()
}

/// What a milter says, without its length.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Fault> {
    let length = stream.read_u32().await?;
    let mut said = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut said).await?;
    Ok(said)
}

/// What comes, up to and with these octets at its end.
async fn until(stream: &mut (impl AsyncRead + Unpin), end: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::with_capacity(512);
    while !all.ends_with(end) {
        if stream.read_buf(&mut all).await? == 0 {
            return Err("the connection was closed".into());
        }
    }
    Ok(all)
}

/// The body of an answer.
async fn http_answer(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut all).await? == 0 {
            return Err("the connection was closed".into());
        }
        let Some(head) = all.windows(4).position(|it| it == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(all.get(..head).unwrap_or_default()).to_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .ok_or("an answer without its length")?;
        let whole = head + 4 + length.parse::<usize>()?;
        if all.len() >= whole {
            return Ok(all.split_off(head + 4));
        }
    }
}
