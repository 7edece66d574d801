//! Metadata of a schema that describe the rows beside its columns, and so differ between batches of one source.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use serde_json::{Map, Value};

/// The schema of a version of `segments` segments, of which the first has the schema `first`.
///
/// The first one's metadata hold, without the parts that are true of its own rows only: of `geo` (GeoParquet) each column's
/// `bbox` is left out and `geometry_types` is empty, which means unknown, and `creator` is left out; of `huggingface` the
/// `fingerprint`. The metadata `pandas` stay as they are: their readers number rows anew where the length of an index is
/// not that of the table.
pub fn schema_of_segments(first: &SchemaRef, segments: usize) -> SchemaRef {
    let parts = |key: &str, value| {
        matches!(rule(key), Some(Rule::Parts(_))) && lasting(key, value) != Some(value.into())
    };
    if segments <= 1 || !first.metadata().iter().any(|(key, value)| parts(key, value.as_str())) {
        return Arc::clone(first);
    }
    let kept = |(key, value): (&String, &String)| {
        (key.clone(), lasting(key, value).map_or_else(|| value.clone(), Cow::into_owned))
    };
    let metadata: HashMap<_, _> = first.metadata().iter().map(kept).collect();
    Arc::new(first.as_ref().clone().with_metadata(metadata))
}

/// The metadata of a schema without what describes its rows.
pub(crate) fn lasting_metadata(schema: &Schema) -> BTreeMap<&str, Cow<'_, str>> {
    let all = schema.metadata().iter();
    all.filter_map(|(key, value)| Some((key.as_str(), lasting(key, value)?))).collect()
}

/// True if a schema has metadata that may describe its rows.
pub(crate) fn has_row_metadata(schema: &Schema) -> bool {
    schema.metadata().keys().any(|key| rule(key).is_some())
}

/// The part of a value that describes rows.
enum Rule {
    All,
    /// Takes these parts out of a JSON object.
    Parts(fn(&mut Map<String, Value>)),
}

fn rule(key: &str) -> Option<Rule> {
    match key {
        // The length of a RangeIndex, the number of categories, the releases that wrote it.
        "pandas" | "org.apache.spark.version" => Some(Rule::All),
        "geo" => Some(Rule::Parts(|geo| {
            geo.remove("creator");
            let columns = geo.get_mut("columns").and_then(Value::as_object_mut);
            for column in columns.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
                column.remove("bbox");
                if let Some(types) = column.get_mut("geometry_types").and_then(Value::as_array_mut) {
                    types.clear();
                }
            }
        })),
        "huggingface" => Some(Rule::Parts(|dataset| drop(dataset.remove("fingerprint")))),
        _ => None,
    }
}

/// A value without what describes rows; `None` if that is all of it. A value that is no JSON object where one is expected
/// stays as it is.
fn lasting<'a>(key: &str, value: &'a str) -> Option<Cow<'a, str>> {
    match rule(key) {
        None => Some(value.into()),
        Some(Rule::All) => None,
        Some(Rule::Parts(take_out)) => {
            let Ok(mut object) = serde_json::from_str::<Map<String, Value>>(value) else {
                return Some(value.into());
            };
            take_out(&mut object);
            Some(Value::Object(object).to_string().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEO: &str = r#"{"version": "1.1.0", "primary_column": "g", "creator": {"library": "geopandas"}, "columns":
        {"g": {"encoding": "WKB", "crs": null, "bbox": [0, 0, 1, 1], "geometry_types": ["Point"]}}}"#;

    fn schema(metadata: &[(&str, &str)]) -> SchemaRef {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Arc::new(Schema::empty().with_metadata(metadata.collect::<HashMap<_, _>>()))
    }

    #[test]
    fn of_several_segments_nothing_is_said_that_is_true_of_one() {
        let first = schema(&[("geo", GEO), ("pandas", "3 rows"), ("of", "one")]);
        assert!(Arc::ptr_eq(&schema_of_segments(&first, 1), &first));
        let all = schema_of_segments(&first, 2);
        let geo: Value = serde_json::from_str(&all.metadata()["geo"]).unwrap();
        let column = serde_json::json!({"encoding": "WKB", "crs": null, "geometry_types": []});
        let expected =
            serde_json::json!({"version": "1.1.0", "primary_column": "g", "columns": {"g": column}});
        assert_eq!(geo, expected);
        assert_eq!((all.metadata()["pandas"].as_str(), all.metadata()["of"].as_str()), ("3 rows", "one"));
        assert_eq!(schema_of_segments(&all, 3), all);
        // Without any such part it is the same schema.
        let plain = schema(&[("pandas", "3 rows"), ("of", "one")]);
        assert!(Arc::ptr_eq(&schema_of_segments(&plain, 2), &plain));
    }

    #[test]
    fn a_value_that_is_not_understood_is_kept() {
        let deep = "[".repeat(100_000);
        for odd in ["", "{", "7", "[]", "{\"columns\": 7}", "{\"columns\": {\"g\": []}}", "\u{0}", &deep] {
            let first = schema(&[("geo", odd), ("huggingface", odd)]);
            let all = schema_of_segments(&first, 2);
            let of = |schema: &Schema| serde_json::from_str::<Value>(&schema.metadata()["geo"]).ok();
            assert_eq!(of(&all), of(&first), "{odd:.20}");
        }
    }
}
