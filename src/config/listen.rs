//! Addresses to listen on, from a settings file or a flag.

use std::{
    net::{IpAddr, SocketAddr},
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
