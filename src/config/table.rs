//! Reads tables of a TOML file into plain structs, with the place of every value.
//!
//! It goes through the parsed tree instead of serde, which stops at the first fault: here every
//! unknown key and every wrong type of a file is found in one run.

use std::{fmt::Display, ops::Range};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    finding::{Finding, Findings},
    words::{self, Word},
};

/// A value, and the bytes of the file where it stands.
///
/// For a table they are its header, the braces of an inline table, or the first key that made it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its bytes.
    pub span: Range<usize>,
}

/// The keys of a table that are written, but could not be read, so that no later check calls them
/// missing. Each has its finding already.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Unread(Vec<String>);

impl Unread {
    /// Whether nothing was left unread.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `key` was written in a way that could not be read, wholly or in part.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|unread| unread == key)
    }

    /// Notes that `key` could not be read.
    pub(crate) fn add(&mut self, key: impl Into<String>) {
        self.0.push(key.into());
    }
}

/// A key that a table may have.
#[derive(Debug)]
pub(crate) struct Field {
    /// The key as it is written.
    pub(crate) key: &'static str,
    /// A line that shows how it is written; empty for tables.
    pub(crate) example: &'static str,
    /// Whether it is a list of tables, `[[key]]`.
    pub(crate) many: bool,
    /// The keys of the table; none where it is a plain value.
    pub(crate) fields: Option<&'static [Field]>,
}

/// A table on the way from the top of a file to a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Step {
    pub(crate) key: &'static str,
    pub(crate) many: bool,
}

/// What the readers of one file share.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    /// Where in the file the text begins.
    base: usize,
    root: &'static [Field],
    words: &'static [Word],
    path: Vec<Step>,
    findings: &'a mut Findings,
}

impl<'a> Reader<'a> {
    /// Reads a file with the keys of `T` at its top; `words` of other systems are explained.
    pub(crate) fn read<T: Table>(
        text: &'a str,
        root: &DeTable<'_>,
        words: &'static [Word],
        findings: &'a mut Findings,
    ) -> T {
        Self::read_from(0, text, root, words, findings)
    }

    /// The same of a part of a file, which begins at `base`. Only the places of values count from
    /// the beginning of the file; those of findings do not.
    pub(crate) fn read_from<T: Table>(
        base: usize,
        text: &'a str,
        root: &DeTable<'_>,
        words: &'static [Word],
        findings: &'a mut Findings,
    ) -> T {
        let mut reader = Self {
            text,
            base,
            root: T::KEYS,
            words,
            path: Vec::new(),
            findings,
        };
        T::gather(root, &mut reader)
    }

    /// Records a key that the table has no use for; the answer is the key that was likely meant.
    pub(crate) fn unknown(&mut self, key: &Spanned<DeString<'_>>) -> String {
        let name = key.get_ref().as_ref();
        let advice = words::advise(name, &self.path, self.root, self.words);
        let message = format!(
            "unknown key `{}` {}",
            words::shown(name),
            words::inside(&self.path)
        );
        let finding = Finding::error("key-unknown", key.span(), message).help(advice.help);
        self.findings.push(finding);
        advice.meant.map_or_else(|| name.to_owned(), str::to_owned)
    }

    /// The bytes of the file where `value` stands.
    pub(crate) fn place<T>(&self, value: &Spanned<T>) -> Range<usize> {
        let span = value.span();
        self.base + span.start..self.base + span.end
    }

    /// Goes into the table of `field`.
    pub(crate) fn enter(&mut self, field: &Field) {
        self.path.push(Step {
            key: field.key,
            many: field.many,
        });
    }

    /// Goes back to the table around it.
    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// Records that `value` is of a wrong type; `what` is its name in the sentence.
    pub(crate) fn wrong(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        what: &str,
        wanted: &str,
        help: impl Into<String>,
    ) {
        self.wrong_as(value, found(value.get_ref()), [what, wanted], help);
    }

    /// The same, where the type alone does not say what is `found`.
    pub(crate) fn wrong_as(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        found: impl Display,
        [what, wanted]: [&str; 2],
        help: impl Into<String>,
    ) {
        let message = format!("{what} must be {wanted}, not {found}");
        self.findings
            .push(Finding::error("type-wrong", value.span(), message).help(help));
    }

    /// What to write instead of `true` or `false` where the key takes a text.
    pub(crate) fn boolean(&self, field: &Field, on: bool) -> Option<&'static str> {
        words::advise_boolean(field.key, on, self.words)
    }

    /// How the tables of `field` are begun.
    pub(crate) fn heading(&self, field: &Field) -> String {
        let mut path = self.path.clone();
        path.push(Step {
            key: field.key,
            many: field.many,
        });
        words::heading(&path)
    }

    /// The text of the file at `span`.
    pub(crate) fn source(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }
}

/// A struct that is read from a table; the macro `table!` writes it.
pub(crate) trait Table: Default {
    /// The keys the table may have.
    const KEYS: &'static [Field];

    /// Takes what can be taken from `table`; the rest is left to the findings.
    fn gather(table: &DeTable<'_>, reader: &mut Reader<'_>) -> Self;

    /// What is written in it, but could not be read.
    fn unread(&mut self) -> &mut Unread;
}

/// What one key of a table can hold.
pub(crate) trait Value: Sized {
    /// The keys, where it is a table.
    const FIELDS: Option<&'static [Field]> = None;

    /// Takes the value, and says whether all of it was taken.
    fn take(
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
    ) -> (Option<Self>, bool);
}

/// What a key fills: one value, or a list of tables.
pub(crate) trait Slot {
    /// Whether it is a list of tables.
    const MANY: bool;
    /// The keys, where it holds tables.
    const FIELDS: Option<&'static [Field]>;

    /// Takes what `value` holds, and notes in `unread` where something was left.
    fn fill(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        field: &'static Field,
        reader: &mut Reader<'_>,
        unread: &mut Unread,
    );
}

/// Declares a struct that is read from a TOML table: each line names a field, what it holds, its
/// key, and a line that shows how it is written. The doc comments go into the JSON Schema.
macro_rules! table {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $($(#[$note:meta])* $field:ident: $slot:ty = $key:literal $(=> $example:literal)?;)*
        }
    ) => {
        #[derive(Clone, Debug, Default, PartialEq, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$attribute])*
        pub struct $name {
            $($(#[$note])* #[schemars(rename = $key)] pub $field: $slot,)*
            /// What is written here, but could not be read.
            #[schemars(skip)]
            pub unread: $crate::config::table::Unread,
        }

        impl $crate::config::table::Table for $name {
            const KEYS: &'static [$crate::config::table::Field] = &[
                $($crate::config::table::Field {
                    key: $key,
                    example: concat!($($example)?),
                    many: <$slot as $crate::config::table::Slot>::MANY,
                    fields: <$slot as $crate::config::table::Slot>::FIELDS,
                },)*
            ];

            fn gather(
                table: &toml::de::DeTable<'_>,
                reader: &mut $crate::config::table::Reader<'_>,
            ) -> Self {
                let mut raw = Self::default();
                for (key, value) in table {
                    let name = key.get_ref().as_ref();
                    let known = <Self as $crate::config::table::Table>::KEYS.iter().find(|field| field.key == name);
                    match (name, known) {
                        $(($key, Some(known)) => $crate::config::table::Slot::fill(
                            &mut raw.$field, value, known, reader, &mut raw.unread,
                        ),)*
                        _ => raw.unread.add(reader.unknown(key)),
                    }
                }
                raw
            }

            fn unread(&mut self) -> &mut $crate::config::table::Unread {
                &mut self.unread
            }
        }

        impl $crate::config::table::Value for $name {
            const FIELDS: Option<&'static [$crate::config::table::Field]> =
                Some(<Self as $crate::config::table::Table>::KEYS);

            fn take(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                field: &'static $crate::config::table::Field,
                reader: &mut $crate::config::table::Reader<'_>,
            ) -> (Option<Self>, bool) {
                $crate::config::value::take_table(value, field, reader)
            }
        }
    };
}
pub(crate) use table;

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(_) | DeValue::Float(_) => "a number".to_owned(),
        DeValue::Boolean(on) => format!("`{on}`"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
