//! Where a server is, and what TLS is spoken with it.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::{ClientOptions, DialError};
use crate::rpc::{
    peer::is_loopback,
    tls::material::{Pem, Unusable},
};

/// Where `options` say that the server is.
pub(super) fn endpoint(options: &ClientOptions) -> Result<Endpoint, DialError> {
    let server = options.server.as_str();
    let fault = |fault: &str| Err(DialError::new(server, fault));
    if let Some(path) = server.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') {
            return fault(
                "write the path of a socket from the root, like `unix:/run/postern.sock`",
            );
        }
        return Endpoint::from_shared(format!("unix:{path}"))
            .map_err(|_| DialError::new(server, FORM));
    }
    let (url, tls) = match server.split_once("://") {
        None => (format!("http://{server}"), false),
        Some(("http", _)) => (server.to_owned(), false),
        Some(("https", _)) => (server.to_owned(), true),
        Some(_) => return fault(FORM),
    };
    let endpoint = Endpoint::from_shared(url).map_err(|_| DialError::new(server, FORM))?;
    let uri = endpoint.uri();
    let host = uri.host().unwrap_or_default().to_owned();
    if uri.port_u16().is_none() || host.is_empty() || uri.path() != "/" {
        return fault(FORM);
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if tls {
        let config = config(options, host)?;
        let endpoint = endpoint.tls_config(config);
        return endpoint.map_err(|error| DialError::of(server, &error));
    }
    if options.ca.is_some() || options.identity.is_some() || options.server_name.is_some() {
        return fault("certificates are for TLS: write `https://` before the host");
    }
    if options.token.is_some() && !is_local(host) {
        return fault(
            "a token is not sent in plaintext to another machine, where others could take it: \
             write `https://` before the host",
        );
    }
    Ok(endpoint)
}

/// The same at `address`, where the host of `options` was looked up before: it is still the host that
/// is asked for, and whose certificate is expected.
pub(super) fn endpoint_at(
    options: &ClientOptions,
    address: SocketAddr,
) -> Result<Endpoint, DialError> {
    let named = endpoint(options)?;
    let tls = options.server.starts_with("https://");
    let host = named.uri().host().unwrap_or_default();
    let name = options
        .server_name
        .clone()
        .or_else(|| tls.then(|| host.to_owned()));
    let scheme = if tls { "https" } else { "http" };
    let there = ClientOptions {
        server: format!("{scheme}://{address}"),
        server_name: name,
        ..options.clone()
    };
    Ok(endpoint(&there)?.origin(named.uri().clone()))
}

/// The host and the port of `server` where that has to be looked up; none where it is an address
/// or a socket.
pub fn host_and_port(server: &str) -> Option<String> {
    if server.starts_with("unix:") {
        return None;
    }
    let (_, authority) = server.split_once("://").unwrap_or(("", server));
    let authority = authority.trim_end_matches('/');
    let (host, _) = authority.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>()
        .is_err()
        .then(|| authority.to_owned())
}

fn config(options: &ClientOptions, host: &str) -> Result<ClientTlsConfig, DialError> {
    let unusable = |unusable: Unusable| DialError::new(&options.server, unusable.to_string());
    let name = options.server_name.as_deref().unwrap_or(host);
    let mut config = ClientTlsConfig::new().domain_name(name);
    config = match &options.ca {
        None => config.with_native_roots(),
        Some(ca) => {
            let pem = read(ca, |pem| pem.certificates().map(drop)).map_err(unusable)?;
            config.ca_certificate(Certificate::from_pem(pem))
        }
    };
    if let Some((certificate, key)) = &options.identity {
        let certificate = read(certificate, |pem| pem.certificates().map(drop));
        let key = read(key, |pem| pem.private_key().map(drop));
        let identity = Identity::from_pem(certificate.map_err(unusable)?, key.map_err(unusable)?);
        config = config.identity(identity);
    }
    Ok(config)
}

/// What is in a file, if `check` finds it good.
fn read(
    path: &Path,
    check: impl FnOnce(&Pem<'_>) -> Result<(), Unusable>,
) -> Result<Vec<u8>, Unusable> {
    let octets = fs::read(path);
    check(&Pem {
        path,
        octets: &octets,
    })?;
    Ok(octets.unwrap_or_default())
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(is_loopback)
}

const FORM: &str = "write it like `https://mail.contoso.com:50051`, `127.0.0.1:50051` for plaintext, \
                    or `unix:/run/postern.sock`";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::client::Token;

    fn options(server: &str) -> ClientOptions {
        ClientOptions {
            server: server.to_owned(),
            ..ClientOptions::default()
        }
    }

    #[test]
    fn reads_where_a_server_is() {
        for (server, uri) in [
            ("127.0.0.1:50051", "http://127.0.0.1:50051/"),
            ("http://[::1]:50051", "http://[::1]:50051/"),
            (
                "http://mail.contoso.com:50051/",
                "http://mail.contoso.com:50051/",
            ),
        ] {
            let endpoint = endpoint(&options(server)).unwrap();
            assert_eq!(endpoint.uri().to_string(), uri);
        }
        for server in ["unix:/run/postern.sock", "unix:///run/postern.sock"] {
            endpoint(&options(server)).unwrap();
        }
    }

    #[test]
    fn a_host_that_was_looked_up_is_still_the_one_that_is_asked_for() {
        let of = |server: &str, address: &str| {
            let endpoint = endpoint_at(&options(server), address.parse().unwrap()).unwrap();
            endpoint.uri().to_string()
        };
        assert_eq!(
            of("mail.contoso.com:1", "192.0.2.1:1"),
            "http://192.0.2.1:1/"
        );
        assert_eq!(
            of("https://mail.contoso.com:1", "[::1]:1"),
            "https://[::1]:1/"
        );
        for (server, name) in [
            ("mail.contoso.com:1", Some("mail.contoso.com:1")),
            ("https://localhost:1/", Some("localhost:1")),
            ("https://192.0.2.1:1", None),
            ("[::1]:1", None),
            ("unix:/run/x", None),
        ] {
            assert_eq!(host_and_port(server).as_deref(), name);
        }
        let mut options = options("mail.contoso.com:1");
        options.token = Some(Token::new("secret").unwrap());
        endpoint_at(&options, "127.0.0.1:1".parse().unwrap()).unwrap_err();
    }

    #[test]
    fn says_how_to_write_it() {
        let token = || Some(Token::new("secret").unwrap());
        let of = |server: &str, change: &dyn Fn(&mut ClientOptions)| {
            let mut options = options(server);
            change(&mut options);
            format!("{}\n", endpoint(&options).unwrap_err())
        };
        let told = [
            of("", &|_| {}),
            of("ftp://a:1", &|_| {}),
            of("unix:run/x", &|_| {}),
            of("a:1", &|options| options.server_name = Some("b".into())),
            of("http://a:1", &|options| options.ca = Some("ca.pem".into())),
            of("http://192.0.2.1:1", &|options| options.token = token()),
            of("https://a:1", &|options| {
                options.ca = Some("/none/ca.pem".into());
            }),
            of("https://a:1", &|options| {
                options.ca = Some("/dev/null".into());
            }),
        ];
        insta::assert_snapshot!(told.concat());
        for server in [
            "contoso.com",
            "http://",
            ":50051",
            "a b:1",
            "a:99999",
            "http://a:1/x",
            "https://a",
        ] {
            assert!(endpoint(&options(server)).is_err(), "{server}");
        }
        for server in ["127.0.0.1:1", "http://localhost:1", "[::1]:1", "unix:/x"] {
            let mut options = options(server);
            options.token = token();
            endpoint(&options).unwrap();
        }
    }
}
