//! The text that a program can say: the string literals of its source.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A text, and the file that has it.
#[derive(Debug, Clone)]
pub struct Literal {
    /// The file.
    pub file: PathBuf,
    /// The text as the program has it.
    pub text: String,
}

/// The string literals of Rust files below `directory`, but for comments and tests.
///
/// # Panics
/// If a file cannot be read or is not Rust.
pub fn literals(directory: &Path) -> Vec<Literal> {
    let mut found = Vec::new();
    for file in files(directory, "rs") {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let tokens = TokenStream::from_str(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let mut texts = Vec::new();
        collect(tokens, &mut texts);
        found.extend(texts.into_iter().map(|text| Literal { file: file.clone(), text }));
    }
    found
}

/// Files below `directory` whose names have the ending; none that are tests.
///
/// # Panics
/// If a directory cannot be read.
pub fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("tests") {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|found| found == ending) && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<String>) {
    let mut tokens = tokens.into_iter().peekable();
    // Behind `#[cfg(test)]` the next item is a test's.
    let mut test = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                // `#![…]`, of what stands around it.
                tokens.next_if(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!'));
                if let Some(TokenTree::Group(group)) = tokens.next_if(is_attribute) {
                    test |= is_of_tests(&group);
                    if !is_comment(&group) {
                        collect(group.stream(), found);
                    }
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => test = false,
            TokenTree::Group(group) if test && group.delimiter() == Delimiter::Brace => test = false,
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Literal(literal) => {
                // Numbers, characters and bytes are no text.
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push(text.value());
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn is_attribute(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
}

fn is_of_tests(attribute: &Group) -> bool {
    attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn is_comment(attribute: &Group) -> bool {
    matches!(attribute.stream().into_iter().next(), Some(TokenTree::Ident(name)) if name == "doc")
}
