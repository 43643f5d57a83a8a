use std::{env, error::Error, time::Duration};

use postern::rpc::pb;
use pb::{CheckInboundRequest, Verdict, policy_decision_service_client::PolicyDecisionServiceClient};
use tonic::{Code, Request, transport::Endpoint};
use tonic_types::StatusExt;

const DEFER: &str = "451 4.3.0 Please try again later";
const WITHIN: Duration = Duration::from_secs(1);

pub async fn reply(server: &str, question: CheckInboundRequest) -> Result<String, Box<dyn Error>> {
    // Kept for all questions of a process; a clone of the client shares the connection.
    let channel = Endpoint::from_shared(format!("http://{server}"))?.connect_lazy();
    let mut decisions = PolicyDecisionServiceClient::new(channel);
    let asking = async {
        let mut tries = 2;
        loop {
            let mut request = Request::new(question.clone());
            request.set_timeout(WITHIN);
            tries -= 1;
            match decisions.check_inbound(request).await {
                // Once more: tonic does not do it by itself.
                Err(status) if status.code() == Code::Unavailable && tries > 0 => {}
                answered => return answered,
            }
        }
    };
    let answer = match tokio::time::timeout(WITHIN, asking).await {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(status)) => {
            let reason = status.get_details_error_info().map(|info| info.reason);
            eprintln!("{:?} {} {}", status.code(), reason.unwrap_or_default(), status.message());
            return Ok(DEFER.into());
        }
        Err(late) => {
            eprintln!("{late}");
            return Ok(DEFER.into());
        }
    };
    Ok(match (answer.verdict(), answer.smtp_reply) {
        (Verdict::Accept, _) => "250 2.1.5 Ok".into(),
        (Verdict::Reject | Verdict::Defer, Some(told)) => {
            format!("{} {} {}", told.code, told.enhanced_code, told.text)
        }
        _ => DEFER.into(),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut told = env::args().skip(1);
    let mut next = || told.next().ok_or("SERVER CLIENT_IP MAIL_FROM RCPT_TO");
    let (server, client_ip, mail_from, rcpt_to) = (next()?, next()?, next()?, next()?);
    let question = CheckInboundRequest { client_ip, mail_from, rcpt_to, ..Default::default() };
    println!("{}", reply(&server, question).await?);
    Ok(())
}
