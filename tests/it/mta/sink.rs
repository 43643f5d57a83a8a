//! A next hop: it takes mail, and keeps what came and how.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, MutexGuard},
    time::Instant,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use super::lines::{Lines, patient};
use crate::{running::PATIENCE, transport::authority::Pair};

/// A server that takes any mail; it ends with the process.
pub(crate) struct Sink {
    address: SocketAddr,
    kept: Arc<Kept>,
}

/// A mail that was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mail {
    pub(crate) over_tls: bool,
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) body: String,
}

#[derive(Default)]
#[expect(
    clippy::disallowed_types,
    reason = "a thread of the test takes the mail"
)]
struct Kept {
    came: std::sync::Mutex<Came>,
    more: Condvar,
}

#[derive(Default)]
struct Came {
    mails: Vec<Mail>,
    in_the_clear: String,
}

impl Sink {
    /// Listens at `address`, and offers TLS with this certificate, where there is one.
    pub(crate) fn start(address: SocketAddr, tls: Option<&Pair>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::new(Kept::default());
        let tls = tls.map(|pair| Arc::new(config(pair)));
        let keeps = Arc::clone(&kept);
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let (tls, keeps) = (tls.clone(), Arc::clone(&keeps));
                std::thread::spawn(move || serve(&tcp, tls, &keeps));
            }
        });
        Self { address, kept }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mail so far.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.kept.came().mails.clone()
    }

    /// Waits until so much mail is there.
    pub(crate) fn until(&self, count: usize) -> Vec<Mail> {
        let deadline = Instant::now() + PATIENCE;
        let mut came = self.kept.came();
        while came.mails.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "too little mail: {:?}", came.mails);
            came = self.kept.more.wait_timeout(came, left).unwrap().0;
        }
        came.mails.clone()
    }

    /// All that came in the clear.
    pub(crate) fn plaintext(&self) -> String {
        self.kept.came().in_the_clear.clone()
    }
}

impl Kept {
    fn came(&self) -> MutexGuard<'_, Came> {
        self.came.lock().unwrap()
    }
}

fn config(pair: &Pair) -> ServerConfig {
    let chain = vec![CertificateDer::from(pair.der.clone())];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

fn serve(tcp: &TcpStream, tls: Option<Arc<ServerConfig>>, kept: &Kept) {
    let mut clear = Dialogue {
        lines: Lines::over(patient(tcp)),
        over_tls: false,
        offers: tls.is_some(),
        kept,
    };
    if !clear.lines.send(b"220 sink.test ESMTP\r\n") || !clear.asked_for_tls() {
        return;
    }
    let Some(config) = tls else { return };
    let session = ServerConnection::new(config).unwrap();
    let mut encrypted = Dialogue {
        lines: Lines::over(StreamOwned::new(session, patient(tcp))),
        over_tls: true,
        offers: false,
        kept,
    };
    encrypted.asked_for_tls();
}

struct Dialogue<'a> {
    lines: Lines,
    over_tls: bool,
    offers: bool,
    kept: &'a Kept,
}

impl Dialogue<'_> {
    /// Takes mail until the peer goes away or, which is answered so, over to TLS.
    fn asked_for_tls(&mut self) -> bool {
        let mut mail = self.mail();
        while let Some(line) = self.next() {
            let verb = line.split([' ', ':']).next().unwrap().to_ascii_uppercase();
            let reply = match verb.as_str() {
                "EHLO" if self.offers => "250-sink.test\r\n250 STARTTLS\r\n",
                "EHLO" | "HELO" => "250 sink.test\r\n",
                "STARTTLS" if self.offers => return self.lines.send(b"220 go ahead\r\n"),
                "MAIL" => {
                    mail = self.mail();
                    mail.sender = address(&line);
                    "250 fine\r\n"
                }
                "RCPT" => {
                    mail.recipients.push(address(&line));
                    "250 fine\r\n"
                }
                "DATA" => {
                    self.lines.send(b"354 go ahead\r\n");
                    while let Some(line) = self.next().filter(|line| line != ".") {
                        mail.body.push_str(&line);
                        mail.body.push('\n');
                    }
                    self.kept.came().mails.push(mail.clone());
                    self.kept.more.notify_all();
                    "250 taken\r\n"
                }
                "RSET" | "NOOP" => "250 fine\r\n",
                "QUIT" => "221 bye\r\n",
                _ => "502 not here\r\n",
            };
            if !self.lines.send(reply.as_bytes()) {
                return false;
            }
        }
        false
    }

    fn next(&mut self) -> Option<String> {
        let line = self.lines.next()?;
        if !self.over_tls {
            let mut came = self.kept.came();
            came.in_the_clear.push_str(&line);
            came.in_the_clear.push('\n');
        }
        Some(line)
    }

    fn mail(&self) -> Mail {
        Mail {
            over_tls: self.over_tls,
            sender: String::new(),
            recipients: Vec::new(),
            body: String::new(),
        }
    }
}

/// What a command has in angle brackets.
fn address(line: &str) -> String {
    let inside = line
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    inside.map_or_else(String::new, |(address, _)| address.to_owned())
}
