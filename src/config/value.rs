//! What a key of a file can hold, and what is said where it holds something else.

use toml::{Spanned, de::DeValue};

use super::{
    table::{At, Field, Reader, Slot, Table, Unread, Value},
    words::shown,
};

impl Value for bool {
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            reader.wrong(
                value,
                &named(field),
                "true or false",
                format!("write `{}`", field.example),
            );
        }
        (read, read.is_some())
    }
}

impl Value for i64 {
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        let read = value.get_ref().as_integer();
        let read = read.and_then(|read| Self::from_str_radix(read.as_str(), read.radix()).ok());
        if read.is_none() {
            let (what, wanted) = (named(field), "a whole number");
            let help = format!("write `{}`", field.example);
            match value.get_ref() {
                DeValue::Float(_) => {
                    let found = format!("`{}`", shown(reader.source(value.span())));
                    reader.wrong_as(value, found, [&what, wanted], help);
                }
                _ => reader.wrong(value, &what, wanted, help),
            }
        }
        (read, read.is_some())
    }
}

impl Value for f64 {
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        let read = match value.get_ref() {
            DeValue::Float(read) => read.as_str().parse().ok(),
            DeValue::Integer(read) if read.radix() == 10 => read.as_str().parse().ok(),
            _ => None,
        };
        if read.is_none() {
            let help = format!("write `{}`", field.example);
            reader.wrong(value, &named(field), "a number", help);
        }
        (read, read.is_some())
    }
}

impl Value for String {
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        if let Some(text) = value.get_ref().as_str() {
            return (Some(text.to_owned()), true);
        }
        let help = match value.get_ref() {
            DeValue::Boolean(on) => reader
                .boolean(field, *on)
                .map_or_else(|| format!("write `{}`", field.example), str::to_owned),
            DeValue::Array(list) => match list.as_ref() {
                [only] if only.get_ref().is_str() => {
                    let source = shown(reader.source(only.span()));
                    format!("write `{} = {source}`", field.key)
                }
                _ => format!("it takes one text, as in `{}`", field.example),
            },
            DeValue::Table(_) => format!("write `{}`", field.example),
            _ => format!("put it in quotes, as in `{}`", field.example),
        };
        reader.wrong(value, &named(field), "a text in quotes", help);
        (None, false)
    }
}

impl Value for Vec<At<String>> {
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        let Some(list) = value.get_ref().as_array() else {
            let help = match value.get_ref() {
                DeValue::String(_) => {
                    let source = shown(reader.source(value.span()));
                    format!("put it in brackets: `{} = [{source}]`", field.key)
                }
                _ => format!("write `{}`", field.example),
            };
            reader.wrong(value, &named(field), "a list of texts in brackets", help);
            return (None, false);
        };
        let mut texts = Self::with_capacity(list.len());
        for entry in list {
            if let Some(text) = entry.get_ref().as_str() {
                texts.push(At {
                    value: text.to_owned(),
                    span: reader.place(entry),
                });
            } else {
                let what = format!("an entry of `{}`", field.key);
                let help = format!("write `{}`", field.example);
                reader.wrong(entry, &what, "a text in quotes", help);
            }
        }
        let whole = texts.len() == list.len();
        (Some(texts), whole)
    }
}

/// One text, or a list of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Texts(pub Vec<At<String>>);

impl Value for Texts {
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool) {
        if let Some(text) = value.get_ref().as_str() {
            let text = At {
                value: text.to_owned(),
                span: reader.place(value),
            };
            return (Some(Self(vec![text])), true);
        }
        if value.get_ref().is_array() {
            let (texts, whole) = Vec::take(value, field, reader);
            return (texts.map(Self), whole);
        }
        let help = format!("put it in quotes, as in `{}`", field.example);
        reader.wrong(
            value,
            &named(field),
            "a text in quotes or a list of them",
            help,
        );
        (None, false)
    }
}

impl<T: Value> Slot for Option<At<T>> {
    const MANY: bool = false;
    const FIELDS: Option<&'static [Field]> = T::FIELDS;

    fn fill(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
        unread: &mut Unread,
    ) {
        let (taken, whole) = T::take(value, field, reader);
        if !whole {
            unread.add(field.key);
        }
        *self = taken.map(|taken| At {
            value: taken,
            span: reader.place(value),
        });
    }
}

impl<T: Table> Slot for Vec<At<T>> {
    const MANY: bool = true;
    const FIELDS: Option<&'static [Field]> = Some(T::KEYS);

    fn fill(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
        unread: &mut Unread,
    ) {
        let list = match value.get_ref() {
            DeValue::Array(list) => list.as_ref(),
            _ => std::slice::from_ref(value),
        };
        let single = !value.get_ref().is_array();
        for entry in list {
            let table = entry.get_ref().as_table();
            if single || table.is_none() {
                let help = format!("begin each one with `{}`", reader.heading(field));
                if single {
                    reader.wrong(entry, &named(field), "a list of tables", help);
                } else {
                    let what = format!("an entry of `{}`", field.key);
                    reader.wrong(entry, &what, "a table", help);
                }
                unread.add(field.key);
            }
            if let Some(table) = table {
                reader.enter(field);
                let mut value = T::gather(table, reader);
                // Why: a table that is not begun as one of many may hold what is meant for several, or
                // for the file: what is missing in it is no fault of its own.
                for field in T::KEYS.iter().filter(|_| single) {
                    value.unread().add(field.key);
                }
                self.push(At {
                    value,
                    span: reader.place(entry),
                });
                reader.leave();
            }
        }
    }
}

/// Takes a table that stands once in its parent.
pub(crate) fn take_table<T: Table>(
    value: &Spanned<DeValue<'_>>,
    field: &'static Field,
    reader: &mut Reader<'_>,
) -> (Option<T>, bool) {
    let (table, whole) = match value.get_ref() {
        DeValue::Table(table) => (Some(table), true),
        DeValue::Array(list) => (
            list.first().and_then(|first| first.get_ref().as_table()),
            false,
        ),
        _ => (None, false),
    };
    if !whole {
        let help = format!("write it once, as `{}`", reader.heading(field));
        reader.wrong(value, &named(field), "a table", help);
    }
    reader.enter(field);
    let taken = table.map(|table| T::gather(table, reader));
    reader.leave();
    (taken, whole)
}

fn named(field: &Field) -> String {
    format!("`{}`", field.key)
}
