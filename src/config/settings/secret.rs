//! Texts that nobody is to read in a log, a message or a screenshot.

use std::fmt;

/// A text that is used and never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for who has to send it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The text of a settings file with stars in the place of the headers' values, octet for octet: a
/// finding shows the lines around it.
pub fn without_secrets(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let (mut section, mut braces) = (false, 0);
    for line in text.split_inclusive('\n') {
        if braces == 0 && line.trim_start().starts_with('[') {
            section = line.contains("headers");
        }
        // Why any line that has the word: rather a star too many than a secret shown.
        let named = line.contains("headers") && !line.contains("headers_file");
        if section || braces > 0 || named {
            braces = (braces + mask(line, &mut masked)).max(0);
        } else {
            masked.push_str(line);
        }
    }
    masked
}

/// Appends `line` with stars for the texts behind a `=`; the answer is how many more braces it
/// opens than it closes.
fn mask(line: &str, masked: &mut String) -> i32 {
    let (mut quote, mut value, mut braces) = (None, false, 0);
    for character in line.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (None, '=') => value = true,
            (None, ',' | '{') => {
                value = false;
                braces += i32::from(character == '{');
            }
            (None, '}') => braces -= 1,
            (Some(begun), _) if begun == character => quote = None,
            (Some(_), '\n' | '\r') | (None, _) => {}
            (Some(_), _) if value => {
                masked.extend(std::iter::repeat_n('*', character.len_utf8()));
                continue;
            }
            (Some(_), _) => {}
        }
        masked.push(character);
    }
    braces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("Bearer 4711");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.reveal(), "Bearer 4711");
    }

    #[test]
    fn the_values_of_headers_are_not_shown() {
        let cases = [
            (
                "[tracing]\nheaders = { a = \"k=1, ü\", 'b' = 'x' } # n\nsample = 2\n",
                "[tracing]\nheaders = { a = \"*******\", 'b' = '*' } # n\nsample = 2\n",
            ),
            (
                "[tracing.headers]\na = \"s\"\n\"b c\" = \"t\"\n[admin]\nlisten = \"u\"\n",
                "[tracing.headers]\na = \"*\"\n\"b c\" = \"*\"\n[admin]\nlisten = \"u\"\n",
            ),
            (
                "tracing.headers.a = \"s\nsample = \"u\"",
                "tracing.headers.a = \"*\nsample = \"u\"",
            ),
            (
                "headers = {\n  a = \"s\",\n  b = \"t\"\n}\nx = \"u\"\n",
                "headers = {\n  a = \"*\",\n  b = \"*\"\n}\nx = \"u\"\n",
            ),
        ];
        for (text, shown) in cases {
            assert_eq!(without_secrets(text), shown);
            assert_eq!(text.len(), shown.len());
        }
    }
}
