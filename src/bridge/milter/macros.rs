//! Macros: what an MTA tells beside its commands. They come before a command, and belong to it.

use std::collections::HashMap;

/// The macros that hold now.
#[derive(Debug, Default)]
pub(super) struct Macros {
    stages: [Stage; STAGES.len()],
}

/// The macros of one command, and whether they came for the one that is about to come.
#[derive(Debug, Default)]
struct Stage {
    values: HashMap<Box<str>, Box<str>>,
    fresh: bool,
}

impl Macros {
    /// Takes the data of a macro frame: the letter of the command, then names and values.
    pub(super) fn take(&mut self, data: &[u8]) {
        let Some((command, pairs)) = data.split_first() else {
            return;
        };
        let Some(stage) = self.stage(*command) else {
            return;
        };
        let mut texts = pairs.split(|octet| *octet == 0);
        stage.values.clear();
        stage.fresh = true;
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            let name = String::from_utf8_lossy(name);
            let bare = name
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'));
            let bare = bare.unwrap_or(&name);
            if ASKED
                .iter()
                .any(|(_, asked)| asked.split(' ').any(|asked| named(asked) == bare))
            {
                let value = String::from_utf8_lossy(value).into();
                stage.values.insert(bare.into(), value);
            }
        }
    }

    /// A command begins: what was told for an earlier one of its kind holds no longer, nor what
    /// was told for the commands behind it.
    pub(super) fn begin(&mut self, command: u8) {
        let Some(at) = STAGES.iter().position(|stage| *stage == command) else {
            return;
        };
        for (place, stage) in self.stages.iter_mut().enumerate().skip(at) {
            if place > at || !stage.fresh {
                stage.values.clear();
            }
            stage.fresh = false;
        }
    }

    /// The message ended: what was told about it holds no longer.
    pub(super) fn end_message(&mut self) {
        for stage in self.stages.iter_mut().skip(2) {
            *stage = Stage::default();
        }
    }

    /// The value of a macro, as it was told last; none where it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let told = self.stages.iter().rev();
        let mut told = told.filter_map(|stage| stage.values.get(name));
        told.next()
            .map(|value| &**value)
            .filter(|value| !value.is_empty())
    }

    fn stage(&mut self, command: u8) -> Option<&mut Stage> {
        let at = STAGES.iter().position(|stage| *stage == command)?;
        self.stages.get_mut(at)
    }
}

fn named(asked: &str) -> &str {
    asked.trim_start_matches('{').trim_end_matches('}')
}

/// The commands in the order of a session.
const STAGES: [u8; 3] = [b'C', b'H', b'M'];

/// What is asked for: the number of each command in the negotiation, and its macros. Why twice
/// over: a client may go on after STARTTLS without a second EHLO.
pub(super) const ASKED: [(u32, &str); 3] = [(0, "j v"), (1, TLS), (2, TLS_AND_ID)];

const TLS: &str = "{tls_version} {cipher} {verify} {cert_subject} {cert_issuer} {cn_subject} \
                   {cert_fp}";
const TLS_AND_ID: &str = "i {tls_version} {cipher} {verify} {cert_subject} {cert_issuer} \
                          {cn_subject} {cert_fp}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_holds_until_its_command_comes_again() {
        let mut macros = Macros::default();
        macros.take(b"Cv\0Postfix 3.7.11\0j\0mx.gateway.test\0");
        macros.begin(b'C');
        macros.take(b"H{tls_version}\0TLSv1.2\0{cipher}\0\0");
        macros.begin(b'H');
        assert_eq!(macros.get("tls_version"), Some("TLSv1.2"));
        assert_eq!(macros.get("cipher"), None);
        macros.take(b"M{tls_version}\0TLSv1.3\0i\x004cF\0");
        macros.begin(b'M');
        assert_eq!(macros.get("tls_version"), Some("TLSv1.3"));
        macros.end_message();
        assert_eq!(
            (macros.get("tls_version"), macros.get("i")),
            (Some("TLSv1.2"), None)
        );
        macros.begin(b'H');
        assert_eq!(
            (macros.get("tls_version"), macros.get("v")),
            (None, Some("Postfix 3.7.11"))
        );
    }

    #[test]
    fn what_was_not_asked_for_is_not_kept() {
        let mut macros = Macros::default();
        macros.take(b"C{mail_host}\0x\0v\0");
        macros.take(b"");
        macros.take(b"Rv\0x\0");
        assert_eq!((macros.get("mail_host"), macros.get("v")), (None, None));
    }
}
