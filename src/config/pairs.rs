//! A table of names and texts, where the names are the operator's.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::{Spanned, de::DeValue};

use super::table::{Field, Reader, Value};

/// Names with their texts, as they are written; no text where the value is none. Nothing is said of
/// them when they are read: they may be secrets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pairs(pub Vec<(String, Option<String>)>);

impl Value for Pairs {
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        let Some(table) = value.get_ref().as_table() else {
            let help = format!("write `{}`", field.example);
            let what = format!("`{}`", field.key);
            reader.wrong(value, &what, "a table of names and texts", help);
            return (None, false);
        };
        let pair = |(name, value): (&Spanned<toml::de::DeString<'_>>, &Spanned<DeValue<'_>>)| {
            let text = value.get_ref().as_str().map(str::to_owned);
            (name.get_ref().as_ref().to_owned(), text)
        };
        (Some(Self(table.iter().map(pair).collect())), true)
    }
}

impl JsonSchema for Pairs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pairs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}
