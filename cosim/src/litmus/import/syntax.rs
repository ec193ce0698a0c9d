// Copyright the mmu-cosim authors. SPDX-License-Identifier: Apache-2.0
//! The outer form of a herd-style test: header, information, initial state, table of instructions,
//! condition. What stands in each piece is read elsewhere.

use super::{ImportError, unsupported};

/// A piece of text with the number of the line on which it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Line, from 1.
    pub line: usize,
    /// The text, without blanks around it.
    pub text: &'a str,
}

/// A test in pieces.
#[derive(Debug)]
pub struct Test<'a> {
    /// Its declared name.
    pub name: &'a str,
    /// `key = value` lines.
    pub information: Vec<(Piece<'a>, &'a str)>,
    /// Entries of the initial state.
    pub initial: Vec<Piece<'a>>,
    /// Cells of each thread, empty ones left out.
    pub threads: Vec<Vec<Piece<'a>>>,
    /// `exists`, `~exists` or `forall`.
    pub quantifier: &'a str,
    /// What follows it.
    pub condition: Piece<'a>,
}

/// `text` with its comments made blank; lines keep their numbers.
pub fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("(*") {
        let (before, comment) = rest.split_at(start);
        let end = comment.find("*)").map_or(comment.len(), |end| end + 2);
        out.push_str(before);
        out.extend(
            comment[..end]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        rest = &comment[end..];
    }
    out.push_str(rest);
    out
}

/// Cuts pieces out of one text and knows their lines.
struct Cutter<'a> {
    text: &'a str,
}

impl<'a> Cutter<'a> {
    fn piece(&self, start: usize, end: usize) -> Piece<'a> {
        let text = &self.text[start..end];
        let blanks = text.len() - text.trim_start().len();
        let before = &self.text[..start + blanks];
        Piece {
            line: before.matches('\n').count() + 1,
            text: text.trim(),
        }
    }

    /// The pieces of `start..end` between `marks`.
    fn split(&self, (start, end): (usize, usize), marks: &[char]) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut from = start;
        for (at, mark) in self.text[start..end].match_indices(marks) {
            pieces.push(self.piece(from, start + at));
            from = start + at + mark.len();
        }
        pieces.push(self.piece(from, end));
        pieces
    }
}

const ENDS: [&str; 7] = [
    "exists",
    "~exists",
    "~ exists",
    "forall",
    "locations",
    "filter",
    "observed",
];

/// Cuts a test, whose comments are blank already, into its pieces.
///
/// # Errors
/// The first piece that is missing, or that is of no known form.
pub fn cut(text: &str) -> Result<Test<'_>, ImportError> {
    let cutter = Cutter { text };
    let open = text
        .find('{')
        .ok_or_else(|| unsupported(1, "there is no initial state `{ ... }`"))?;
    let close = text[open..].find('}').map(|close| open + close);
    let line = cutter.piece(open, open + 1).line;
    let close = close.ok_or_else(|| unsupported(line, "the initial state has no `}`"))?;
    let (name, information) = header(&cutter, open)?;
    let body = close + 1;
    let mut at = body;
    let mut end = None;
    for line in text[body..].split_inclusive('\n') {
        if ENDS.iter().any(|word| line.trim_start().starts_with(word)) {
            end = Some(at);
            break;
        }
        at += line.len();
    }
    let end = end.ok_or_else(|| {
        let last = cutter.piece(text.len(), text.len()).line;
        unsupported(last, "there is no condition: exists, ~exists or forall")
    })?;
    let (quantifier, condition) = condition(&cutter, end)?;
    let initial = cutter.split((open + 1, close), &[';']);
    Ok(Test {
        name,
        information,
        initial: initial.into_iter().filter(|p| !p.text.is_empty()).collect(),
        threads: threads(&cutter, (body, end))?,
        quantifier,
        condition,
    })
}

/// The name of the test and the information before the initial state.
type Header<'a> = (&'a str, Vec<(Piece<'a>, &'a str)>);

fn header<'a>(cutter: &Cutter<'a>, end: usize) -> Result<Header<'a>, ImportError> {
    let lines = cutter.split((0, end), &['\n']);
    let mut lines = lines.into_iter().filter(|piece| !piece.text.is_empty());
    let first = lines
        .next()
        .ok_or_else(|| unsupported(1, "the first line is `AArch64` and a name"))?;
    let name = first.text.strip_prefix("AArch64").map(str::trim);
    let Some(name) = name.filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))
    else {
        return Err(unsupported(
            first.line,
            "the first line is `AArch64` and a name",
        ));
    };
    let mut information = Vec::new();
    let mut quoted = false;
    for piece in lines {
        // A text in quotes, of one line or more, describes the test.
        let quotes = piece.text.matches('"').count();
        if quoted || quotes > 0 {
            quoted ^= quotes % 2 == 1;
            continue;
        }
        if let Some((key, value)) = piece.text.split_once('=') {
            let key = Piece {
                line: piece.line,
                text: key.trim(),
            };
            information.push((key, value.trim()));
        }
    }
    Ok((name, information))
}

fn threads<'a>(
    cutter: &Cutter<'a>,
    (start, end): (usize, usize),
) -> Result<Vec<Vec<Piece<'a>>>, ImportError> {
    let mut threads: Vec<Vec<Piece<'a>>> = Vec::new();
    let mut from = start;
    for (at, _) in cutter.text[start..end].match_indices(';') {
        let cells = cutter.split((from, start + at), &['|']);
        from = start + at + 1;
        if threads.is_empty() {
            for (number, cell) in cells.iter().enumerate() {
                if cell.text != format!("P{number}") {
                    let message = format!("`{}` stands where P{number} is expected", cell.text);
                    return Err(unsupported(cell.line, message));
                }
                threads.push(Vec::new());
            }
            continue;
        }
        for (number, cell) in cells.into_iter().enumerate() {
            match threads.get_mut(number) {
                Some(thread) if !cell.text.is_empty() => thread.push(cell),
                None if !cell.text.is_empty() => {
                    return Err(unsupported(cell.line, "more cells than threads"));
                }
                _ => {}
            }
        }
    }
    let rest = cutter.piece(from, end);
    match rest.text.is_empty() && !threads.is_empty() {
        true => Ok(threads),
        false => Err(unsupported(rest.line, "a row of threads ends with `;`")),
    }
}

fn condition<'a>(cutter: &Cutter<'a>, start: usize) -> Result<(&'a str, Piece<'a>), ImportError> {
    let mut from = start;
    loop {
        let rest = cutter.piece(from, cutter.text.len());
        // Where `rest` begins in the text.
        from = cutter.text.len() - cutter.text[from..].trim_start().len();
        if rest.text.starts_with("locations") {
            let close = rest.text.find(']');
            from += close.ok_or_else(|| unsupported(rest.line, "`locations` has no `]`"))? + 1;
            continue;
        }
        let words = [
            ("exists", "exists"),
            ("~exists", "~exists"),
            ("~ exists", "~exists"),
            ("forall", "forall"),
        ];
        let known = words.iter().find(|(word, _)| rest.text.starts_with(word));
        let Some((word, quantifier)) = known else {
            let word = rest.text.split_whitespace().next().unwrap_or_default();
            return Err(unsupported(
                rest.line,
                format!("the condition begins with `{word}`"),
            ));
        };
        let piece = cutter.piece(from + word.len(), cutter.text.len());
        return Ok((*quantifier, piece));
    }
}
