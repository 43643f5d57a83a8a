//! Where to listen, from a settings file or a flag.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

use super::words::shown;

/// An address and a port to listen on, from a file or a flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        text.parse().map(Self).map_err(|_| ListenError {
            text: text.to_owned(),
        })
    }
}

/// Where gateways ask: at an address and a port, or at a socket of the file system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// An address of this machine and a port.
    Tcp(SocketAddr),
    /// The file of a unix-domain socket, by its absolute path.
    Unix(PathBuf),
}

impl Endpoint {
    /// Whether the system is to choose the port.
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.port() == 0)
    }

    /// Whether other machines may come to it.
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let Some(path) = text.strip_prefix("unix:") else {
            let Listen(address) = text.parse().map_err(EndpointError::Address)?;
            return Ok(Self::Tcp(address));
        };
        // Clients write a URL: `unix:///run/postern.sock`.
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
            return Err(EndpointError::Path(text.to_owned()));
        }
        if path.len() > LONGEST_PATH {
            return Err(EndpointError::Long(text.to_owned()));
        }
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A text that says nowhere to listen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// It is meant for an address.
    #[error(transparent)]
    Address(ListenError),
    /// The path of its socket is longer than the system takes.
    #[error("the path of the socket `{}` is too long", shown(.0))]
    Long(String),
    /// It does not name the file of a socket.
    #[error("`{}` is not the path of a socket", shown(.0))]
    Path(String),
}

impl EndpointError {
    /// What to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Address(error) => error.help(),
            Self::Long(_) => {
                format!("the system takes {LONGEST_PATH} octets: choose a shorter one")
            }
            Self::Path(_) => {
                "write `unix:` and a path from the root, like `unix:/run/postern/postern.sock`"
                    .to_owned()
            }
        }
    }
}

/// How many octets the path of a unix-domain socket may have, on Linux; elsewhere a few less.
const LONGEST_PATH: usize = 107;

/// A text that is not an address with a port.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{}` is not an address with a port", shown(text))]
pub struct ListenError {
    text: String,
}

impl ListenError {
    /// What to write instead.
    pub fn help(&self) -> String {
        let text = self.text.trim();
        if text.parse::<SocketAddr>().is_ok() {
            return format!("remove the blanks: `{text}`");
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return format!("add a port: `{}`", SocketAddr::new(address, 50051));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let Ok(port) = port.parse::<u16>() else {
            return "write an address and a port up to 65535, like `127.0.0.1:50051` or \
                    `[::1]:50051`"
                .to_owned();
        };
        match host {
            "" | "*" => format!(
                "write `127.0.0.1:{port}` for this machine alone, `0.0.0.0:{port}` or \
                 `[::]:{port}` for every address it has"
            ),
            "localhost" => format!("write `127.0.0.1:{port}` or `[::1]:{port}`"),
            _ if host.parse::<IpAddr>().is_ok() => format!("write `[{host}]:{port}`"),
            _ => format!(
                "names are not looked up: write one of this machine's addresses, like \
                 `192.0.2.1:{port}`, or `0.0.0.0:{port}` for all"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_listen_is_read() {
        for (text, exposed) in [
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.0.2.1:1", true),
            ("unix:/run/postern.sock", false),
        ] {
            let endpoint = text.parse::<Endpoint>().unwrap();
            assert_eq!(
                (endpoint.to_string().as_str(), endpoint.is_exposed()),
                (text, exposed)
            );
        }
        let url = "unix:///run/postern.sock".parse::<Endpoint>().unwrap();
        assert_eq!(url, Endpoint::Unix("/run/postern.sock".into()));
        let long = format!("unix:/{}", "x".repeat(LONGEST_PATH));
        let texts = [
            "unix:",
            "unix:run/x",
            "unix:/run/",
            "unix://run/x",
            "unix:@x",
            "unix:/\0",
            &long,
            ":1",
        ];
        let explained = texts.map(|text| {
            let error = text.parse::<Endpoint>().unwrap_err();
            format!("{error}: {}\n", error.help())
        });
        insta::assert_snapshot!(explained.concat());
    }

    #[test]
    fn what_is_no_address_is_explained() {
        let texts = [
            ":50051",
            "50051",
            "*:50051",
            "localhost:50051",
            "mail.contoso.com:50051",
            "192.0.2.1",
            "::1",
            "::1:50051",
            "127.0.0.1:99999",
            "",
            "x",
            " 127.0.0.1:1",
        ];
        let explained = texts.map(|text| {
            let error = text.parse::<Listen>().unwrap_err();
            format!("{error}: {}\n", error.help())
        });
        insta::assert_snapshot!(explained.concat(), @r#"
        `:50051` is not an address with a port: write `127.0.0.1:50051` for this machine alone, `0.0.0.0:50051` or `[::]:50051` for every address it has
        `50051` is not an address with a port: write `127.0.0.1:50051` for this machine alone, `0.0.0.0:50051` or `[::]:50051` for every address it has
        `*:50051` is not an address with a port: write `127.0.0.1:50051` for this machine alone, `0.0.0.0:50051` or `[::]:50051` for every address it has
        `localhost:50051` is not an address with a port: write `127.0.0.1:50051` or `[::1]:50051`
        `mail.contoso.com:50051` is not an address with a port: names are not looked up: write one of this machine's addresses, like `192.0.2.1:50051`, or `0.0.0.0:50051` for all
        `192.0.2.1` is not an address with a port: add a port: `192.0.2.1:50051`
        `::1` is not an address with a port: add a port: `[::1]:50051`
        `::1:50051` is not an address with a port: write `[::1]:50051`
        `127.0.0.1:99999` is not an address with a port: write an address and a port up to 65535, like `127.0.0.1:50051` or `[::1]:50051`
        `` is not an address with a port: write an address and a port up to 65535, like `127.0.0.1:50051` or `[::1]:50051`
        `x` is not an address with a port: write an address and a port up to 65535, like `127.0.0.1:50051` or `[::1]:50051`
        ` 127.0.0.1:1` is not an address with a port: remove the blanks: `127.0.0.1:1`
        "#);
    }
}
