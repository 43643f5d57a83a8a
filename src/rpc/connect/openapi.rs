//! The OpenAPI document of the calls over HTTP, made of the contract and its comments.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor,
};
use serde_json::{Map, Value, json};

use crate::rpc::pb::DESCRIPTORS;

/// The document; it has no calls only where the contract cannot be read, which a test excludes.
pub fn document() -> Value {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap_or_default();
    let mut document = Document::default();
    let services = pool
        .services()
        .filter(|service| service.parent_file().package_name() == "postern.v1");
    for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        if !method.is_client_streaming() && !method.is_server_streaming() {
            document.add(&method);
        }
    }
    document.schemas.insert("connect.Error".into(), error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Postern",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "May this mail pass, given what was agreed with this partner?",
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:50080", "description": "`http_listen` of `[server]`"}],
        "security": [{}, {"token": []}],
        "tags": document.tags,
        "paths": document.paths,
        "components": {
            "schemas": document.schemas,
            "securitySchemes": {"token": {
                "type": "http",
                "scheme": "bearer",
                "description": "Where there are callers: the token of one, over TLS or on the same \
                                machine; a client certificate does without.",
            }},
            "parameters": {
                "version": {
                    "name": "Connect-Protocol-Version",
                    "in": "header",
                    "schema": {"const": "1"},
                    "description": "Taken for 1 where it is missing.",
                },
                "timeout": {
                    "name": "Connect-Timeout-Ms",
                    "in": "header",
                    "schema": {"type": "string", "pattern": "^[0-9]{1,10}$"},
                    "description": "How long the caller waits, in milliseconds.",
                },
            },
        },
    })
}

#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    tags: Vec<Value>,
    comments: BTreeMap<String, Comments>,
}

/// What stands before the things of a file, by where they are.
type Comments = BTreeMap<Vec<i32>, String>;

impl Document {
    fn add(&mut self, method: &MethodDescriptor) {
        let service = method.parent_service();
        let tag = service.name().to_owned();
        if !self.tags.iter().any(|known| known["name"] == *tag) {
            let description = self.comment(&service.parent_file(), service.path());
            self.tags
                .push(json!({"name": tag, "description": description}));
        }
        for message in [method.input(), method.output()] {
            self.describe(&message);
        }
        let reference = |message: MessageDescriptor| json!({"application/json": {"schema": reference(message.full_name())}});
        let description = self.comment(&service.parent_file(), method.path());
        let call = json!({
            "operationId": method.name(),
            "tags": [tag],
            "description": description,
            "parameters": [
                {"$ref": "#/components/parameters/version"},
                {"$ref": "#/components/parameters/timeout"},
            ],
            "requestBody": {"required": true, "content": reference(method.input())},
            "responses": {
                "200": {"description": "The answer.", "content": reference(method.output())},
                "default": {
                    "description": "There is no answer: defer the mail.",
                    "content": {"application/json": {"schema": reference_to_error()}},
                },
            },
        });
        let path = format!("/{}/{}", service.full_name(), method.name());
        self.paths.insert(path, json!({"post": call}));
    }

    /// Describes a message, and all that it has.
    fn describe(&mut self, message: &MessageDescriptor) {
        let name = message.full_name();
        if name == TIMESTAMP || self.schemas.contains_key(name) {
            return;
        }
        // Why before its fields: one of them may be of the same kind.
        self.schemas.insert(name.to_owned(), Value::Null);
        let (mut properties, mut required) = (Map::new(), BTreeSet::new());
        for field in message.fields() {
            let comment = self.comment(&message.parent_file(), field.path());
            if comment.split_whitespace().any(|word| word == "Required.") {
                required.insert(field.json_name().to_owned());
            }
            match field.kind() {
                Kind::Message(inner) => self.describe(&inner),
                Kind::Enum(inner) => self.name(&inner),
                _ => {}
            }
            properties.insert(field.json_name().to_owned(), described(of(&field), comment));
        }
        let mut schema = json!({"type": "object", "properties": properties});
        if let Some(schema) = schema.as_object_mut() {
            if !required.is_empty() {
                schema.insert("required".into(), json!(required));
            }
            let either = either(message);
            if !either.is_empty() {
                schema.insert("allOf".into(), either.into());
            }
        }
        let comment = self.comment(&message.parent_file(), message.path());
        self.schemas
            .insert(name.to_owned(), described(schema, comment));
    }

    /// Describes the names that a value may have.
    fn name(&mut self, names: &EnumDescriptor) {
        let file = names.parent_file();
        let mut told = vec![self.comment(&file, names.path())];
        told.extend(names.values().filter_map(|value| {
            let comment = self.comment(&file, value.path());
            (!comment.is_empty()).then(|| format!("`{}`: {comment}", value.name()))
        }));
        told.retain(|text| !text.is_empty());
        let values: Vec<_> = names
            .values()
            .map(|value| value.name().to_owned())
            .collect();
        let schema = described(json!({"type": "string", "enum": values}), told.join("\n\n"));
        self.schemas.insert(names.full_name().to_owned(), schema);
    }

    /// What stands before the thing at `path` of a file.
    fn comment(&mut self, file: &FileDescriptor, path: &[i32]) -> String {
        let comments = self
            .comments
            .entry(file.name().to_owned())
            .or_insert_with(|| comments(file));
        comments.get(path).cloned().unwrap_or_default()
    }
}

fn comments(file: &FileDescriptor) -> Comments {
    let source = file.file_descriptor_proto().source_code_info.as_ref();
    let locations = source.into_iter().flat_map(|source| &source.location);
    let commented = locations.filter_map(|location| {
        let comment = location.leading_comments.as_ref()?;
        let lines: Vec<_> = comment.lines().map(str::trim).collect();
        Some((location.path.clone(), lines.join("\n").trim().to_owned()))
    });
    commented.collect()
}

/// The schema of a field.
fn of(field: &FieldDescriptor) -> Value {
    let one = match field.kind() {
        Kind::Message(message) if message.full_name() == TIMESTAMP => {
            json!({"type": "string", "format": "date-time"})
        }
        Kind::Message(message) => reference(message.full_name()),
        Kind::Enum(names) => reference(names.full_name()),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Uint32 | Kind::Fixed32 => {
            json!({"type": "integer", "minimum": 0, "maximum": u32::MAX})
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX})
        }
        // As proto3 JSON has them: a number of JavaScript cannot hold them.
        Kind::Uint64 | Kind::Fixed64 | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({"type": "string", "pattern": "^-?[0-9]+$"})
        }
        Kind::Double | Kind::Float => json!({"type": "number"}),
        Kind::String => json!({"type": "string"}),
    };
    if field.is_list() {
        json!({"type": "array", "items": one})
    } else {
        one
    }
}

/// That of the fields of a `oneof` there is one at most.
fn either(message: &MessageDescriptor) -> Vec<Value> {
    let mut either = Vec::new();
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let names: Vec<_> = oneof
            .fields()
            .map(|field| field.json_name().to_owned())
            .collect();
        for (at, one) in names.iter().enumerate() {
            let others = names.iter().skip(at + 1);
            either.extend(others.map(|other| json!({"not": {"required": [one, other]}})));
        }
    }
    either
}

fn described(mut schema: Value, comment: String) -> Value {
    if let Some(schema) = schema.as_object_mut()
        && !comment.is_empty()
    {
        schema.insert("description".into(), comment.into());
    }
    schema
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn reference_to_error() -> Value {
    reference("connect.Error")
}

/// An error of the Connect protocol.
fn error() -> Value {
    json!({
        "type": "object",
        "description": "Why there is no answer; docs/errors.md says what a gateway does about each.",
        "required": ["code"],
        "properties": {
            "code": {"type": "string", "enum": CODES},
            "message": {"type": "string", "description": "For people; it may change."},
            "details": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["type", "value"],
                    "properties": {
                        "type": {
                            "type": "string",
                            "description": "`google.rpc.ErrorInfo` in every error, whose `reason` is \
                                            stable; `google.rpc.BadRequest` where fields are wrong, \
                                            `google.rpc.RetryInfo` where the server says when to ask \
                                            again.",
                        },
                        "value": {
                            "type": "string",
                            "contentEncoding": "base64",
                            "description": "The message in protobuf; without padding.",
                        },
                        "debug": {"description": "The same message in JSON."},
                    },
                },
            },
        },
    })
}

const CODES: [&str; 16] = [
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

const TIMESTAMP: &str = "google.protobuf.Timestamp";

const DESCRIPTION: &str = "\
The unary calls of Postern's contract over HTTP, in the Connect protocol: JSON here, protobuf with \
`application/proto`. Let mail pass on `VERDICT_ACCEPT` alone: a verdict that you do not know is not \
an accept, and an error is never a verdict. Fields at their default are left out of answers. What is \
read may use the names of the contract (`client_ip`), too; a field that is not known is refused.";
