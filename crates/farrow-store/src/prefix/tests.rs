use super::*;

const NAMES: [&str; 13] =
    ["a", "a-b", "a.b/c", "a/b", "a/b-c", "a/b/c", "a/c", "aa", "aa/b", "b", "b/a", "c/d", "größe/ä"];

fn name(text: &str) -> FrameName {
    FrameName::parse(text).unwrap()
}

fn pattern(text: &str) -> Prefix {
    Prefix::pattern(text).unwrap()
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
        ("*", "a/b", true),
        ("sales/2024*", "sales/2024", true),
        ("sales/2024*", "sales/2024-01/a", true),
        ("sales/2024*", "sales/2023", false),
        ("sales/*", "sales/a/b", true),
        ("sales/*", "sales", false),
        ("sales*", "salesforce", true),
    ] {
        assert_eq!(pattern(prefix).covers(&name(frame)), covered, "{prefix:?} {frame:?}");
        assert_eq!(pattern(&pattern(prefix).to_string()), pattern(prefix), "{prefix:?}");
    }
}

#[test]
fn what_no_name_can_begin_with_is_refused() {
    for text in ["/", "/sales", "sales//", "a//b", "../x", "a/./b", "a@1", "a\u{7}", "/*", "a//*", "../*"] {
        let told = Prefix::pattern(text).unwrap_err().to_string();
        assert!(told.starts_with(&format!("bad prefix {text:?}: it has ")), "{told}");
    }
    assert!(Prefix::parse(&"x".repeat(256)).is_err());
    // In a rule a star is a character of a name like any other.
    assert_eq!(Prefix::parse("sales*").unwrap().itself(), Some("sales*"));
}

#[test]
fn a_pattern_has_its_star_at_the_end() {
    for (text, start) in [
        ("*orders", ""),
        ("sales/*ers", "sales/"),
        ("sales/order?", "sales/order"),
        ("sales/*/a*", "sales/"),
        ("?", ""),
        ("**", ""),
    ] {
        let told = Prefix::pattern(text).unwrap_err().to_string();
        assert!(told.starts_with(&format!("pattern {text:?}: ")), "{told}");
        assert!(told.ends_with(&format!("Try: '{start}*'")), "{told}");
        // The advice is a pattern itself.
        pattern(&format!("{start}*"));
    }
}

#[test]
fn one_covers_another_if_it_covers_all_of_its_names() {
    for (prefix, other, covered) in [
        ("", "", true),
        ("", "s", true),
        ("sales/", "", false),
        ("sales/", "sales", false),
        ("sales/", "sales/", true),
        ("sales/", "sales/or", true),
        ("sales", "sales", true),
        ("sales", "sales/", true),
        ("sales", "sales*", false),
        ("sales", "salesf", false),
        ("sales/", "sales/2024*", true),
        ("hr/payroll", "hr/", false),
    ] {
        assert_eq!(pattern(prefix).covers_all(&pattern(other)), covered, "{prefix:?} {other:?}");
    }
}

/// The names that are in scopes, as a listing by them gives them.
fn listed(scopes: &[Scope]) -> Vec<&'static str> {
    let of = |scope: &Scope| {
        let Scope { start, exact } = scope.clone();
        NAMES.into_iter().filter(move |name| if exact { *name == start } else { name.starts_with(&start) })
    };
    scopes.iter().flat_map(of).collect()
}

#[test]
fn a_listing_has_each_covered_name_once_in_order() {
    assert!(NAMES.is_sorted());
    let texts = ["", "a", "a/", "a/b", "aa/", "b", "c/d", "a-b", "a*", "a/b*", "x"].map(pattern);
    for wanted in &texts {
        let expected: Vec<_> = NAMES.into_iter().filter(|found| wanted.covers(&name(found))).collect();
        assert_eq!(listed(&wanted.scopes()), expected, "{wanted}");
        for first in &texts {
            for second in &texts {
                let expected = expected.iter().copied().filter(|found| {
                    let found = name(found);
                    first.covers(&found) || second.covers(&found)
                });
                let expected: Vec<_> = expected.collect();
                let scopes = Prefix::scopes_in([first, second], wanted);
                assert_eq!(listed(&scopes), expected, "{first} {second} in {wanted}");
            }
            if first.covers_all(wanted) {
                assert!(expected.iter().all(|found| first.covers(&name(found))), "{first} {wanted}");
            }
        }
    }
}
