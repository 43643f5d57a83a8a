//! What to say about a key that a table does not know: the nearest one, the table it belongs in,
//! or Postern's word for another system's.

use super::table::{Field, Step};

/// A word of another system, and what to write instead. The word is folded: lower case, without
/// separators.
pub(crate) type Word = (&'static str, &'static str);

/// What helps with an unknown key.
#[derive(Debug)]
pub(crate) struct Advice {
    /// What to write instead.
    pub(crate) help: String,
    /// The key of the same table that was likely meant.
    pub(crate) meant: Option<&'static str>,
}

/// Finds what to say about the unknown `key` in the table at `path` of a file with `root`'s keys.
pub(crate) fn advise(key: &str, path: &[Step], root: &'static [Field], words: &[Word]) -> Advice {
    let folded = fold(key);
    let mut places = Vec::new();
    collect(root, &mut Vec::new(), &mut places);
    let here: Vec<_> = places
        .iter()
        .filter(|(at, _)| at == path)
        .map(|(_, field)| *field)
        .collect();

    if let Some(field) = here.iter().find(|field| fold(field.key) == folded) {
        let help = format!("it is written `{}`", spelled(path, field));
        return Advice {
            help,
            meant: Some(field.key),
        };
    }
    if let Some((_, advice)) = words.iter().find(|(word, _)| *word == folded) {
        let meant = here.iter().find(|field| speaks_of(advice, field.key));
        return Advice {
            help: (*advice).to_owned(),
            meant: meant.map(|field| field.key),
        };
    }
    if let Some(other) = elsewhere(&folded, path, &places) {
        let help = match other {
            Elsewhere::Key(key, tables) => format!("`{key}` belongs {tables}"),
            Elsewhere::Tables(headings) => format!("write it as {headings}"),
        };
        return Advice { help, meant: None };
    }
    let near = here
        .iter()
        .map(|field| (distance(&folded, field.key), *field));
    let near = near.filter(|(off, field)| *off <= allowed(field.key));
    if let Some((_, field)) = near.min_by_key(|(off, _)| *off) {
        let help = format!("did you mean `{}`?", spelled(path, field));
        return Advice {
            help,
            meant: Some(field.key),
        };
    }
    let near = places
        .iter()
        .map(|(_, field)| (distance(&folded, field.key), field.key));
    let near = near.filter(|(off, key)| *off <= allowed(key)).min();
    if let Some(other) = near.and_then(|(_, key)| elsewhere(&fold(key), path, &places)) {
        let help = match other {
            Elsewhere::Key(key, tables) => {
                format!("did you mean `{key}`? it belongs {tables}")
            }
            Elsewhere::Tables(headings) => format!("did you mean {headings}?"),
        };
        return Advice { help, meant: None };
    }
    let known: Vec<_> = here
        .iter()
        .map(|field| format!("`{}`", field.key))
        .collect();
    Advice {
        help: format!("the keys here are {}", known.join(", ")),
        meant: None,
    }
}

/// What to write for `key = true` or `key = false`, where a text is wanted.
pub(crate) fn advise_boolean(key: &str, on: bool, words: &'static [Word]) -> Option<&'static str> {
    let word = format!("{key}={on}");
    words
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, advice)| *advice)
}

/// A table as its header is written; the top of the file is empty.
pub(crate) fn heading(path: &[Step]) -> String {
    let keys: Vec<_> = path.iter().map(|step| step.key).collect();
    match path.last() {
        None => String::new(),
        Some(Step { many: true, .. }) => format!("[[{}]]", keys.join(".")),
        Some(_) => format!("[{}]", keys.join(".")),
    }
}

/// Where a key stands, to follow a noun.
pub(crate) fn inside(path: &[Step]) -> String {
    if path.is_empty() {
        "at the top of the file".to_owned()
    } else {
        format!("in `{}`", heading(path))
    }
}

/// A key as it may be shown in one line: control characters escaped, very long ones cut.
pub(crate) fn shown(key: &str) -> String {
    let mut shown: String = key.chars().take(LONGEST_SHOWN).flat_map(escape).collect();
    if key.chars().nth(LONGEST_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn escape(character: char) -> impl Iterator<Item = char> {
    let plain = (!character.is_control()).then_some(character);
    let escaped = character.is_control().then(|| character.escape_default());
    plain.into_iter().chain(escaped.into_iter().flatten())
}

/// Where else in the file a key is known.
enum Elsewhere {
    /// The key as it is written, and in which tables.
    Key(&'static str, String),
    /// The headers, where it is a table itself.
    Tables(String),
}

/// The tables other than the one at `path` that know the key, of its own branch before others.
fn elsewhere(
    folded: &str,
    path: &[Step],
    places: &[(Vec<Step>, &'static Field)],
) -> Option<Elsewhere> {
    let mut others: Vec<_> = places
        .iter()
        .filter(|(at, field)| at != path && fold(field.key) == folded)
        .collect();
    let branch = path.first();
    if branch.is_some() && others.iter().any(|(at, _)| at.first() == branch) {
        others.retain(|(at, _)| at.first() == branch);
    }
    let (_, field) = others.first()?;
    if field.fields.is_some() {
        let headings = others
            .iter()
            .map(|(at, field)| format!("`{}`", spelled(at, field)));
        return Some(Elsewhere::Tables(headings.collect::<Vec<_>>().join(" or ")));
    }
    let tables = others.iter().map(|(at, _)| inside(at));
    Some(Elsewhere::Key(
        field.key,
        tables.collect::<Vec<_>>().join(" or "),
    ))
}

/// Whether `advice` says to write `key`.
fn speaks_of(advice: &str, key: &str) -> bool {
    let quoted = advice.split('`').skip(1).step_by(2);
    let mut keys = quoted.map(|line| line.split(" =").next().unwrap_or_default());
    keys.any(|written| written == key)
}

/// A key as it is written in the table at `path`: tables by their header.
fn spelled(path: &[Step], field: &Field) -> String {
    if field.fields.is_none() {
        return field.key.to_owned();
    }
    let mut path = path.to_vec();
    path.push(Step {
        key: field.key,
        many: field.many,
    });
    heading(&path)
}

fn collect(
    fields: &'static [Field],
    path: &mut Vec<Step>,
    places: &mut Vec<(Vec<Step>, &'static Field)>,
) {
    for field in fields {
        places.push((path.clone(), field));
        if let Some(inner) = field.fields {
            path.push(Step {
                key: field.key,
                many: field.many,
            });
            collect(inner, path, places);
            path.pop();
        }
    }
}

fn distance(folded: &str, key: &str) -> usize {
    if folded.len() > LONGEST_SHOWN {
        return usize::MAX;
    }
    strsim::damerau_levenshtein(folded, &fold(key))
}

/// How many slips of the pen a key may be off and still be recognised.
fn allowed(key: &str) -> usize {
    (key.len() / 3).clamp(1, 3)
}

/// Without case and separators, so that `SenderDomains`, `sender-domains` and `sender_domains` are
/// one word.
fn fold(key: &str) -> String {
    key.chars()
        .filter(|character| !matches!(character, '_' | '-' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

const LONGEST_SHOWN: usize = 64;
