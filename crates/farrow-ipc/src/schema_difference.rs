//! Differences between schemas, and advice about them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use arrow_schema::{DataType, Field, Schema};

use crate::row_metadata::lasting_metadata;
use crate::schema::child_fields;

/// The most characters of a type or of a list of names in a message.
const MAX_TEXT: usize = 200;

/// The beginning of the names of columns that pyarrow makes of a pandas index.
const PANDAS_INDEX: &str = "__index_level_";

/// The first difference between two schemas, all of which counts: names, types, nullability and metadata, but for
/// metadata that describe the rows ([`schema_fingerprint`](crate::schema_fingerprint)). None: they are the same.
pub fn schema_difference(expected: &Schema, found: &Schema) -> Option<SchemaDifference> {
    compare(expected, found, Level::Within).err().or_else(|| {
        let (there, here) = (lasting_metadata(expected), lasting_metadata(found));
        let mut keys: Vec<&str> = there.keys().chain(here.keys()).copied().collect();
        keys.sort_unstable();
        let key = keys.into_iter().find(|key| there.get(key) != here.get(key))?;
        let [expected, found] =
            [there, here].map(|metadata| metadata.get(key).map(|value| value.to_string()));
        Some(SchemaDifference::Metadata { key: key.to_owned(), expected, found })
    })
}

/// The first way in which the columns of a batch are not those that they have to be. [`Display`](fmt::Display) says what
/// differs, [`with_advice`](Self::with_advice) what to do, too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaDifference {
    /// The same names in another order.
    Order {
        /// The first column of another name, from 0.
        column: usize,
        /// Its name in the schema.
        expected: String,
        /// Its name in the batch.
        found: String,
        /// All names of the schema.
        names: Vec<String>,
    },
    /// More or fewer columns.
    Columns {
        /// Of the schema.
        expected: usize,
        /// Of the batch.
        found: usize,
        /// The first name that only the one with more columns has.
        only: Option<String>,
    },
    /// Columns that one has and the other has not, whatever their order.
    Names {
        /// The first one that only the schema has.
        missing: Option<String>,
        /// The first one that only the batch has.
        extra: Option<String>,
    },
    /// A name of several columns, which by name cannot be told apart.
    Repeated {
        /// The name.
        name: String,
    },
    /// A column, or a field within it, that is not as it has to be.
    Field {
        /// The column, from 0.
        column: usize,
        /// Its name in the schema, and those of the fields within it down to the one that differs.
        field: String,
        /// The part of the field that differs.
        part: FieldPart,
        /// In the schema.
        expected: String,
        /// In the batch.
        found: String,
    },
    /// Nulls in a column that may have none.
    Nulls {
        /// The column, from 0.
        column: usize,
        /// Its name.
        field: String,
        /// The number of nulls.
        nulls: usize,
    },
    /// Metadata of the schema itself.
    Metadata {
        /// The first key whose value differs, or that only one of them has.
        key: String,
        /// Its value in the schema, without what describes rows.
        expected: Option<String>,
        /// The same in the batch.
        found: Option<String>,
    },
}

/// A part of a field that has to be the same in all batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldPart {
    /// Its name.
    Name,
    /// Its type.
    Type,
    /// Its extension type.
    Extension,
    /// The order of its dictionary, which is declared or not.
    Ordered,
    /// Its nullability.
    Nullability,
    /// Its metadata.
    Metadata,
}

/// The parts of a field that count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// All but nullability and metadata, which a column may have of its own in each batch.
    Column,
    /// All: within a column they belong to its type.
    Within,
}

/// Checks that `found` has the columns of `expected`, in the same order; `level` says what of them counts.
pub(crate) fn compare(expected: &Schema, found: &Schema, level: Level) -> Result<(), SchemaDifference> {
    let (wanted, given) = (names(expected), names(found));
    if wanted != given && sorted(&wanted) == sorted(&given) {
        let column = wanted.iter().zip(&given).position(|(wanted, given)| wanted != given).unwrap_or(0);
        let (expected, found) = (wanted[column].to_owned(), given[column].to_owned());
        let names = wanted.into_iter().map(str::to_owned).collect();
        return Err(SchemaDifference::Order { column, expected, found, names });
    }
    if wanted.len() != given.len() {
        let (more, less) = if given.len() > wanted.len() { (&given, &wanted) } else { (&wanted, &given) };
        let less: HashSet<_> = less.iter().collect();
        let only = more.iter().find(|name| !less.contains(name)).map(|name| (*name).to_owned());
        return Err(SchemaDifference::Columns { expected: wanted.len(), found: given.len(), only });
    }
    for (column, (expected, found)) in expected.fields().iter().zip(found.fields()).enumerate() {
        if let Some(different) = field_difference(expected, found, level) {
            return Err(different.in_column(column));
        }
    }
    Ok(())
}

pub(crate) fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

/// A difference of two fields, or of fields within them.
pub(crate) struct Different {
    part: FieldPart,
    path: String,
    expected: String,
    found: String,
}

impl Different {
    /// The difference of the fields themselves in one part, if there is one.
    pub(crate) fn in_part(expected: &Field, found: &Field, part: FieldPart) -> Option<Self> {
        let (path, expected, found) = (expected.name().clone(), text(expected, part), text(found, part));
        (expected != found).then_some(Self { part, path, expected, found })
    }

    /// As one within a field.
    pub(crate) fn below(self, field: &Field) -> Self {
        Self { path: format!("{}.{}", field.name(), self.path), ..self }
    }

    pub(crate) fn in_column(self, column: usize) -> SchemaDifference {
        let Self { part, path: field, expected, found } = self;
        SchemaDifference::Field { column, field, part, expected, found }
    }
}

/// The first difference of two fields.
fn field_difference(expected: &Field, found: &Field, level: Level) -> Option<Different> {
    let (wanted, given) = (child_fields(expected.data_type()), child_fields(found.data_type()));
    let same_kind = std::mem::discriminant(expected.data_type()) == std::mem::discriminant(found.data_type());
    let differs = |part| Different::in_part(expected, found, part);
    let below = || {
        let pairs = wanted.iter().zip(&given).filter(|_| same_kind && wanted.len() == given.len());
        let different = pairs.map(|(wanted, given)| field_difference(wanted, given, Level::Within));
        different.flatten().next().map(|different| different.below(expected))
    };
    let of_type = || {
        if expected.data_type() == found.data_type() {
            return order_below(expected, found);
        }
        below().or_else(|| differs(FieldPart::Type))
    };
    differs(FieldPart::Name)
        .or_else(of_type)
        .or_else(|| differs(FieldPart::Extension))
        .or_else(|| differs(FieldPart::Ordered))
        .or_else(|| differs(FieldPart::Nullability).filter(|_| level == Level::Within))
        .or_else(|| differs(FieldPart::Metadata).filter(|_| level == Level::Within))
}

/// Returns the first dictionary within two fields of one type that is ordered in one of them alone: Arrow's equality of
/// types leaves the order out.
pub(crate) fn order_below(expected: &Field, found: &Field) -> Option<Different> {
    let (wanted, given) = (within(expected.data_type()), within(found.data_type()));
    let different = wanted.into_iter().zip(given).find_map(|(wanted, given)| order(wanted, given));
    different.map(|different| different.below(expected))
}

/// Returns the same, of the fields themselves too.
pub(crate) fn order(expected: &Field, found: &Field) -> Option<Different> {
    if expected.dict_is_ordered() != found.dict_is_ordered() {
        return Different::in_part(expected, found, FieldPart::Ordered);
    }
    order_below(expected, found)
}

/// Returns the fields within a type; of a dictionary, those within its values.
fn within(data_type: &DataType) -> Vec<&Field> {
    match data_type {
        DataType::Dictionary(_, values) => within(values),
        nested => child_fields(nested),
    }
}

/// A part of a field, in words.
fn text(field: &Field, part: FieldPart) -> String {
    match part {
        FieldPart::Name => field.name().clone(),
        FieldPart::Type => match (field.data_type(), string_of_pyarrow(field.data_type())) {
            (data_type, Some(pyarrow)) => format!("{data_type} ({pyarrow})"),
            (data_type, None) => data_type.to_string(),
        },
        FieldPart::Extension => extension(field),
        FieldPart::Ordered if field.dict_is_ordered() == Some(true) => "ordered".to_owned(),
        FieldPart::Ordered => "not ordered".to_owned(),
        FieldPart::Nullability if field.is_nullable() => "nullable".to_owned(),
        FieldPart::Nullability => "not nullable".to_owned(),
        FieldPart::Metadata => format!("{:?}", field.metadata().iter().collect::<BTreeMap<_, _>>()),
    }
}

/// The name that pyarrow and those who print its types have for strings, which Arrow's own is unlike.
fn string_of_pyarrow(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Utf8 => Some("string"),
        DataType::LargeUtf8 => Some("large_string"),
        DataType::Utf8View => Some("string_view"),
        _ => None,
    }
}

fn extension(field: &Field) -> String {
    match (field.extension_type_name(), field.extension_type_metadata()) {
        (None, _) => "none".to_owned(),
        (Some(name), None | Some("")) => name.to_owned(),
        (Some(name), Some(parameters)) => format!("{name} {parameters}"),
    }
}

impl SchemaDifference {
    /// The difference and advice. `fits_by_name` is true if the rows fit once their columns are matched by name (see
    /// [`fits_by_name`](crate::fits_by_name)): then the text ends with that, so that a colon and the name of the option or
    /// argument can follow it.
    pub fn with_advice(&self, fits_by_name: bool) -> String {
        match self {
            Self::Metadata { .. } if fits_by_name => {
                format!("{self}. If the frame's metadata are true of these rows, too, it fits by name")
            }
            _ if fits_by_name => format!("{self}. It fits by name"),
            _ => format!("{self}. {}", self.advice()),
        }
    }

    fn advice(&self) -> String {
        const OF_ITS_OWN: &str = "or publish it as a frame of its own";
        match self {
            Self::Order { names, .. } => {
                format!("Put them in order first, in pyarrow by `table.select({})`", select(names))
            }
            Self::Columns { expected, found, only: Some(name) } if found > expected => leave_out(name),
            Self::Columns { only: Some(_), .. } => format!("Add it, {OF_ITS_OWN}"),
            Self::Columns { only: None, .. } => format!("Leave it out, {OF_ITS_OWN}"),
            Self::Names { missing: None, extra: Some(name) } => leave_out(name),
            Self::Names { missing: Some(_), extra: None } => format!("Add it, {OF_ITS_OWN}"),
            Self::Names { .. } => {
                format!(
                    "Give columns the names that they have there, in pyarrow by `table.rename_columns`, {OF_ITS_OWN}"
                )
            }
            Self::Repeated { .. } => {
                "Give each column a name of its own, in pyarrow by `table.rename_columns`".to_owned()
            }
            Self::Field { part: FieldPart::Name, .. } => {
                format!("Rename it first, in pyarrow by `table.rename_columns`, {OF_ITS_OWN}")
            }
            Self::Field { .. } => format!("Change it first, in pyarrow by `table.cast`, {OF_ITS_OWN}"),
            Self::Nulls { .. } => "Fill them, or make the field nullable in the schema".to_owned(),
            Self::Metadata { .. } => {
                format!(
                    "Take those that are there, in pyarrow by `table.replace_schema_metadata`, {OF_ITS_OWN}"
                )
            }
        }
    }
}

/// Advice about a column that is one too many.
fn leave_out(name: &str) -> String {
    let how = if name.starts_with(PANDAS_INDEX) {
        " (it is the index of pandas: `frame.reset_index(drop=True)`)"
    } else {
        ""
    };
    format!("Leave it out{how}, or publish it as a frame of its own")
}

impl fmt::Display for FieldPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name",
            Self::Type => "the type",
            Self::Extension => "the extension type",
            Self::Ordered => "the dictionary",
            Self::Nullability => "the field",
            Self::Metadata => "the field's metadata",
        })
    }
}

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order { column, expected, found, .. } => {
                let (found, expected) = (short(found), short(expected));
                write!(
                    f,
                    "column {column} is {found:?}, expected {expected:?}: the same names in another order"
                )
            }
            Self::Columns { expected, found, only } => {
                write!(f, "the number of columns is {found}, expected {expected}: ")?;
                match only {
                    Some(name) if found > expected => write!(f, "{:?} is one too many", short(name)),
                    Some(name) => write!(f, "{:?} is missing", short(name)),
                    None => f.write_str("some name is there more than once"),
                }
            }
            Self::Names { missing, extra } => {
                let missing = missing.iter().map(|name| format!("{:?} is missing", short(name)));
                let extra = extra.iter().map(|name| format!("{:?} is one too many", short(name)));
                f.write_str(&missing.chain(extra).collect::<Vec<_>>().join(" and "))
            }
            Self::Repeated { name } => {
                write!(f, "several columns are called {:?}, which cannot be matched by name", short(name))
            }
            Self::Field { column, field, part, expected, found } => {
                let (field, expected, found) = (short(field), short(expected), short(found));
                write!(f, "column {column} ({field}): {part} is {found}, expected {expected}")
            }
            Self::Nulls { column, field, nulls } => {
                write!(
                    f,
                    "column {column} ({}) has nulls ({nulls}), and the schema allows none",
                    short(field)
                )
            }
            Self::Metadata { key, expected, found } => {
                let (found, expected) = (around(found, expected), around(expected, found));
                write!(f, "the metadata {:?} of the schemas differ: {found}, expected {expected}", short(key))
            }
        }
    }
}

/// The names as a Python list; of many, where they are.
fn select(names: &[String]) -> String {
    let list = format!("{names:?}");
    if list.chars().count() <= MAX_TEXT { list } else { "first.schema.names".to_owned() }
}

/// A value, from a little before the place where it begins to differ from another.
fn around(value: &Option<String>, other: &Option<String>) -> String {
    const BEFORE: usize = 40;
    let Some(value) = value else { return "none".to_owned() };
    let other = other.as_deref().unwrap_or_default();
    let same = value.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let skipped = same.saturating_sub(BEFORE);
    let mark = if skipped > 0 { "…" } else { "" };
    format!("{:?}", format!("{mark}{}", short(&value.chars().skip(skipped).collect::<String>())))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
