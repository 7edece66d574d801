//! Canonical extension types: on what they may be stored, and with which parameters.
//!
//! pyarrow reads no schema in which one of those that it has registered is not as it expects; so only such are taken.
//! Other extension types are read by all as what they are stored on.

use arrow_schema::{DataType, Field};
use serde::Deserialize;

use crate::problem::TypeProblem;

const BOOL8: &str = "arrow.bool8";
const UUID: &str = "arrow.uuid";
const JSON: &str = "arrow.json";
const OPAQUE: &str = "arrow.opaque";
const FIXED_SHAPE: &str = "arrow.fixed_shape_tensor";
const VARIABLE_SHAPE: &str = "arrow.variable_shape_tensor";

/// True if pyarrow makes an extension type of the field, and not the type that it is stored on.
pub(crate) fn is_registered(field: &Field) -> bool {
    let registered = [BOOL8, UUID, JSON, OPAQUE, FIXED_SHAPE, VARIABLE_SHAPE];
    field.extension_type_name().is_some_and(|name| registered.contains(&name))
}

/// Refuses a canonical extension type that pyarrow would refuse.
pub(crate) fn check(field: &Field) -> Result<(), TypeProblem> {
    let metadata = field.extension_type_metadata().unwrap_or_default();
    let stored = field.data_type();
    match field.extension_type_name() {
        Some(BOOL8) => {
            storage(BOOL8, stored, *stored == DataType::Int8, "Int8")?;
            no_metadata(BOOL8, metadata)
        }
        Some(UUID) => {
            storage(UUID, stored, *stored == DataType::FixedSizeBinary(16), "FixedSizeBinary(16)")?;
            no_metadata(UUID, metadata)
        }
        Some(JSON) => {
            let text = matches!(stored, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            storage(JSON, stored, text, "Utf8, LargeUtf8 or Utf8View")
        }
        Some(OPAQUE) => parse::<Opaque>(OPAQUE, metadata).map(drop),
        Some(FIXED_SHAPE) => fixed_shape(stored, metadata),
        Some(VARIABLE_SHAPE) => variable_shape(stored, metadata),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "whether they are there, and texts, is all that is asked")]
struct Opaque {
    type_name: String,
    vendor_name: String,
}

#[derive(Deserialize)]
struct FixedShape {
    shape: Vec<i64>,
    #[serde(default, deserialize_with = "present")]
    permutation: Option<Vec<i64>>,
    #[serde(default, deserialize_with = "present")]
    dim_names: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct VariableShape {
    #[serde(default, deserialize_with = "present")]
    permutation: Option<Vec<i64>>,
    #[serde(default, deserialize_with = "present")]
    dim_names: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    uniform_shape: Option<Vec<Option<i64>>>,
}

/// A member that may be left out, and is not `null`.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

fn fixed_shape(stored: &DataType, metadata: &str) -> Result<(), TypeProblem> {
    let DataType::FixedSizeList(_, size) = stored else {
        return storage(FIXED_SHAPE, stored, false, "FixedSizeList");
    };
    let tensor = parse::<FixedShape>(FIXED_SHAPE, metadata)?;
    let refuse = |reason| Err(invalid(FIXED_SHAPE, metadata, reason));
    let elements = tensor.shape.iter().try_fold(1_i64, |product, dimension| product.checked_mul(*dimension));
    if tensor.shape.iter().any(|dimension| *dimension < 0) || elements != Some(i64::from(*size)) {
        return refuse(format!("a list of size {size} has another shape"));
    }
    dimensions(FIXED_SHAPE, metadata, tensor.shape.len(), tensor.permutation, tensor.dim_names)
}

fn variable_shape(stored: &DataType, metadata: &str) -> Result<(), TypeProblem> {
    let Some(rank) = variable_rank(stored) else {
        let needed = "a Struct of a List of fixed-width values and a FixedSizeList of Int32";
        return storage(VARIABLE_SHAPE, stored, false, needed);
    };
    let tensor = parse::<VariableShape>(VARIABLE_SHAPE, metadata)?;
    let uniform = tensor.uniform_shape.unwrap_or_default();
    if (!uniform.is_empty() && uniform.len() != rank) || uniform.iter().flatten().any(|size| *size < 0) {
        let reason = format!("`uniform_shape` has not one size, or null, for each of {rank} dimensions");
        return Err(invalid(VARIABLE_SHAPE, metadata, reason));
    }
    let permutation = tensor.permutation.filter(|order| !order.is_empty());
    let names = tensor.dim_names.filter(|names| !names.is_empty());
    dimensions(VARIABLE_SHAPE, metadata, rank, permutation, names)
}

/// The number of dimensions of what a tensor of variable shape is stored on.
fn variable_rank(stored: &DataType) -> Option<usize> {
    let DataType::Struct(fields) = stored else { return None };
    let [data, shape] = fields.as_ref() else { return None };
    let (DataType::List(value), DataType::FixedSizeList(size, rank)) = (data.data_type(), shape.data_type())
    else {
        return None;
    };
    let plain = ![data, shape, value, size].into_iter().any(|field| is_registered(field));
    let fixed_width = match value.data_type() {
        DataType::Boolean | DataType::FixedSizeBinary(_) | DataType::Dictionary(..) => true,
        data_type => data_type.primitive_width().is_some(),
    };
    let fits = plain && fixed_width && *size.data_type() == DataType::Int32;
    usize::try_from(*rank).ok().filter(|_| fits)
}

fn dimensions(
    name: &'static str,
    metadata: &str,
    rank: usize,
    permutation: Option<Vec<i64>>,
    names: Option<Vec<String>>,
) -> Result<(), TypeProblem> {
    if let Some(mut order) = permutation {
        order.sort_unstable();
        if order.len() != rank || order.iter().zip(0..).any(|(found, expected)| *found != expected) {
            let reason = format!("`permutation` is none of the dimensions from 0 below {rank}");
            return Err(invalid(name, metadata, reason));
        }
    }
    match names {
        Some(names) if names.len() != rank => {
            let reason = format!("`dim_names` names {} dimensions of {rank}", names.len());
            Err(invalid(name, metadata, reason))
        }
        _ => Ok(()),
    }
}

fn storage(
    name: &'static str,
    stored: &DataType,
    fits: bool,
    needed: &'static str,
) -> Result<(), TypeProblem> {
    if fits {
        return Ok(());
    }
    Err(TypeProblem::ExtensionStorage { name, found: Box::new(stored.clone()), needed })
}

fn no_metadata(name: &'static str, metadata: &str) -> Result<(), TypeProblem> {
    if metadata.is_empty() { Ok(()) } else { Err(invalid(name, metadata, "it has none".to_owned())) }
}

fn parse<'a, T: Deserialize<'a>>(name: &'static str, metadata: &'a str) -> Result<T, TypeProblem> {
    // Serde would take an array for the members of a struct in their order.
    if !metadata.trim_ascii_start().starts_with('{') {
        return Err(invalid(name, metadata, "a JSON object is needed".to_owned()));
    }
    serde_json::from_str(metadata).map_err(|error| invalid(name, metadata, error.to_string()))
}

fn invalid(name: &'static str, metadata: &str, reason: String) -> TypeProblem {
    let found = metadata.chars().take(200).collect::<String>().into();
    TypeProblem::ExtensionMetadata { name, found, reason: reason.into() }
}
