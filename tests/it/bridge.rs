//! A bridge beside a service, both the real binary, and an MTA's side of policy delegation.

#[cfg(test)]
mod doors;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod milter;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod tls;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use crate::running::{PATIENCE, Running};

/// A set in which contosobank.com must come over TLS, and one partner is known by its certificate.
pub(crate) const SET: &str = "version = 1\n[[inbound]]\nname = \"ContosoBank\"\n\
    match.sender_domains = [\"contosobank.com\"]\nrequire.tls = \"encrypt\"\n[[inbound]]\n\
    name = \"Fabrikam\"\nmatch.sender_domains = [\"fabrikam.com\"]\n\
    require.certificate_names = [\"mail.fabrikam.com\"]\n[[inbound]]\nname = \"Scoped\"\n\
    match.sender_domains = [\"scoped.test\"]\nmatch.recipient_domains = [\"strict.test\"]\n\
    require.tls = \"encrypt\"\n[end]\n";

/// What comes of mail from contosobank.com in plaintext.
pub(crate) const REFUSED: &str = "action=530 5.7.0 Must issue a STARTTLS command first";

/// A service with [`SET`].
pub(crate) fn service(settings: &str) -> Running {
    Running::serve_with(&[("default", SET)], settings)
}

/// A bridge that asks these endpoints by policy delegation.
pub(crate) fn bridge(endpoints: &[SocketAddr], service: &str, more: &str) -> Running {
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    Running::bridge(&format!(
        "[service]\nendpoints = {endpoints:?}\n{service}\n{more}\n[[policy]]\nlisten = \"127.0.0.1:0\"\n"
    ))
}

/// A question at RCPT about mail from `sender`, with more attributes.
pub(crate) fn question(sender: &str, more: &str) -> String {
    format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.7\n\
         helo_name=mx.test\nsender={sender}\nrecipient=bob@contoso.com\n{more}\n"
    )
}

/// A connection of an smtpd process.
pub(crate) struct Smtpd(BufReader<TcpStream>);

impl Smtpd {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends octets.
    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(octets.as_ref()).unwrap();
    }

    /// Says that nothing more is sent.
    pub(crate) fn finish(&mut self) {
        self.0.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// The next answer, without its line breaks.
    pub(crate) fn answer(&mut self) -> String {
        let (mut line, mut blank) = (String::new(), String::new());
        self.0.read_line(&mut line).unwrap();
        self.0.read_line(&mut blank).unwrap();
        assert_eq!(blank, "\n", "{line:?}");
        line.trim_end().to_owned()
    }

    /// All that comes until the other side closes the connection; nothing where it resets it.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).ok();
        rest
    }

    /// What is answered to a question.
    pub(crate) fn asks(&mut self, question: &str) -> String {
        self.send(question);
        self.answer()
    }
}

/// The value of a line of the bridge's metrics; 0 where there is none.
pub(crate) fn metric(running: &Running, line: &str) -> u64 {
    let (code, page) = running.page("/metrics");
    assert_eq!(code, 200);
    let value = page
        .lines()
        .find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Waits until a metric has a value.
pub(crate) fn until(running: &Running, line: &str, value: u64) {
    let begin = std::time::Instant::now();
    while metric(running, line) != value {
        assert!(
            begin.elapsed() < PATIENCE,
            "{line}: {}",
            metric(running, line)
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
