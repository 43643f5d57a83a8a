//! Which settings hold: flag over variable over file over what is built in.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::config::{
    finding::Finding,
    listen::{Endpoint, EndpointError, Listen},
    render,
    settings::{Overrides, Settings, otel, secret::without_secrets},
};

/// What the flags of a call say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--connectors`.
    pub(crate) connectors: Option<PathBuf>,
    /// `--listen`, as often as it was given.
    pub(crate) listen: Vec<Endpoint>,
    /// `--admin-listen`.
    pub(crate) admin_listen: Option<SocketAddr>,
}

/// The settings that hold, and where they come from.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// They.
    pub(crate) settings: Settings,
    /// The settings file; none: the built-in ones.
    pub(crate) file: Option<PathBuf>,
    /// What is worth pointing out, one line each.
    pub(crate) warnings: Vec<String>,
}

impl Resolved {
    /// Where the settings come from, in words.
    pub(crate) fn from(&self) -> String {
        self.file
            .as_ref()
            .map_or_else(|| "built in".into(), |file| file.display().to_string())
    }
}

/// What a process finds around it: variables, and places where a settings file may be.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    variables: Vec<(OsString, OsString)>,
    places: Vec<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(crate) fn of_process() -> Self {
        let places = PLACES.map(PathBuf::from).to_vec();
        Self {
            variables: env::vars_os().collect(),
            places,
        }
    }

    /// The settings that hold with `flags`.
    pub(crate) fn resolve(&self, flags: &Flags) -> Result<Resolved, SettingsError> {
        let file = self.file(flags)?;
        let mut settings = match &file {
            Some(file) => read(file)?,
            None => Settings::default(),
        };
        let overrides = Overrides {
            listen: if flags.listen.is_empty() {
                self.endpoints("POSTERN_LISTEN")?
            } else {
                flags.listen.clone()
            },
            admin_listen: flags
                .admin_listen
                .map_or_else(|| self.listen("POSTERN_ADMIN_LISTEN"), |it| Ok(Some(it)))?,
            connectors: flags
                .connectors
                .clone()
                .or_else(|| self.path("POSTERN_CONNECTORS")),
        };
        overrides.apply(&mut settings);
        let of_otel = |name: &str| {
            let value = self.variable(name)?;
            Some(value.to_string_lossy().into_owned())
        };
        let mut warnings = self.unknown();
        warnings.extend(otel::apply(&mut settings.otlp, &of_otel));
        if settings.shared_with_admin().is_some() {
            return Err(SettingsError::Message(format!(
                "gateways and the admin listener cannot both have `{}`: write another port for one of the two",
                settings.admin_listen
            )));
        }
        if let Some(shared) = settings.shared_by_http() {
            return Err(SettingsError::Message(format!(
                "`{shared}` of `http_listen` is where something else is asked: write another port"
            )));
        }
        if let Some(exposed) = settings.exposed_plaintext() {
            return Err(SettingsError::Message(format!(
                "`{exposed}` would take plaintext from other machines: add `[server.tls]` to the \
                 settings, or `allow_plaintext = true` to `[server]` where nobody else is on the way"
            )));
        }
        if let Some(exposed) = settings.exposed_admin() {
            return Err(SettingsError::Message(format!(
                "`{exposed}` would show operators' pages to other machines in plaintext: listen on \
                 loopback, behind something that speaks TLS, or write `allow_plaintext = true` in \
                 `[admin]` of the settings where nobody else is on the way"
            )));
        }
        Ok(Resolved {
            settings,
            file,
            warnings,
        })
    }

    /// The settings file: the one that is named, else the first that is there.
    fn file(&self, flags: &Flags) -> Result<Option<PathBuf>, SettingsError> {
        if let Some(named) = flags.config.clone().or_else(|| self.path("POSTERN_CONFIG")) {
            return Ok(Some(named));
        }
        for place in &self.places {
            match fs::metadata(place) {
                Ok(_) => return Ok(Some(place.clone())),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::NotADirectory => {}
                // Why: a file that may be there and cannot be seen must not be passed over.
                Err(error) => return Err(unreadable(place, &error)),
            }
        }
        Ok(None)
    }

    /// A variable that is set; an empty one counts as unset.
    fn variable(&self, name: &str) -> Option<&OsStr> {
        let (_, value) = self.variables.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from)
    }

    fn listen(&self, name: &str) -> Result<Option<SocketAddr>, SettingsError> {
        let Some(value) = self.variable(name) else {
            return Ok(None);
        };
        match value.to_string_lossy().parse() {
            Ok(Listen(address)) => Ok(Some(address)),
            Err(error) => Err(SettingsError::Message(format!(
                "variable {name}: {error}: {}",
                error.help()
            ))),
        }
    }

    /// Several are separated by commas.
    fn endpoints(&self, name: &str) -> Result<Vec<Endpoint>, SettingsError> {
        let Some(value) = self.variable(name) else {
            return Ok(Vec::new());
        };
        let value = value.to_string_lossy();
        let read = value.split(',').map(|text| {
            text.trim().parse().map_err(|error: EndpointError| {
                SettingsError::Message(format!("variable {name}: {error}: {}", error.help()))
            })
        });
        read.collect()
    }

    /// A warning for each variable that looks like one of ours and is none.
    fn unknown(&self) -> Vec<String> {
        let names = self.variables.iter().filter_map(|(name, _)| name.to_str());
        let mut unknown: Vec<_> = names
            .filter(|name| name.starts_with(PREFIX) && !VARIABLES.contains(name))
            .filter(|name| !is_service_link(name))
            .collect();
        unknown.sort_unstable();
        unknown.into_iter().map(unknown_variable).collect()
    }
}

/// Why no settings hold.
#[derive(Debug)]
pub(crate) enum SettingsError {
    /// What is wrong with the settings file.
    Findings {
        /// The file, as it was named.
        file: PathBuf,
        /// Its text.
        text: String,
        /// What was found in it.
        findings: Vec<Finding>,
    },
    /// One line that says what to do.
    Message(String),
}

impl SettingsError {
    /// What is wrong with the file, with carets; empty where it was not even read.
    pub(crate) fn carets(&self, colour: bool) -> String {
        match self {
            Self::Findings {
                file,
                text,
                findings,
            } => render::carets(&file.display().to_string(), text, findings, colour),
            Self::Message(_) => String::new(),
        }
    }

    /// It in one line.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Findings { file, .. } => {
                format!(
                    "the settings in `{}` cannot be used: mend what is shown",
                    file.display()
                )
            }
            Self::Message(message) => message.clone(),
        }
    }
}

/// The text of a settings file.
pub(super) fn text_of(file: &Path) -> Result<String, SettingsError> {
    let octets = fs::read(file).map_err(|error| unreadable(file, &error))?;
    String::from_utf8(octets).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        SettingsError::Message(format!(
            "the settings in `{}` are not UTF-8 from octet {at} on: save the file as UTF-8",
            file.display()
        ))
    })
}

fn read(file: &Path) -> Result<Settings, SettingsError> {
    let text = text_of(file)?;
    let mut settings = Settings::from_toml(&text).map_err(|findings| SettingsError::Findings {
        file: file.into(),
        text: without_secrets(&text),
        findings,
    })?;
    if let Some(directory) = file.parent() {
        settings.connectors = directory.join(&settings.connectors);
        settings.callers.relative_to(directory);
        if let Some(log) = &mut settings.decision_log {
            log.relative_to(directory);
        }
        if let Some(tls) = &mut settings.tls {
            tls.relative_to(directory);
        }
        settings.otlp.relative_to(directory);
    }
    Ok(settings)
}

fn unreadable(file: &Path, error: &std::io::Error) -> SettingsError {
    let file = file.display();
    SettingsError::Message(match error.kind() {
        ErrorKind::NotFound => {
            format!(
                "the settings file `{file}` does not exist: name another one, or none for the built-in settings"
            )
        }
        _ => format!("the settings file `{file}` cannot be read: {error}"),
    })
}

fn unknown_variable(name: &str) -> String {
    let nearest = VARIABLES
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= 4)
        .min();
    match nearest {
        Some((_, known)) => format!("variable `{name}` is not known: did you mean `{known}`?"),
        None => {
            format!(
                "variable `{name}` is not known: the variables are {}",
                VARIABLES.join(", ")
            )
        }
    }
}

/// Whether it is one of the variables that Kubernetes sets in every pod beside a service that is
/// named `postern`.
fn is_service_link(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return false;
    };
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

/// Where a settings file is looked for, in this order, when none is named.
const PLACES: [&str; 2] = ["config/postern.toml", "/etc/postern/postern.toml"];
const PREFIX: &str = "POSTERN_";
const VARIABLES: [&str; 5] = [
    "POSTERN_ADMIN_LISTEN",
    "POSTERN_CONFIG",
    "POSTERN_CONNECTORS",
    "POSTERN_LISTEN",
    "POSTERN_TOKEN",
];

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        directory: tempfile::TempDir,
        variables: Vec<(OsString, OsString)>,
    }

    impl Files {
        fn new() -> Self {
            Self {
                directory: tempfile::tempdir().unwrap(),
                variables: Vec::new(),
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        fn set(&mut self, name: &str, value: impl Into<OsString>) {
            self.variables.push((name.into(), value.into()));
        }

        fn resolve(&self, flags: &Flags) -> Result<Resolved, SettingsError> {
            let places = vec![
                self.path("config/postern.toml"),
                self.path("etc/postern.toml"),
            ];
            Surroundings {
                variables: self.variables.clone(),
                places,
            }
            .resolve(flags)
        }
    }

    fn at(texts: &[&str]) -> Vec<Endpoint> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const FILE: &str =
        "version = 1\n[server]\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:2\"\n";

    #[test]
    fn nothing_said_is_what_is_built_in() {
        let resolved = Files::new().resolve(&Flags::default()).unwrap();
        assert_eq!(resolved.settings, Settings::default());
        assert_eq!(resolved.from(), "built in");
    }

    #[test]
    fn flag_over_variable_over_file() {
        let mut files = Files::new();
        let file = files.write("config/postern.toml", FILE);
        files.write("etc/postern.toml", "not even TOML");
        let resolved = files.resolve(&Flags::default()).unwrap();
        assert_eq!(resolved.file, Some(file));
        assert_eq!(resolved.settings.listen, at(&["127.0.0.1:1"]));
        assert_eq!(
            resolved.settings.connectors,
            files.path("config/connectors")
        );

        files.set("POSTERN_LISTEN", "127.0.0.1:3, unix:/run/x");
        files.set("POSTERN_ADMIN_LISTEN", "");
        files.set("POSTERN_CONNECTORS", "sets");
        let resolved = files.resolve(&Flags::default()).unwrap();
        assert_eq!(
            resolved.settings.listen,
            at(&["127.0.0.1:3", "unix:/run/x"])
        );
        assert_eq!(
            resolved.settings.admin_listen,
            "127.0.0.1:2".parse().unwrap()
        );
        assert_eq!(resolved.settings.connectors, Path::new("sets"));

        let flags = Flags {
            listen: at(&["127.0.0.1:4", "unix:/run/postern.sock"]),
            connectors: Some("others".into()),
            ..Flags::default()
        };
        let resolved = files.resolve(&flags).unwrap();
        assert_eq!(
            resolved.settings.listen,
            at(&["127.0.0.1:4", "unix:/run/postern.sock"])
        );
        assert_eq!(resolved.settings.connectors, Path::new("others"));
    }

    #[test]
    fn the_named_file_is_the_one() {
        let mut files = Files::new();
        files.write("config/postern.toml", "not even TOML");
        let other = files.write("other.toml", FILE);
        files.set("POSTERN_CONFIG", &other);
        assert_eq!(files.resolve(&Flags::default()).unwrap().file, Some(other));

        files.variables.clear();
        files.set("POSTERN_CONFIG", files.path("missing.toml"));
        let message = files.resolve(&Flags::default()).unwrap_err().message();
        assert!(
            message
                .ends_with("does not exist: name another one, or none for the built-in settings"),
            "{message}"
        );

        files.variables.clear();
        assert!(matches!(
            files.resolve(&Flags::default()),
            Err(SettingsError::Findings { .. })
        ));
    }

    #[test]
    fn unknown_variables_are_pointed_out() {
        let mut files = Files::new();
        for name in [
            "POSTERN_LISTN",
            "POSTERN_X",
            "POSTERN_PORT",
            "POSTERN_PORT_50051_TCP_ADDR",
            "POSTERN_SERVICE_HOST",
            "PATH",
        ] {
            files.set(name, "x");
        }
        assert_eq!(
            files.resolve(&Flags::default()).unwrap().warnings,
            [
                "variable `POSTERN_LISTN` is not known: did you mean `POSTERN_LISTEN`?",
                "variable `POSTERN_X` is not known: the variables are POSTERN_ADMIN_LISTEN, \
             POSTERN_CONFIG, POSTERN_CONNECTORS, POSTERN_LISTEN, POSTERN_TOKEN",
            ]
        );
    }

    #[test]
    fn plaintext_is_not_spoken_to_other_machines_by_accident() {
        let mut files = Files::new();
        files.set("POSTERN_LISTEN", "127.0.0.1:1,0.0.0.0:1");
        let error = files.resolve(&Flags::default()).unwrap_err();
        assert_eq!(
            error.message(),
            "`0.0.0.0:1` would take plaintext from other machines: add `[server.tls]` to the \
             settings, or `allow_plaintext = true` to `[server]` where nobody else is on the way"
        );
        let allowed = "version = 1\n[server]\nallow_plaintext = true\n";
        files.write("config/postern.toml", allowed);
        files.resolve(&Flags::default()).unwrap();
        files.set("POSTERN_ADMIN_LISTEN", "0.0.0.0:2");
        let error = files.resolve(&Flags::default()).unwrap_err();
        assert_eq!(
            error.message(),
            "`0.0.0.0:2` would show operators' pages to other machines in plaintext: listen on \
             loopback, behind something that speaks TLS, or write `allow_plaintext = true` in \
             `[admin]` of the settings where nobody else is on the way"
        );
        let allowed = format!("{allowed}[admin]\nallow_plaintext = true\n");
        files.write("config/postern.toml", &allowed);
        files.resolve(&Flags::default()).unwrap();
        files
            .variables
            .retain(|(name, _)| name != "POSTERN_ADMIN_LISTEN");
        let tls = "version = 1\n[server.tls]\ncertificate = \"a.pem\"\nkey = \"/b.pem\"\n";
        files.write("config/postern.toml", tls);
        let tls = files
            .resolve(&Flags::default())
            .unwrap()
            .settings
            .tls
            .unwrap();
        assert_eq!(
            (tls.certificate, tls.key),
            (files.path("config/a.pem"), "/b.pem".into())
        );
    }

    #[test]
    fn addresses_must_be_usable() {
        let mut files = Files::new();
        files.set("POSTERN_LISTEN", ":1");
        let error = files.resolve(&Flags::default()).unwrap_err();
        assert!(
            error
                .message()
                .starts_with("variable POSTERN_LISTEN: `:1` is not an address")
        );

        files.variables.clear();
        files.set(
            "POSTERN_LISTEN",
            Settings::default().admin_listen.to_string(),
        );
        let error = files.resolve(&Flags::default()).unwrap_err();
        assert_eq!(
            error.message(),
            "gateways and the admin listener cannot both have `127.0.0.1:9464`: write another port for one of the two"
        );
    }
}
