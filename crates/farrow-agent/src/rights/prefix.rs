//! Prefixes of frame names, as rules have them and as requests do.

use farrow_store::FrameName;

/// A prefix of whole path components, as a rule names it: `sales/` is what is below `sales`, `sales` is that and the
/// frame `sales` itself (but not `salesforce/leads`), and the empty one is everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(String);

/// A part of a listing: frames that are all in it, or one frame.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    /// What the names begin with.
    pub(crate) start: String,
    /// Whether it is the one frame with just this name.
    pub(crate) exact: bool,
}

impl Prefix {
    /// The prefix of every name.
    pub(crate) fn all() -> Self {
        Self(String::new())
    }

    /// Reads a rule's prefix.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('/').unwrap_or(text);
        if !text.is_empty() {
            FrameName::parse(name).map_err(|error| error.to_string())?;
        }
        Ok(Self(text.to_owned()))
    }

    /// As it is written in the rule.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a frame of that name is in it.
    pub(crate) fn covers(&self, name: &FrameName) -> bool {
        let name = name.as_str();
        self.covers_all(name) || name == self.0
    }

    /// Whether every frame whose name begins with `start`, a plain text, is in it.
    pub(crate) fn covers_all(&self, start: &str) -> bool {
        match start.strip_prefix(&*self.0) {
            Some(rest) => self.0.is_empty() || self.0.ends_with('/') || rest.starts_with('/'),
            None => false,
        }
    }

    /// Which frames whose names begin with `start` are in it.
    fn scopes(&self, start: &str) -> Vec<Scope> {
        let below = |start: String| Scope { start, exact: false };
        if self.covers_all(start) {
            return vec![below(start.to_owned())];
        }
        if !self.0.starts_with(start) {
            return Vec::new();
        }
        if self.0.ends_with('/') {
            return vec![below(self.0.clone())];
        }
        vec![Scope { start: self.0.clone(), exact: true }, below(format!("{}/", self.0))]
    }
}

/// Which frames whose names begin with `start` are in any of `prefixes`: by name, each once.
pub(crate) fn scopes<'a>(prefixes: impl IntoIterator<Item = &'a Prefix>, start: &str) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = prefixes.into_iter().flat_map(|prefix| prefix.scopes(start)).collect();
    // Of two that begin alike the wider one comes first, and what it holds is left out.
    scopes.sort();
    scopes.dedup_by(|later, kept| later == kept || (!kept.exact && later.start.starts_with(&kept.start)));
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FrameName {
        FrameName::parse(text).unwrap()
    }

    #[test]
    fn a_prefix_matches_whole_components() {
        for (prefix, frame, covered) in [
            ("", "a", true),
            ("", "a/b/c", true),
            ("sales/", "sales/orders", true),
            ("sales/", "sales/2024/orders", true),
            ("sales/", "sales", false),
            ("sales/", "salesforce/leads", false),
            ("sales", "sales", true),
            ("sales", "sales/orders", true),
            ("sales", "salesforce", false),
            ("sales", "sales-x", false),
            ("hr/payroll", "hr/payroll", true),
            ("hr/payroll", "hr/payroll/2024", true),
            ("hr/payroll", "hr/payrolls", false),
            ("hr/payroll", "hr", false),
            ("größe/", "größe/ä", true),
        ] {
            assert_eq!(Prefix::parse(prefix).unwrap().covers(&name(frame)), covered, "{prefix:?} {frame:?}");
        }
    }

    #[test]
    fn a_plain_start_is_covered_only_if_all_that_begins_so_is() {
        for (prefix, start, covered) in [
            ("", "", true),
            ("", "s", true),
            ("sales/", "", false),
            ("sales/", "sales", false),
            ("sales/", "sales/", true),
            ("sales/", "sales/or", true),
            ("sales", "sales", false),
            ("sales", "sales/", true),
            ("sales", "salesf", false),
            ("hr/payroll", "hr/", false),
        ] {
            assert_eq!(Prefix::parse(prefix).unwrap().covers_all(start), covered, "{prefix:?} {start:?}");
        }
    }

    #[test]
    fn prefixes_that_no_name_can_have_are_refused() {
        for prefix in ["/", "/sales", "sales//", "a//b", "../x", "a/./b", "a@1", "a\u{7}"] {
            assert!(Prefix::parse(prefix).is_err(), "{prefix:?}");
        }
    }

    /// What a listing by scopes gives is what a filter over all names would, in the same order.
    #[test]
    fn scopes_hold_each_covered_name_once_in_order() {
        let mut names: Vec<String> =
            ["a", "a-b", "a.b/c", "a/b", "a/b/c", "a/c", "aa", "aa/b", "b", "b/a", "c/d"]
                .map(str::to_owned)
                .to_vec();
        names.sort();
        let rules = ["", "a", "a/", "a/b", "aa/", "b", "c/d", "a-b"];
        for first in rules {
            for second in rules {
                let prefixes = [first, second].map(|text| Prefix::parse(text).unwrap());
                for start in ["", "a", "a/", "a/b", "b", "b/", "c", "x"] {
                    let listed: Vec<&String> = scopes(&prefixes, start)
                        .iter()
                        .flat_map(|scope| {
                            names.iter().filter(move |name| match scope.exact {
                                true => **name == scope.start,
                                false => name.starts_with(&scope.start),
                            })
                        })
                        .collect();
                    let expected: Vec<&String> = names
                        .iter()
                        .filter(|found| found.starts_with(start))
                        .filter(|found| prefixes.iter().any(|prefix| prefix.covers(&name(found))))
                        .collect();
                    assert_eq!(listed, expected, "{first:?} {second:?} from {start:?}");
                }
            }
        }
    }
}
