//! How gateways get to the service: over TLS, through the file of a socket, in plaintext.

pub(crate) mod authority;
mod clients;
mod expiry;
mod handshakes;
mod hangup;
mod http;
mod limits;
mod renewal;
mod sockets;
mod starting;

use std::{fs, path::Path, time::Instant};

use postern::rpc::{
    client::{Client, ClientOptions, DialError},
    pb,
};
use tempfile::TempDir;
use tokio_stream::StreamExt as _;

use self::authority::{Authority, Pair};
use crate::running::{PATIENCE, Running, block_on, demands_tls, plaintext};

/// The settings of TLS with the files that [`Served`] writes.
const TLS: &str = "[server.tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n";
const CLIENT_CA: &str = "client_ca = \"clients.crt\"\n";

/// A server with TLS on 127.0.0.1, its authority, and that of its clients.
struct Served {
    running: Running,
    authority: Authority,
    clients: Authority,
}

impl Served {
    /// With `settings` after those of TLS.
    fn new(settings: &str) -> Self {
        Self::at(settings, &[])
    }

    /// Listening at `places` besides.
    fn at(settings: &str, places: &[&str]) -> Self {
        let folder = folder();
        let (authority, clients) = (Authority::new("Servers"), Authority::new("Clients"));
        authority.server("first").write(folder.path(), "tls");
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        fs::write(folder.path().join("clients.crt"), clients.pem()).unwrap();
        Self {
            running: Running::serve_at(folder, &format!("{TLS}{settings}"), places),
            authority,
            clients,
        }
    }

    fn path(&self) -> &Path {
        self.running.folder.path()
    }

    /// Who takes the server for what it is, and shows `pair`.
    fn options(&self, pair: Option<&Pair>) -> ClientOptions {
        let identity = pair.map(|pair| {
            let (certificate, key) = pair.write(self.path(), "client");
            (certificate, key)
        });
        ClientOptions {
            server: format!("https://{}", self.running.listen),
            ca: Some(self.path().join("ca.crt")),
            identity,
            ..ClientOptions::default()
        }
    }

    /// Waits until so many handshakes have come to `result`: a peer may see its end before that is
    /// counted. A client that asks why it was refused makes one more.
    fn until_handshakes(&self, result: &str, count: u64) {
        let begin = Instant::now();
        while self.handshakes(result) < count {
            assert!(
                begin.elapsed() < PATIENCE,
                "{}",
                self.running.page("/metrics").1
            );
        }
    }

    /// How often handshakes came to `result`.
    fn handshakes(&self, result: &str) -> u64 {
        metric(
            &self.running,
            &format!("postern_tls_handshakes_total{{result=\"{result}\"}}"),
        )
        .unwrap()
    }
}

/// A folder with a set in `connectors`.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("connectors")).unwrap();
    fs::write(
        folder.path().join("connectors/default.toml"),
        demands_tls("one"),
    )
    .unwrap();
    folder
}

/// What a metric stands at, where it is there.
fn metric(running: &Running, name: &str) -> Option<u64> {
    let (_, page) = running.page("/metrics");
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")))?;
    let value: f64 = line.rsplit(' ').next()?.parse().unwrap();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts and times"
    )]
    Some(value as u64)
}

/// A question on a connection of its own: the answer, or why there is none.
async fn ask(options: &ClientOptions) -> Result<pb::CheckInboundResponse, DialError> {
    let mut client = Client::connect(options).await?;
    match client.decisions.check_inbound(plaintext()).await {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => Err(client
            .unanswered(&status)
            .await
            .unwrap_or_else(|| panic!("{status}"))),
    }
}

/// Why there is no answer.
fn refused(options: &ClientOptions) -> String {
    block_on(ask(options)).unwrap_err().to_string()
}

#[test]
fn decisions_are_the_same_however_they_are_asked_for() {
    let plain = Running::serve(&[("default", &demands_tls("one"))]);
    let folder = TempDir::new().unwrap();
    let socket = format!("unix:{}", folder.path().join("postern.sock").display());
    let served = Served::at("", &[&socket]);
    let ways = [
        ClientOptions {
            server: plain.listen.to_string(),
            ..ClientOptions::default()
        },
        served.options(None),
        ClientOptions {
            server: socket,
            ..ClientOptions::default()
        },
    ];
    let answers = block_on(async {
        let mut answers = Vec::new();
        for way in &ways {
            let mut client = Client::connect(way).await.unwrap();
            let inbound = client.decisions.check_inbound(plaintext()).await.unwrap();
            let long = pb::CheckInboundRequest {
                // More than fits into one frame, so that it takes the general way.
                helo: "x".repeat(40_000),
                ..plaintext()
            };
            let long = client.decisions.check_inbound(long).await;
            let long = long
                .map(tonic::Response::into_inner)
                .map_err(|status| status.code());
            let question = pb::check_stream_request::Question::Inbound(plaintext());
            let questions = (0..100).map(move |id| pb::CheckStreamRequest {
                id,
                question: Some(question.clone()),
            });
            let stream = client.decisions.check_stream(tokio_stream::iter(questions));
            let mut stream = stream.await.unwrap().into_inner();
            let mut streamed = Vec::new();
            while let Some(answer) = stream.next().await {
                streamed.push(answer.unwrap());
            }
            let question = pb::ExplainInboundRequest {
                facts: Some(plaintext()),
                connectors: Vec::new(),
            };
            let explained = client.explanations.explain_inbound(question).await;
            let explained = explained.unwrap().into_inner();
            let mut inbound = inbound.into_inner();
            // When it was loaded is each server's own.
            inbound.revision = None;
            answers.push(format!(
                "{:?} {:?} {} {:?}",
                inbound.verdict(),
                inbound.rejections,
                streamed.len(),
                (long.map(|long| long.rejections), explained.chains)
            ));
        }
        answers
    });
    assert!(answers[0].starts_with("Reject"), "{}", answers[0]);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}
