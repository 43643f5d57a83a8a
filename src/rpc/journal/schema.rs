//! The JSON Schema of a line: questions and answers are as the contract has them.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{super::json::descriptor, line::SCHEMA};

/// The JSON Schema of a line of the decision log. Lines may come to have more than it says.
pub fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A line of the Postern decision log",
        "oneOf": [
            decision("inbound", "CheckInboundRequest", "CheckInboundResponse"),
            decision("outbound", "CheckOutboundRequest", "CheckOutboundResponse"),
            loss(),
        ],
    })
}

/// A decision about mail that goes this way.
fn decision(direction: &str, question: &str, answer: &str) -> Value {
    let described = |description: &str, mut schema: Value| {
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), description.into());
        }
        schema
    };
    let properties = [
        (
            "schema",
            described("The version of what a line says.", json!({"const": SCHEMA})),
        ),
        ("time", described("When it was decided.", time())),
        (
            "rpc",
            described(
                "The call.",
                json!({"enum": [format!("Check{}", titled(direction)), "CheckStream"]}),
            ),
        ),
        (
            "direction",
            described("Which way the mail goes.", json!({"const": direction})),
        ),
        (
            "caller",
            described("Who asked, where callers are configured.", text()),
        ),
        (
            "peer",
            described("The address that the call came from.", text()),
        ),
        (
            "correlation_id",
            described("The gateway's own name for the session or message.", text()),
        ),
        (
            "took_us",
            described(
                "How many microseconds it took.",
                json!({"type": "integer", "minimum": 0}),
            ),
        ),
        (
            "facts",
            described("The question, reduced as settings say.", message(question)),
        ),
        ("answer", described("The answer.", message(answer))),
    ];
    let required = [
        "schema",
        "time",
        "rpc",
        "direction",
        "took_us",
        "facts",
        "answer",
    ];
    object("A decision", properties, &required)
}

/// Decisions that were not written down.
fn loss() -> Value {
    let count = || json!({"type": "integer", "minimum": 0});
    let dropped = object(
        "How many, by what became of the mail",
        [("accepts", count()), ("rejects", count())],
        &["accepts", "rejects"],
    );
    let properties = [
        ("schema", json!({"const": SCHEMA})),
        ("time", time()),
        ("dropped", dropped),
        ("since", time()),
    ];
    let required = ["schema", "time", "dropped", "since"];
    object("Decisions that were lost", properties, &required)
}

/// The message of that name, as proto3 JSON.
fn message(name: &str) -> Value {
    descriptor(&format!("postern.v1.{name}")).map_or(Value::Null, |found| of_message(&found))
}

fn of_message(message: &MessageDescriptor) -> Value {
    if message.full_name() == "google.protobuf.Timestamp" {
        return time();
    }
    let fields: Vec<_> = message.fields().filter(is_shown).collect();
    let fields = fields.iter().map(|field| (field.name(), of_field(field)));
    object(message.name(), fields, &[])
}

fn of_field(field: &FieldDescriptor) -> Value {
    let one = match field.kind() {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Message(message) => of_message(&message),
        Kind::Enum(kind) => {
            let names: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
            // A number is a value that the contract does not have.
            json!({"anyOf": [{"enum": names}, {"type": "integer"}]})
        }
        Kind::Int32 | Kind::Uint32 => json!({"type": "integer"}),
        _ => text(),
    };
    if field.is_list() {
        json!({"type": "array", "items": one})
    } else {
        one
    }
}

/// What never stands in a line as a field of its message.
fn is_shown(field: &FieldDescriptor) -> bool {
    !matches!(field.name(), "correlation_id" | "der")
}

fn object<'a>(
    title: &str,
    properties: impl IntoIterator<Item = (&'a str, Value)>,
    required: &[&str],
) -> Value {
    let properties = properties.into_iter();
    let properties: Map<_, _> = properties
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let mut object = json!({"title": title, "type": "object", "properties": properties});
    if !required.is_empty()
        && let Value::Object(object) = &mut object
    {
        object.insert("required".to_owned(), json!(required));
    }
    object
}

fn text() -> Value {
    json!({"type": "string"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn titled(direction: &str) -> &'static str {
    if direction == "inbound" {
        "Inbound"
    } else {
        "Outbound"
    }
}

/// The same, which knows no other keys: nothing that is not documented is written.
#[cfg(test)]
pub(super) fn strict() -> Value {
    let mut schema = schema();
    forbid_others(&mut schema);
    schema
}

#[cfg(test)]
fn forbid_others(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(forbid_others);
            if object.contains_key("properties") {
                object.insert("additionalProperties".to_owned(), false.into());
            }
        }
        Value::Array(list) => list.iter_mut().for_each(forbid_others),
        _ => {}
    }
}
