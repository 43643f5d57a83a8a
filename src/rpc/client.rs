//! The client of both services, dialled well.

use std::{error::Error, fmt, time::Duration};

use tonic::transport::{Channel, Endpoint};

use super::pb::{
    policy_decision_service_client::PolicyDecisionServiceClient,
    policy_explanation_service_client::PolicyExplanationServiceClient,
};

/// A connection to a server, and its services.
#[derive(Clone, Debug)]
pub struct Client {
    /// Decides.
    pub decisions: PolicyDecisionServiceClient<Channel>,
    /// Explains.
    pub explanations: PolicyExplanationServiceClient<Channel>,
}

impl Client {
    /// Connects to `server`: `http://host:port`, or just `host:port`.
    pub async fn dial(server: &str) -> Result<Self, DialError> {
        let channel = endpoint(server)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
            .map_err(|_| DialError::new(server, FORM))?
            .connect()
            .await
            .map_err(|error| DialError::new(server, unreachable(&error)))?;
        Ok(Self {
            decisions: PolicyDecisionServiceClient::new(channel.clone()),
            explanations: PolicyExplanationServiceClient::new(channel),
        })
    }
}

/// The server cannot be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DialError {
    server: String,
    fault: String,
}

impl DialError {
    fn new(server: &str, fault: impl Into<String>) -> Self {
        Self {
            server: server.to_owned(),
            fault: fault.into(),
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot ask `{}`: {}",
            self.server.escape_debug(),
            self.fault
        )
    }
}

impl Error for DialError {}

fn endpoint(server: &str) -> Result<Endpoint, DialError> {
    let url = match server.split_once("://") {
        None => format!("http://{server}"),
        Some(("http", _)) => server.to_owned(),
        Some((_, rest)) => {
            let fault = format!(
                "only plaintext is spoken: write `http://{}`",
                rest.escape_debug()
            );
            return Err(DialError::new(server, fault));
        }
    };
    let endpoint = Endpoint::from_shared(url).map_err(|_| DialError::new(server, FORM))?;
    let uri = endpoint.uri();
    if uri.port_u16().is_none() || uri.host().is_none_or(str::is_empty) || uri.path() != "/" {
        return Err(DialError::new(server, FORM));
    }
    Ok(endpoint)
}

/// The innermost cause, which is what a person can act on.
fn unreachable(error: &tonic::transport::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!(
        "{}: is a server running there?",
        cause.to_string().to_lowercase()
    )
}

const FORM: &str = "write it like `http://127.0.0.1:50051` or `mail.contoso.com:50051`";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(endpoint(server).unwrap().uri().to_string(), uri);
        }
    }

    #[test]
    fn says_how_to_write_it() {
        for (server, message) in [
            (
                "",
                "cannot ask ``: write it like `http://127.0.0.1:50051` or `mail.contoso.com:50051`",
            ),
            (
                "https://a:1",
                "cannot ask `https://a:1`: only plaintext is spoken: write `http://a:1`",
            ),
        ] {
            assert_eq!(endpoint(server).unwrap_err().to_string(), message);
        }
        for server in [
            "contoso.com",
            "http://",
            ":50051",
            "a b:1",
            "a:99999",
            "http://a:1/x",
        ] {
            assert!(endpoint(server).is_err(), "{server}");
        }
    }
}
