//! Asks a server every question of a scenario, holds the answers to what the scenario claims, and
//! writes the questions for the load tools.

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use pb::{check_stream_request::Question, check_stream_response::Answer};
use postern::rpc::{
    client::{Client, ClientOptions, Token},
    json::to_json,
    pb,
};
use postern_loadtest::{Scenario, inbound, outbound};
use prost::Message;
use serde_json::{Value, json};

const USAGE: &str = "usage: ask ADDRESS SCENARIO --connectors N [--count N] [--bodies N] [--out FOLDER] [--noop]
           [--ca FILE] [--token TOKEN]

Asks the server at ADDRESS all questions of SCENARIO about a generated set of N connectors, and fails
unless each gets the verdict and the number of reasons that the scenario claims; with --noop, that of
a server that accepts everything. Prints what it saw as JSON. Into FOLDER it writes

  inbound.json, outbound.json, stream.json  the questions as an array, for ghz --data-file
  body-00.bin, ..., stream.bin              bodies of one call each, for h2load --data

SCENARIO: inbound-accept, inbound-reject, outbound-plan, outbound-enforce, or mix, which is as a fleet
asks: of ten questions six are accepted inbound, one is rejected, one is about an unknown partner, and
two are about mail that goes out, before and after the gateway has connected.";

/// A question with the answer that it must get.
struct Asked {
    question: Question,
    verdict: pb::Verdict,
    reasons: usize,
}

struct Options {
    server: ClientOptions,
    scenario: String,
    connectors: usize,
    count: usize,
    bodies: usize,
    out: Option<PathBuf>,
    noop: bool,
}

/// The length of an answer, and of the same answer in a stream.
#[derive(Clone, Copy)]
struct Sizes {
    unary: usize,
    stream: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = read(std::env::args().skip(1).collect())?;
    let questions = questions(&options)?;
    let mut client = Client::connect(&options.server).await?;
    let mut sizes = Vec::with_capacity(questions.len());
    let mut connectors = BTreeSet::new();
    for (id, asked) in (0..).zip(&questions) {
        let (answer, unary) = ask(&mut client, asked).await?;
        connectors.extend(judge(asked, &answer, options.noop)?);
        let answer = Some(answer);
        let stream = pb::CheckStreamResponse { id, answer }.encoded_len();
        sizes.push(Sizes { unary, stream });
    }
    let streamed = stream(&mut client, &questions, options.noop).await?;
    let told: usize = sizes.iter().map(|of| of.stream + 5).sum();
    if told != streamed {
        return Err(format!("the stream has {streamed} octets of answers, calls {told}").into());
    }
    let bodies = match &options.out {
        Some(folder) => write(folder, &questions, &sizes, options.bodies)?,
        None => Value::Null,
    };
    let seen = json!({
        "questions": questions.len(),
        "connectors": connectors.len(),
        "inbound": mean(&questions, &sizes, true),
        "outbound": mean(&questions, &sizes, false),
        "stream": { "answers": questions.len(), "octets": streamed },
        "bodies": bodies,
    });
    writeln!(std::io::stdout(), "{seen}")?;
    Ok(())
}

fn read(arguments: Vec<String>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        server: ClientOptions::default(),
        scenario: String::new(),
        connectors: 0,
        count: 2_000,
        bodies: 10,
        out: None,
        noop: false,
    };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--connectors" => options.connectors = value()?.parse()?,
            "--count" => options.count = value()?.parse()?,
            "--bodies" => options.bodies = value()?.parse()?,
            "--out" => options.out = Some(value()?.into()),
            "--noop" => options.noop = true,
            "--ca" => options.server.ca = Some(value()?.into()),
            "--token" => options.server.token = Some(Token::new(&value()?)?),
            _ if argument.starts_with('-') => return Err(USAGE.into()),
            _ if options.server.server.is_empty() => options.server.server = argument,
            _ if options.scenario.is_empty() => options.scenario = argument,
            _ => return Err(USAGE.into()),
        }
    }
    if options.scenario.is_empty() || options.connectors == 0 {
        return Err(USAGE.into());
    }
    Ok(options)
}

fn questions(options: &Options) -> Result<Vec<Asked>, Box<dyn Error>> {
    let Options {
        connectors, count, ..
    } = *options;
    let of = |scenario, count| one_kind(scenario, connectors, count);
    Ok(match options.scenario.as_str() {
        "inbound-accept" => of(Scenario::InboundAccept, count),
        "inbound-reject" => of(Scenario::InboundReject, count),
        "outbound-plan" => of(Scenario::OutboundPlan, count),
        "outbound-enforce" => of(Scenario::OutboundEnforce, count),
        "mix" => mixed([
            of(Scenario::InboundAccept, count * 6 / 10),
            of(Scenario::InboundReject, count / 10),
            of(Scenario::Miss, count / 10),
            of(Scenario::OutboundPlan, count / 10),
            of(Scenario::OutboundEnforce, count / 10),
        ]),
        _ => return Err(USAGE.into()),
    })
}

fn one_kind(scenario: Scenario, connectors: usize, count: usize) -> Vec<Asked> {
    let (verdict, reasons) = match scenario {
        Scenario::InboundAccept | Scenario::OutboundEnforce | Scenario::Miss => {
            (pb::Verdict::Accept, 0)
        }
        Scenario::InboundReject => (pb::Verdict::Reject, 3),
        Scenario::OutboundPlan => (pb::Verdict::Conditional, 0),
    };
    let coming = inbound(scenario, connectors, count);
    let coming: Vec<_> = coming.into_iter().map(Question::Inbound).collect();
    let all = if coming.is_empty() {
        let going = outbound(scenario, connectors, count);
        going.into_iter().map(Question::Outbound).collect()
    } else {
        coming
    };
    let asked = all.into_iter().map(|question| Asked {
        question,
        verdict,
        reasons,
    });
    asked.collect()
}

/// All of the parts, each spread evenly over the whole.
fn mixed<const N: usize>(parts: [Vec<Asked>; N]) -> Vec<Asked> {
    let mut placed = Vec::new();
    for (nth, part) in parts.into_iter().enumerate() {
        let of = part.len().max(1);
        // Why in parts of a million: places are compared as whole numbers.
        let part = part.into_iter().enumerate();
        placed.extend(part.map(|(at, asked)| (((at * 2 + 1) * 500_000 / of, nth), asked)));
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, asked)| asked).collect()
}

async fn ask(client: &mut Client, asked: &Asked) -> Result<(Answer, usize), Box<dyn Error>> {
    Ok(match &asked.question {
        Question::Inbound(question) => {
            let answer = client.decisions.check_inbound(question.clone()).await?;
            let answer = answer.into_inner();
            let octets = answer.encoded_len();
            (Answer::Inbound(answer), octets)
        }
        Question::Outbound(question) => {
            let answer = client.decisions.check_outbound(question.clone()).await?;
            let answer = answer.into_inner();
            let octets = answer.encoded_len();
            (Answer::Outbound(answer), octets)
        }
    })
}

/// Asks all of them over one stream, and gives back how many octets the answers have.
async fn stream(
    client: &mut Client,
    questions: &[Asked],
    noop: bool,
) -> Result<usize, Box<dyn Error>> {
    let requests: Vec<_> = in_stream(questions).collect();
    let mut answers = client
        .decisions
        .check_stream(tokio_stream::iter(requests))
        .await?
        .into_inner();
    let (mut octets, mut count) = (0, 0);
    while let Some(answer) = answers.message().await? {
        octets += answer.encoded_len() + 5;
        let asked = usize::try_from(answer.id)
            .ok()
            .and_then(|id| questions.get(id));
        let (Some(asked), Some(answer)) = (asked, &answer.answer) else {
            return Err("an answer is to no question".into());
        };
        judge(asked, answer, noop)?;
        count += 1;
    }
    if count != questions.len() {
        return Err(format!("{} questions, {count} answers", questions.len()).into());
    }
    Ok(octets)
}

fn in_stream(questions: &[Asked]) -> impl Iterator<Item = pb::CheckStreamRequest> + '_ {
    (0..)
        .zip(questions)
        .map(|(id, asked)| pb::CheckStreamRequest {
            id,
            question: Some(asked.question.clone()),
        })
}

/// Holds an answer to what was claimed, and names the connector that it is by.
fn judge(asked: &Asked, answer: &Answer, noop: bool) -> Result<Option<String>, Box<dyn Error>> {
    let (verdict, reasons, connector) = match answer {
        Answer::Inbound(of) => (of.verdict(), of.rejections.len(), &of.connector),
        Answer::Outbound(of) => (of.verdict(), of.rejections.len(), &of.connector),
        Answer::Failure(failure) => return Err(format!("a question failed: {failure:?}").into()),
    };
    let expected = if noop {
        (pb::Verdict::Accept, 0)
    } else {
        (asked.verdict, asked.reasons)
    };
    if (verdict, reasons) != expected {
        let question = &asked.question;
        return Err(format!(
            "expected {expected:?}, got {verdict:?} with {reasons} reasons: {question:#?} {answer:#?}"
        )
        .into());
    }
    Ok(connector.as_ref().map(|connector| connector.name.clone()))
}

/// How many questions are of a direction, and how long an answer to them is.
fn mean(questions: &[Asked], sizes: &[Sizes], coming: bool) -> Value {
    let of: Vec<_> = questions
        .iter()
        .zip(sizes)
        .filter(|(asked, _)| is_inbound(asked) == coming)
        .map(|(_, sizes)| sizes.unary)
        .collect();
    let octets = of.iter().sum::<usize>().checked_div(of.len()).unwrap_or(0);
    json!({ "questions": of.len(), "octets": octets })
}

fn is_inbound(asked: &Asked) -> bool {
    matches!(asked.question, Question::Inbound(_))
}

/// Writes the questions for the load tools, and tells of each body what the answer to it is.
fn write(
    folder: &Path,
    questions: &[Asked],
    sizes: &[Sizes],
    bodies: usize,
) -> Result<Value, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for (name, message, coming) in [
        ("inbound", "postern.v1.CheckInboundRequest", true),
        ("outbound", "postern.v1.CheckOutboundRequest", false),
    ] {
        let of = questions.iter().filter(|asked| is_inbound(asked) == coming);
        let of = of.map(|asked| match &asked.question {
            Question::Inbound(question) => to_json(message, question),
            Question::Outbound(question) => to_json(message, question),
        });
        let of: Vec<_> = of.collect();
        if !of.is_empty() {
            fs::write(
                folder.join(format!("{name}.json")),
                Value::from(of).to_string(),
            )?;
        }
    }
    let requests = in_stream(questions);
    let all: Vec<_> = requests
        .map(|request| to_json("postern.v1.CheckStreamRequest", &request))
        .collect();
    fs::write(folder.join("stream.json"), Value::from(all).to_string())?;
    let framed: Vec<u8> = in_stream(questions).flat_map(|of| frame(&of)).collect();
    fs::write(folder.join("stream.bin"), framed)?;
    let mut told = Vec::new();
    let step = questions.len().checked_div(bodies).unwrap_or(1).max(1);
    // Why one further each time: questions of a kind come back at a distance that divides the step.
    let chosen = (0..bodies).filter_map(|nth| {
        let at = nth * step + nth % step;
        questions.get(at).zip(sizes.get(at))
    });
    for (nth, (asked, sizes)) in chosen.enumerate() {
        let (method, body) = match &asked.question {
            Question::Inbound(question) => ("CheckInbound", frame(question)),
            Question::Outbound(question) => ("CheckOutbound", frame(question)),
        };
        let file = folder.join(format!("body-{nth:02}.bin"));
        fs::write(&file, body)?;
        told.push(json!({ "file": file, "method": method, "octets": sizes.unary + 5 }));
    }
    Ok(told.into())
}

/// A message as gRPC frames it.
fn frame(message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [0].into_iter().chain(length).chain(body).collect()
}
