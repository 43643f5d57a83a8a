//! The certificates that TLS is spoken with: read at start, and again when their files change.

use std::{path::PathBuf, time::SystemTime};

use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

use super::expiry::{self, Term};
use crate::{
    config::settings,
    live::{Fault, TlsStatus},
    rpc::tls::{
        Tls,
        material::{Material, Pem, Sources, Unusable},
    },
    source::{Files, FilesError, Reading},
    telemetry::Metrics,
};

/// Keeps TLS as the files say, as far as they are good.
#[derive(Debug)]
pub(super) struct Certificates {
    files: Files,
    keeper: Keeper,
}

#[derive(Debug)]
struct Keeper {
    settings: settings::Tls,
    tls: Tls,
    metrics: Metrics,
    status: TlsStatus,
    /// That of the certificate in force.
    term: Sender<Term>,
}

impl Certificates {
    /// Reads the files for the first time. Here they must be good.
    pub(super) fn start(settings: settings::Tls, metrics: Metrics) -> Result<Self, Unusable> {
        let mut files = Files::new("the certificates are", paths(&settings));
        let now = SystemTime::now();
        let material = material(&settings, &files.read(), now)?;
        let status = status(&material, now);
        metrics.tls().loaded(status.clone());
        let keeper = Keeper {
            settings,
            term: Sender::new(term(&material)),
            tls: Tls::new(material, metrics.clone()),
            metrics,
            status,
        };
        Ok(Self { files, keeper })
    }

    /// What connections are to speak.
    pub(super) fn tls(&self) -> Tls {
        self.keeper.tls.clone()
    }

    /// Takes up what the files become, until it is cancelled.
    pub(super) async fn run(self, cancel: CancellationToken) -> Result<(), FilesError> {
        let Self { files, mut keeper } = self;
        let terms = keeper.term.subscribe();
        tokio::select! {
            ended = files.watch(move |reading| keeper.take(&reading), cancel) => ended,
            never = expiry::say(terms) => match never {},
        }
    }
}

impl Keeper {
    /// Lets TLS be spoken with what was read, if that is good; else it stays as it is.
    fn take(&mut self, reading: &Reading) {
        let now = SystemTime::now();
        match material(&self.settings, reading, now) {
            Ok(material) => {
                self.status = status(&material, now);
                self.term.send_replace(term(&material));
                self.tls.replace(material);
            }
            Err(unusable) => self.refuse(unusable, now),
        }
        self.metrics.tls().loaded(self.status.clone());
    }

    fn refuse(&mut self, unusable: Unusable, now: SystemTime) {
        let Unusable {
            place,
            code,
            message,
            help,
        } = unusable;
        let before = self.status.fault.as_ref();
        if before.is_none_or(|before| before.message != message) {
            let until = humantime::format_rfc3339_seconds(self.status.not_after);
            tracing::error!(
                place,
                code,
                help,
                %until,
                "the certificate in force stays, since {message}"
            );
        }
        self.status.fault = Some(Fault {
            since: before.map_or(now, |before| before.since),
            place,
            code: code.to_owned(),
            message,
        });
    }
}

/// The files, in the order in which they are read.
fn paths(settings: &settings::Tls) -> Vec<PathBuf> {
    let ca = settings.client_ca.as_ref().map(|ca| ca.file.clone());
    let pair = [settings.certificate.clone(), settings.key.clone()];
    pair.into_iter().chain(ca).collect()
}

/// What TLS can be spoken with after this `reading`.
fn material(
    settings: &settings::Tls,
    reading: &Reading,
    now: SystemTime,
) -> Result<Material, Unusable> {
    let missing = Err(std::io::ErrorKind::NotFound.into());
    let read = |at| reading.get(at).unwrap_or(&missing);
    let sources = Sources {
        certificate: Pem {
            path: &settings.certificate,
            octets: read(0),
        },
        key: Pem {
            path: &settings.key,
            octets: read(1),
        },
        client_ca: settings.client_ca.as_ref().map(|ca| {
            let pem = Pem {
                path: &ca.file,
                octets: read(2),
            };
            (pem, ca.required)
        }),
        only_1_3: settings.only_1_3,
    };
    Material::new(&sources, now)
}

/// How it is with `material` in force, which is told.
fn status(material: &Material, now: SystemTime) -> TlsStatus {
    let until = humantime::format_rfc3339_seconds(material.not_after);
    let names = material.names.join(" ");
    tracing::info!(names, %until, "the certificate is in force");
    TlsStatus {
        names: material.names.clone(),
        not_after: material.not_after,
        loaded_at: now,
        fault: None,
    }
}

fn term(material: &Material) -> Term {
    Term {
        not_before: material.not_before,
        not_after: material.not_after,
    }
}
