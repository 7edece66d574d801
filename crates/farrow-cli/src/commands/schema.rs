//! `farrow schema`

use std::collections::BTreeMap;

use serde::Serialize;

use crate::args::{Agent, Schema};
use crate::output;

pub(crate) fn run(args: &Schema, agent: &Agent) -> anyhow::Result<()> {
    let schema = agent.connect()?.schema(&args.name)?;
    if args.json {
        for field in schema.fields() {
            output::json(&Column {
                name: field.name(),
                r#type: field.data_type().to_string(),
                nullable: field.is_nullable(),
                metadata: field
                    .metadata()
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str()))
                    .collect(),
            })?;
        }
        return Ok(());
    }
    let rows: Vec<[String; 3]> = schema
        .fields()
        .iter()
        .map(|field| {
            let nulls = if field.is_nullable() { "" } else { "not null" };
            [field.name().clone(), field.data_type().to_string(), nulls.to_owned()]
        })
        .collect();
    Ok(output::table(["column", "type", ""], [false; 3], &rows)?)
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    /// As Arrow's Rust library writes it.
    r#type: String,
    nullable: bool,
    metadata: BTreeMap<&'a str, &'a str>,
}
