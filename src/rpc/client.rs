//! The client of both services, dialled well.

mod endpoint;
mod fault;
mod refusal;
mod token;

use std::{error::Error, net::SocketAddr, path::PathBuf, time::Duration};

use tonic_health::pb::health_client::HealthClient;

use tonic::{
    Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

pub use self::{
    endpoint::host_and_port,
    fault::DialError,
    token::{Bearer, Token, TokenError},
};
use super::pb::{
    policy_decision_service_client::PolicyDecisionServiceClient,
    policy_explanation_service_client::PolicyExplanationServiceClient,
};

/// A connection to a server, and its services.
#[derive(Clone, Debug)]
pub struct Client {
    /// Decides.
    pub decisions: PolicyDecisionServiceClient<Asked>,
    /// Explains.
    pub explanations: PolicyExplanationServiceClient<Asked>,
    /// Says whether it serves.
    pub health: HealthClient<Asked>,
    options: ClientOptions,
}

/// What carries calls to a server, with the token where there is one.
pub type Asked = InterceptedService<Channel, Bearer>;

/// Which server to ask, whom to take it from, and who asks.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// `https://host:port`, `http://host:port`, just `host:port`, which is plaintext, or
    /// `unix:/path`.
    pub server: String,
    /// The file of the authorities that vouch for the server; none: those of this machine.
    pub ca: Option<PathBuf>,
    /// The files of the client's certificate and of its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, where it is not the host of the URL.
    pub server_name: Option<String>,
    /// What shows who asks.
    pub token: Option<Token>,
}

impl Client {
    /// Connects to `server` with nothing else to say.
    pub async fn dial(server: &str) -> Result<Self, DialError> {
        let server = server.to_owned();
        let options = ClientOptions {
            server,
            ..ClientOptions::default()
        };
        Self::connect(&options).await
    }

    /// Connects as `options` say.
    pub async fn connect(options: &ClientOptions) -> Result<Self, DialError> {
        let server = &options.server;
        let channel = endpoint::endpoint(options)?;
        let channel = dialled_well(channel)
            .map_err(|error| DialError::new(server, error.to_string()))?
            .connect()
            .await;
        let channel = match channel {
            Ok(channel) => channel,
            Err(error) => return Err(fault(options, &error).await),
        };
        Ok(Self::over(&channel, options))
    }

    /// Makes ready to ask as `options` say, and connects with the first call, and anew where the
    /// connection was lost; at `address`, where the host was looked up before. Within a runtime.
    pub fn lazily(options: &ClientOptions, address: Option<SocketAddr>) -> Result<Self, DialError> {
        let endpoint = match address {
            Some(address) => endpoint::endpoint_at(options, address)?,
            None => endpoint::endpoint(options)?,
        };
        let endpoint = dialled_well(endpoint)
            .map_err(|error| DialError::new(&options.server, error.to_string()))?;
        Ok(Self::over(&endpoint.connect_lazy(), options))
    }

    fn over(channel: &Channel, options: &ClientOptions) -> Self {
        let bearer = Bearer::new(options.token.as_ref());
        let asked = || InterceptedService::new(channel.clone(), bearer.clone());
        Self {
            decisions: PolicyDecisionServiceClient::new(asked()),
            explanations: PolicyExplanationServiceClient::new(asked()),
            health: HealthClient::new(asked()),
            options: options.clone(),
        }
    }

    /// Why a call came to `status`, where it was not answered: over TLS 1.3 a server refuses a
    /// client only once that begins to speak.
    pub async fn unanswered(&self, status: &Status) -> Option<DialError> {
        Some(fault(&self.options, status.source()?).await)
    }
}

/// Why the server of `options` cannot be asked, for what the transport says.
async fn fault(options: &ClientOptions, error: &(dyn Error + 'static)) -> DialError {
    let server = &options.server;
    match DialError::known(server, error) {
        Some(known) => known,
        None => refusal::refusal(options)
            .await
            .unwrap_or_else(|| DialError::of(server, error)),
    }
}

fn dialled_well(endpoint: Endpoint) -> Result<Endpoint, tonic::transport::Error> {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
